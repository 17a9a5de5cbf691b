"""`linegate log` and `linegate audit`, as a user types them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from partlog_samples import put, record
from sqlalchemy import insert, text

from linegate.inspect.cli import main
from linegate.inspect.part import Decision, PartKey, WireVerdict
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.database import log_url, make_engine
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.queries import PartFilter, Reading
from linegate.inspect.partlog.records import Outcome
from linegate.inspect.partlog.schema import bundle
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings

Run = Callable[..., tuple[int, str, str]]


def fill(settings: LogSettings, data: Path) -> None:
    """Six parts: 1, 2 OK; 3 NG dent; 4 NG scratch; 5 REVIEW dent; 6 not inspected. Pictures of 3 and 4."""
    log = PartLog.open(settings, data)
    log.start()
    images = ImageStore(data, ImageSettings(), log)
    images.start()
    parts = [
        record(1), record(2, lot="L2", serial="S-2"), record(3, decision=Decision.NG, defect_class="dent"),
        record(4, decision=Decision.NG, defect_class="scratch", lot="L2"),
        record(5, decision=Decision.REVIEW, defect_class="dent"), record(6, decision=Decision.NOT_INSPECTED),
    ]  # fmt: skip
    for item in parts:
        assert put(log, item) is None
        wire = WireVerdict.of(item.decision)
        log.put_outcome(Outcome(item.key, wire, True, float(item.key.sequence), 100.0))
    for sequence in (3, 4):
        images.put(np.full((8, 8), sequence, np.uint8), PartKey(7, sequence), "top", "ng")
    log.start_lot("L1", "anna")
    log.start_lot("L2", "ben")
    log.record_event("camera_down", "alarm", "unplugged", PartKey(7, 6))
    images.close()
    log.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(LogSettings(min_free_mb=0), tmp_path)
    return tmp_path


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(data)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str, at: Path | None = data) -> tuple[int, str, str]:
        where = [] if at is None else ["--data", str(at)]
        monkeypatch.setattr(sys, "argv", ["linegate", *words, *where])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return call


def sequences(out: str) -> list[int]:
    return [json.loads(line)["sequence"] for line in out.splitlines()]


def test_query_filters(run: Run) -> None:
    assert sequences(run("log", "query", "--json")[1]) == [6, 5, 4, 3, 2, 1]
    assert sequences(run("log", "query", "--json", "--decision", "ng", "--limit", "1")[1]) == [4]
    assert sequences(run("log", "query", "--json", "--class", "dent", "--lot", "L1", "--since", "1h")[1]) == [5, 3]
    assert sequences(run("log", "query", "--json", "--serial", "S-2", "--since", "2020-01-01")[1]) == [2]
    code, out, _ = run("log", "query")
    assert code == 0
    assert "0007-5" in out
    assert "6 parts: 2 OK, 2 NG, 1 REVIEW, 1 NOT_INSPECTED" in out


def test_show(run: Run, data: Path) -> None:
    code, out, _ = run("log", "show", "0007-3")
    assert code == 0
    for word in ("Part 0007-3", "dent", "12.5, 24.0", "ab" * 32, "part_reject", "NG, confirmed", str(data / "images")):
        assert word in out, word
    whole = json.loads(run("log", "show", "0007-3", "--json")[1])
    assert whole["views"][0]["regions"][0]["outline"] == [[10, 20], [15, 20], [15, 28]]
    assert whole["thresholds"] == '{"part_reject":0.5}'
    assert [image["reason"] for image in whole["images"]] == ["ng"]
    assert json.loads(run("log", "show", "7-6", "--json")[1])["events"][0]["kind"] == "camera_down"


@pytest.mark.parametrize(
    ("certificate", "said"), [(None, "never passed the release gate"), ({"approved_by": "Ada"}, "released by Ada")]
)
def test_show_says_who_let_the_bundle_judge(run: Run, data: Path, certificate: Any, said: str) -> None:
    engine = make_engine(log_url(LogSettings(), data), access="write")
    manifest = json.dumps({"certificate": certificate})
    row = {"sha256": "ab" * 32, "name": "a", "version": "1", "manifest": manifest, "first_used_utc_ns": 1}
    with engine.begin() as connection:
        connection.execute(insert(bundle).values(row))
    engine.dispose()
    assert said in run("log", "show", "0007-3")[1]


def test_export_csv_and_parquet(run: Run, data: Path) -> None:
    code, out, _ = run("log", "export", "parts.csv", "--lot", "L1")
    assert (code, out) == (0, "4 parts written to parts.csv\n")
    with (data / "parts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["1", "3", "5", "6"]
    assert rows[1]["defect_class"] == "dent"
    pq = pytest.importorskip("pyarrow.parquet")
    assert run("log", "export", "parts.parquet")[0] == 0
    table = pq.read_table(data / "parts.parquet").to_pylist()
    assert [row["sequence"] for row in table] == [1, 2, 3, 4, 5, 6]
    assert table[3]["latency_ms"] == 4.0
    assert table[3]["challenge"] is False


def test_export_of_defects(run: Run, data: Path) -> None:
    code, out, _ = run("log", "export", "defects.csv", "--regions")
    assert (code, out) == (0, "3 defects written to defects.csv\n")
    with (data / "defects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["part"], row["camera"], row["defect_class"], row["decision"]) for row in rows] == [
        ("0007-3", "top", "dent", "NG"), ("0007-4", "top", "scratch", "NG"), ("0007-5", "top", "dent", "REVIEW"),
    ]  # fmt: skip
    assert (rows[0]["area_mm2"], rows[0]["x_mm"], rows[0]["box_width_px"], rows[0]["lot"]) == (
        "1.25",
        "12.5",
        "6",
        "L1",
    )
    assert "outline" not in rows[0] and rows[0]["triggered_utc"].startswith("20")
    assert run("log", "export", "dents.csv", "--regions", "--class", "dent", "--decision", "NG")[1].startswith("1 def")
    pq = pytest.importorskip("pyarrow.parquet")
    assert run("log", "export", "defects.parquet", "--regions")[0] == 0
    assert [row["score"] for row in pq.read_table(data / "defects.parquet").to_pylist()] == [0.93, 0.93, 0.93]


def test_until_a_moment(run: Run) -> None:
    assert sequences(run("log", "query", "--json", "--until", "2020-01-01")[1]) == []
    assert sequences(run("log", "query", "--json", "--since", "1h", "--until", "0s")[1]) == [6, 5, 4, 3, 2, 1]
    assert run("log", "export", "none.csv", "--until", "1h")[1].startswith("0 parts")
    code, _, message = run("log", "query", "--until", "tomorrow")
    assert code == 2 and "--until 'tomorrow'" in message


def test_verify(run: Run, data: Path) -> None:
    assert run("log", "verify")[:2] == (0, "whole: 6 parts, 2 pictures\n")
    first, second = sorted((data / "images").rglob("*.png"))
    first.write_bytes(first.read_bytes() + b"x")
    second.unlink()
    engine = make_engine(log_url(LogSettings(), data), access="write")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM view WHERE part_id = (SELECT id FROM part WHERE sequence = 2)"))
        connection.execute(text("DELETE FROM part WHERE sequence = 2"))
    engine.dispose()
    code, out, _ = run("log", "verify")
    assert code == 1
    assert "epoch 0007: no row for part 2" in out
    assert f"{first} was changed" in out
    assert f"{second} is missing" in out


def test_station_toml_names_the_place(run: Run, data: Path) -> None:
    (data / "sub").mkdir()
    (data / "sub" / "station.toml").write_text('[station]\ndata = ".."\n[log]\nbusy_timeout_ms = 50\n')
    assert run("log", "verify", "--station", "sub/station.toml", at=None)[0] == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("log", "show", "nonsense"), "1a2b-4711"),
        (("log", "show", "0007-99"), "part 0007-99"),
        (("log", "query", "--since", "yesterday"), "--since 'yesterday'"),
        (("log", "query", "--decision", "MAYBE"), "--decision"),
        (("log", "query", "--limit", "0"), "--limit"),
        (("log", "export", "parts.xlsx"), ".csv or .parquet"),
        (("log", "export", "nowhere/parts.csv"), "nowhere/parts.csv"),
    ],
)
def test_bad_arguments_are_named(run: Run, words: tuple[str, ...], named: str) -> None:
    code, _, message = run(*words)
    assert code == 2
    assert named in message


@pytest.mark.parametrize(
    "text", ['station = "x"', "[station]\ndata = 5", "log = 3", "station = [1]", "x = \udcff", "["]
)
def test_a_station_file_that_is_none_is_named(run: Run, data: Path, text: str) -> None:
    (data / "station.toml").write_text(text, errors="surrogateescape")
    code, _, message = run("log", "query", at=None)
    assert (code, "station file station.toml" in message, "--data" in message) == (2, True, True)
    assert "Traceback" not in message


def test_no_log_is_named(run: Run, tmp_path: Path) -> None:
    code, _, message = run("log", "query", at=tmp_path / "nothing")
    assert (code, "no such file" in message, "--data" in message) == (2, True, True)
    assert not (tmp_path / "nothing").exists()
    code, _, message = run("log", "query", at=None)
    assert (code, "station.toml" in message) == (2, True)


def test_audit_commands(run: Run, data: Path) -> None:
    engine = make_engine(log_url(LogSettings(), data), access="write")
    for number in range(3):
        AuditTrail(engine).append(by="anna", role="lead", action="recipe", subject=f"panel {number}")
    code, out, _ = run("audit", "verify")
    assert code == 0
    assert out.startswith("whole: 3 rows, head ")
    assert "panel 2" in run("audit", "list")[1]
    assert [json.loads(line)["id"] for line in run("audit", "list", "--json", "--limit", "2")[1].splitlines()] == [3, 2]
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit SET \"by\" = 'eve' WHERE id = 2"))
    engine.dispose()
    code, out, _ = run("audit", "verify")
    assert (code, out) == (1, "broken: row 2 (recipe by eve) was changed after it was written\n")


def test_the_screens_queries(settings: LogSettings, tmp_path: Path) -> None:
    fill(settings, tmp_path)
    reader = make_engine(log_url(settings, tmp_path), access="read")
    with Reading(reader) as connection:
        counts = queries.decision_counts(connection, PartFilter(lot="L1"))
        assert counts == {Decision.OK: 1, Decision.NG: 1, Decision.REVIEW: 1, Decision.NOT_INSPECTED: 1}
        assert queries.class_counts(connection) == {"dent": 2, "scratch": 1}
        assert queries.cause_counts(connection) == {"judged": 6}
        assert queries.latency_percentiles(connection) == {0.5: 3.0, 0.99: 6.0, 0.999: 6.0, 1.0: 6.0}
        assert queries.latency_percentiles(connection, PartFilter(lot="none")) == {}
        assert [(lot["id"], lot["parts"], lot["ok"]) for lot in queries.lots(connection)] == [
            ("L2", 2, 1),
            ("L1", 4, 1),
        ]
        assert [event["kind"] for event in queries.open_alarms(connection)] == ["camera_down"]
        assert [row["sequence"] for row in queries.parts_page(connection, PartFilter(), 2, oldest_first=True)] == [1, 2]
        last = queries.parts_page(connection, PartFilter(), 1)[0]
        assert [row["sequence"] for row in queries.parts_page(connection, PartFilter(before_id=last["id"]), 2)] == [
            5,
            4,
        ]
        assert [len(page) for page in queries.all_parts(connection, PartFilter(), page=4)] == [4, 2]
        assert queries.whole_part(connection, PartKey(7, 4711)) is None
    reader.dispose()
