"""station.toml: what is shipped is complete, and what is wrong is said with its line and the nearest known name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from linegate.cameras.errors import SettingsError
from linegate.inspect import toml_lines
from linegate.inspect.settings import RuleSettings, StationSettings, VirtualSettings
from linegate.inspect.settings_file import STATION_KEYS, load_station

SHIPPED = Path(__file__).resolve().parents[2] / "station.toml"
CAMERA = '[[cameras]]\ndriver = "replay"\nfolder = "pictures"\n'
RECIPE = '[[recipes]]\nid = 1\nname = "A"\n'


def write(tmp_path, text):
    path = tmp_path / "station.toml"
    path.write_text(text)
    return path


def fault(tmp_path, text):
    with pytest.raises(SettingsError) as raised:
        load_station(write(tmp_path, text))
    return str(raised.value)


def switched_on():
    """The shipped file with every "#key = value" and "#[table]" switched on."""
    return re.sub(r"(?m)^#(?=[a-z_]+ = |\[)", "", SHIPPED.read_text())


def models_in(kind):
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (Annotated, Union, UnionType, tuple):
        return [m for part in get_args(kind) for m in models_in(part)]
    return []


def known_paths(model, prefix=()):
    """Every setting as a path of names, unions merged."""
    found = set()
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        if inner:
            for one in inner:
                found |= known_paths(one, (*prefix, name))
        else:
            found.add((*prefix, name))
    return found


def paths_in(data, prefix=()):
    found = set()
    for key, value in data.items():
        many = value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        for one in many:
            if isinstance(one, dict) and (*prefix, key) != ("cameras", "features"):
                found |= paths_in(one, (*prefix, key))
            else:
                found.add((*prefix, key))
    return found


def test_the_shipped_file_names_every_setting_and_nothing_else():
    known = {("station", *p) if p[0] in STATION_KEYS else p for p in known_paths(StationSettings)}
    assert paths_in(tomllib.loads(switched_on())) == known


def test_the_shipped_file_loads_as_it_is_and_with_all_switched_on(tmp_path):
    station = load_station(SHIPPED)
    assert station.virtual is not None
    assert station.virtual.rate_parts_per_s == 10.0
    (camera,) = station.cameras
    assert (camera.name, camera.driver, camera.trigger) == ("top", "pylon", "plc")
    assert (camera.pixel_format, camera.exposure_us) == ("Mono8", 100)
    assert camera.emulate == Path("stage")
    assert {rule.defect_class for rule in station.recipes[0].rules} == {
        "scratch", "dent", "stain", "crack", "missing_hole",
    }  # fmt: skip
    assert (station.plc.host, station.plc.port) == ("127.0.0.1", 5020)
    full = load_station(write(tmp_path, switched_on()))
    assert [c.driver for c in full.cameras] == ["pylon", "gentl", "replay"]


def test_the_shipped_values_are_the_defaults():
    """Deleting a line must not change the station."""
    station = load_station(SHIPPED)
    for table in ("plc", "timing", "runtime", "log", "images", "screens"):
        assert getattr(station, table) == StationSettings.model_fields[table].default, table
    assert station.virtual == VirtualSettings()
    assert all(rule == RuleSettings(defect_class=rule.defect_class) for rule in station.recipes[0].rules)


def test_relative_paths_are_the_files(tmp_path):
    station = load_station(write(tmp_path, CAMERA + RECIPE + '[virtual]\nphotos = "p"\n'))
    assert station.data == tmp_path / "data"
    assert station.cameras[0].folder == tmp_path / "pictures"
    assert station.virtual.photos == tmp_path / "p"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[plc]\nprot = 5020\n", ["line 8", "plc.prot", "known: port"]),
        ("[plc]\ntimeout_s = 1\n", ["line 8", "known: timeout_ms (milliseconds)"]),
        ("[plc]\ntimeout = 1\n", ["line 8", "known: timeout_ms (milliseconds)"]),
        ("[timing]\n\n# a comment\ndeadline_ms = '10 ms'\n", ["line 10", "milliseconds", "'10 ms'"]),
        ("[plc]\nport = '5020'\n", ["line 8", "must be a number"]),
        ("[plc]\nport = 70000\n", ["line 8", "plc.port", "70000"]),
        ("[plc]\npoll_ms = nan\n", ["line 8", "plc.poll_ms"]),
        ("[plc]\ntimeout_ms = true\n", ["line 8", "plc.timeout_ms"]),
        ("[log]\npass_requires_log = 1\n", ["line 8", "boolean"]),
        ("[runtime]\nengine = 'tpu'\n", ["line 8", "tpu", "openvino"]),
        ("[plcs]\nport = 1\n", ["line 7", "known: plc"]),
        ("[station]\nnmae = 'x'\n", ["line 8", "known: name"]),
        ("[station]\nplc = 'x'\n", ["line 8", "[plc]"]),
        ("[station]\nrecipe = 9\n", ["recipe = 9", "known are [1]"]),
        ("[[recipes]]\nid = 1\nname = 'B'\n", ["recipe ids must differ"]),
        ("[[cameras]]\nname = 'x'\n", ["line 7", "driver"]),
        ("[[cameras]]\ndriver = 'webcam'\n", ["unknown driver", "pylon, gentl, replay"]),
        ("[[cameras]]\ndriver = 'pylon'\nname = 'b'\nexposure_ms = 10\n", ["line 10", "exposure_us (microseconds)"]),
        ("[[cameras]]\ndriver = 'pylon'\nname = 'b'\nroi = { width_px = 1, height_px = 1, widht = 3 }\n", ["line 10"]),
        ("[[cameras]]\ndriver = 'gentl'\nname = 'b'\n", ["line 7", "producer", "missing"]),
        ("[[recipes]]\nid = 2\nname = 'B'\n[[recipes.rules]]\nzone = 'nowhere'\n", ["nowhere"]),
        ("[timing]\nlog_reserve_ms = 500\n", ["line 7", "leaves nothing of deadline_ms = 200"]),
        ("[plc]\npoll_ms = 30\n", ["poll_ms = 30", "min_pitch_ms = 60", "two exchanges"]),
        ("[virtual]\nrate_parts_per_s = 30\n", ["rate_parts_per_s = 30", "33.3 ms", "min_pitch_ms = 60"]),
        ("[virtual]\n[timing]\ndeadline_ms = 900\n", ["deadline_ms = 900", "camera_to_gate_ms = 400"]),
        ("[virtual]\n[plc]\nport = 7860\n", ["both 7860"]),
        ("[plc]\nport = \n", ["line 8"]),
        ("[plc\n", ["line 7"]),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_the_remedy(tmp_path, text, expected):
    said = fault(tmp_path, CAMERA + RECIPE + text)
    for part in expected:
        assert part in said, said
    assert "station.toml" in said


def test_all_faults_are_told_at_once_ten_at_most(tmp_path):
    said = fault(tmp_path, CAMERA + RECIPE + "[plc]\n" + "".join(f"wrong_{i} = {i}\n" for i in range(13)))
    assert "13 faults" in said
    assert said.count("unknown key") == 10
    assert "and 3 more" in said


def test_what_belongs_under_station_is_sent_there(tmp_path):
    assert "'name' belongs under [station]" in fault(tmp_path, 'name = "x"\n' + CAMERA + RECIPE)


def test_no_file_no_cameras_no_text(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load_station(tmp_path / "nowhere.toml")
    with pytest.raises(SettingsError, match="directory"):
        load_station(tmp_path)
    assert "cameras" in fault(tmp_path, RECIPE)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(SettingsError, match="UTF-8"):
        load_station(tmp_path / "latin.toml")


def test_lines_survive_strings_arrays_and_nesting():
    text = '''a = """
b = 1
"""
c = [
  "x = 1", # [
  2,
]
[t.u]
"d e" = { f = 1 }
g.h = '#'
[[m]]
k = 1
[[m]]
k = 2
[[m.n]]
z = 3
'''
    tomllib.loads(text)
    assert toml_lines.key_lines(text) == {
        ("a",): 1, ("c",): 4, ("t", "u"): 8, ("t", "u", "d e"): 9, ("t", "u", "g", "h"): 10, ("m", 0): 11,
        ("m", 0, "k"): 12, ("m", 1): 13, ("m", 1, "k"): 14, ("m", 1, "n", 0): 15, ("m", 1, "n", 0, "z"): 16,
    }  # fmt: skip
    lines = toml_lines.key_lines(text)
    assert toml_lines.line_of(("t", "u", "d e", "f"), lines) == 9
    assert toml_lines.line_of(("nowhere",), lines) is None


@given(st.text(alphabet=st.sampled_from("abplc_ms=[]{}.\"'#\n 1"), max_size=80))
def test_any_text_is_a_station_or_a_settings_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("s") / "station.toml"
    path.write_text(text)
    with pytest.raises(SettingsError):
        load_station(path)


WIRED = 'driver = "replay"\nfolder = "pictures"\ntrigger = "hardware"\n'


@pytest.mark.parametrize(
    ("timeout_s", "timing", "said"),
    [
        (0.5, "", ["camera 'top'", "timeout_s = 0.5 is longer than the 48 ms", "min_pitch_ms"]),
        (0.045, "", []),
        (0.3, "min_pitch_ms = 600", ["the 180 ms", "deadline_ms"]),
        (0.3, "min_pitch_ms = 600\ndeadline_ms = 400", []),
        (0.02, "[plc]\npoll_ms = 50", ["the 0 ms", "poll_ms"]),
        (0.02, "min_pitch_ms = 90\n[plc]\npoll_ms = 50", []),  # slower than a PLC that fires the camera may be
    ],
)
def test_a_wired_cameras_picture_has_to_come_before_the_next_part(tmp_path, timeout_s, timing, said):
    text = f"[[cameras]]\n{WIRED}timeout_s = {timeout_s}\n{RECIPE}[timing]\n{timing}\n"
    if not said:
        load_station(write(tmp_path, text))
        return
    found = fault(tmp_path, text)
    assert all(words in found for words in said), found
