"""`linegate check` at a PLC: it says what is wrong, and does not speak for a line that may be running."""

from __future__ import annotations

from linegate.cameras.settings import ReplaySettings
from linegate.inspect.checks import check_plc
from linegate.inspect.settings import PlcSettings, RecipeSettings, StationSettings


def station(tmp_path, port):
    return StationSettings(
        cameras=(ReplaySettings(driver="replay", folder=tmp_path),),
        recipes=(RecipeSettings(id=1, name="A"),),
        plc=PlcSettings(port=port),
    )


def test_a_healthy_plc_is_read_and_its_registers_left_alone(plcs, driver, tools, links, tmp_path):
    plc = plcs(epoch=12, triggered=34)
    _link, _client = links(plc)
    tools.eventually(lambda: plc.look().registers[2] == int(tools.ALL_OK))
    found = check_plc(station(tmp_path, plc.port))
    assert found.ok, found
    assert "epoch 12, 34 parts" in found.found
    seen = plc.look().registers
    assert (seen[2], seen[5]) == (int(tools.ALL_OK), 12)


def test_what_is_wrong_is_told(plcs, tmp_path):
    plc = plcs(beating=False)
    found = check_plc(station(tmp_path, plc.port))
    assert not found.ok
    assert "stood still" in found.found
    plc.set(beating=True, torn=10**9)
    found = check_plc(station(tmp_path, plc.port))
    assert not found.ok
    assert "202" in found.found
    plc.set(torn=0, refuse={"23": 1})
    found = check_plc(station(tmp_path, plc.port))
    assert not found.ok
    assert "illegal function" in found.found
    plc.kill()
    found = check_plc(station(tmp_path, plc.port))
    assert not found.ok
    assert "cable" in found.remedy


def test_a_map_that_is_too_short(plcs, tmp_path):
    found = check_plc(station(tmp_path, plcs(registers=150).port))
    assert not found.ok
    assert "200-219" in found.found
