"""Labels are versions: never overwritten, never mixed up, told when somebody was faster."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from review_feed import SIZE, Past, defect
from sqlalchemy import select, text

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.audit import Act, entries
from linegate.inspect.partlog.errors import LogBusy, LogError
from linegate.inspect.partlog.labels import REPORTED, ClassGone, LabelConflict, LabelError, LabelStore, NewLabel
from linegate.inspect.partlog.masks import MaskError, decode_mask, encode_mask
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import image


def drawn(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (SIZE[1], SIZE[0]), np.uint8)


@pytest.fixture
def new(past: Past, labels: LabelStore) -> NewLabel:
    key = past.part(Decision.REVIEW, score=0.6)
    stored = labels.masks.put(encode_mask(drawn()))
    return NewLabel(key, "top", Decision.NG, "Quinn Li", stored.sha256, ("scratch", "dent", "stain"))


def test_versions_pile_up_and_the_masks_stay(labels: LabelStore, new: NewLabel) -> None:
    first = labels.save(new, parent=0)
    second_mask = labels.masks.put(encode_mask(drawn(2)))
    second = labels.save(replace(new, by="Ada", mask_sha256=second_mask.sha256), parent=1)
    assert [(one.version, one.by) for one in labels.history(new.key)] == [(1, "Quinn Li"), (2, "Ada")]
    assert labels.newest(new.key, "top") == second
    assert first.at_utc_ns <= second.at_utc_ns
    assert np.array_equal(decode_mask(labels.masks.get(first.mask_sha256 or "")), drawn())
    assert np.array_equal(decode_mask(labels.masks.get(second.mask_sha256 or "")), drawn(2))


def test_two_at_once_only_one_is_the_next_version(labels: LabelStore, new: NewLabel) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def save(name: str) -> None:
        start.wait(10)
        try:
            labels.save(replace(new, by=name), parent=0)
            outcomes.append("saved")
        except LabelConflict as conflict:
            outcomes.append("told")
            assert conflict.newest.version == 1
        except LogBusy:
            outcomes.append("busy")

    threads = [threading.Thread(target=save, args=(f"engineer {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes.count("saved") == 1
    assert len(outcomes) == 6
    assert len(labels.history(new.key)) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"key": PartKey(9, 9)}, LabelError),
        ({"kind": "opinion"}, LabelError),
        ({"decision": Decision.REVIEW}, LabelError),
        ({"classes": ("dent", "dent")}, LabelError),
        ({"mask_sha256": "0" * 64}, MaskError),
        ({"mask_sha256": "../../etc/passwd"}, MaskError),
    ],
)
def test_what_is_wrong_is_not_saved(
    labels: LabelStore, new: NewLabel, change: dict[str, object], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        labels.save(replace(new, **change), parent=0)
    assert labels.history(new.key) == []


def test_a_mask_value_without_a_class_is_refused(labels: LabelStore, new: NewLabel) -> None:
    with pytest.raises(LabelError, match="3"):
        labels.save(replace(new, classes=("scratch", "dent")), parent=0)


def test_a_must_catch_case_stays_one(labels: LabelStore, new: NewLabel) -> None:
    labels.save(replace(new, kind="escape", must_catch=True), parent=0)
    labels.save(replace(new, by="Ada", note="drawn more exactly"), parent=1)
    (case,) = labels.all_newest(must_catch=True)
    assert (case.version, case.by) == (2, "Ada")


def test_an_operators_report_never_replaces_what_quality_drew(labels: LabelStore, new: NewLabel) -> None:
    drawn_by_quality = labels.save(new, parent=0)
    report = NewLabel(new.key, "top", Decision.OK, "Otto", kind="overkill", source=REPORTED)
    labels.save(report, parent=1)
    assert list(labels.all_newest()) == [drawn_by_quality]
    confirmed = labels.save(replace(report, by="Quinn Li", source="overkill"), parent=2)
    assert list(labels.all_newest()) == [confirmed]
    assert [(one.version, one.by) for one in labels.history(new.key)] == [(1, "Quinn Li"), (2, "Otto"), (3, "Quinn Li")]


def test_an_operators_report_is_a_case_but_no_training_until_quality_has_looked(
    labels: LabelStore, new: NewLabel
) -> None:
    tap = NewLabel(new.key, "top", Decision.NG, "Otto", kind="escape", must_catch=True, source=REPORTED)
    reported = labels.save(tap, parent=0)
    assert list(labels.all_newest()) == []
    assert list(labels.all_newest(must_catch=True)) == [reported]
    confirmed = labels.save(new, parent=1)
    assert list(labels.all_newest()) == list(labels.all_newest(must_catch=True)) == [confirmed]
    labels.save(replace(new, decision=Decision.OK, kind="overkill", mask_sha256=None), parent=2)
    assert list(labels.all_newest(must_catch=True)) == []  # a slip of the finger blocks no release


@pytest.mark.parametrize(("decision", "cases"), [(Decision.NG, ["top"]), (Decision.OK, [])])
def test_a_report_about_the_whole_part_stands_until_each_picture_was_looked_at(
    past: Past, labels: LabelStore, decision: Decision, cases: list[str]
) -> None:
    """Scanned at the panel, with no picture to point at; quality then labels picture by picture."""
    key = past.part(keep=0.1, side=past.plate)
    past.settle()

    def found() -> list[str]:
        return sorted(case.camera for case in labels.all_newest(must_catch=True))

    labels.save(NewLabel(key, "", Decision.NG, "Otto", kind="escape", must_catch=True, source=REPORTED), parent=0)
    assert found() == [""]
    labels.save(NewLabel(key, "side", Decision.OK, "Quinn Li"), parent=0)
    assert found() == [""]
    labels.save(NewLabel(key, "top", decision, "Quinn Li"), parent=0)
    assert found() == cases


def test_an_answer_that_got_lost_is_no_conflict_with_oneself(past: Past, labels: LabelStore, new: NewLabel) -> None:
    act = Act("Quinn Li", "quality", "label", str(new.key))
    first = labels.save(new, parent=0, act=act)
    assert labels.save(new, parent=0, act=act) == first
    with pytest.raises(LabelConflict):
        labels.save(replace(new, decision=Decision.OK), parent=0, act=act)
    with Reading(past.log.reader) as connection:
        (entry,) = entries(connection)
    assert (entry.by, entry.action, entry.detail) == ("Quinn Li", "label", '{"version":1}')


def test_a_label_and_its_audit_row_stand_or_fall_together(past: Past, labels: LabelStore, new: NewLabel) -> None:
    with past.log.writer_engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"))
    with pytest.raises(LogError):
        labels.save(new, parent=0, act=Act("Quinn Li", "quality", "label"))
    assert labels.history(new.key) == []


def test_classes_of_another_time_are_kept_but_not_painted_with(labels: LabelStore, new: NewLabel) -> None:
    labels.save(new, parent=0, classes=("scratch", "dent", "stain", "rust"))
    again = replace(new, by="Ada", note="the class is gone, its marks are kept")
    labels.save(again, parent=1, classes=("scratch", "dent"))
    other = replace(new, classes=("scratch", "dent", "burr"))
    with pytest.raises(ClassGone) as caught:
        labels.save(other, parent=2, classes=("scratch", "dent"))
    assert caught.value.names == ("burr",)
    assert len(labels.history(new.key)) == 2


def test_a_mask_of_another_size_is_no_label(labels: LabelStore, new: NewLabel) -> None:
    other = labels.masks.put(encode_mask(np.zeros((60, 80), np.uint8)))
    with pytest.raises(LabelError, match="1024 x 800"):
        labels.save(replace(new, mask_sha256=other.sha256), parent=0)


def test_only_what_was_kept_by_chance_says_something_about_a_rate(past: Past, labels: LabelStore) -> None:
    sampled, searched = past.part(keep=0.25), past.part(Decision.NG, score=0.9)
    past.settle()
    assert labels.save(NewLabel(sampled, "top", Decision.OK, "Quinn", source="sample"), parent=0).probability == 0.25
    assert labels.save(NewLabel(searched, "top", Decision.OK, "Quinn", source="ng"), parent=0).probability is None
    with pytest.raises(LabelError, match="kept on purpose"):
        labels.save(NewLabel(searched, "top", Decision.OK, "Quinn", source="sample"), parent=1)


def test_a_label_protects_its_picture(past: Past, labels: LabelStore) -> None:
    key, other = past.part(Decision.NG, score=0.9), past.part(Decision.NG, defect("dent", 400, 200), score=0.9)
    past.settle()  # both pictures are there
    labels.save(NewLabel(key, "top", Decision.NG, "Quinn Li"), parent=0)
    with past.log.writer_engine.begin() as connection:
        connection.execute(text("UPDATE image SET stored_utc_ns = 1"))
    with Reading(past.log.reader) as connection:
        files = dict(connection.execute(select(image.c.sequence, image.c.sha256)).all())
    assert past.images.sweep(young_s=0).deleted == 1
    assert past.images.path(files[key.sequence]).exists()
    assert not past.images.path(files[other.sequence]).exists()


@pytest.mark.parametrize(
    "damage", [lambda png: png[:-20], lambda png: png[:60] + b"xx" + png[62:], lambda png: b"GIF" + png]
)
def test_a_damaged_mask_is_refused(labels: LabelStore, past: Past, damage) -> None:
    with pytest.raises(MaskError):
        labels.masks.put(damage(encode_mask(drawn())))
    assert not list((past.data / "labels").rglob("*.png"))


def test_a_mask_changed_on_disk_is_noticed(labels: LabelStore, new: NewLabel) -> None:
    path = labels.masks.path(new.mask_sha256 or "")
    path.write_bytes(encode_mask(drawn(7)))
    with pytest.raises(MaskError, match="bytes that were saved"):
        labels.masks.get(new.mask_sha256 or "")
