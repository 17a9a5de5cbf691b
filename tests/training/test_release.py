from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings import RuntimeSettings
from linegate.models import certificate as names
from linegate.models.bundle import Bundle, load_bundle, save_bundle
from linegate.models.certificate import Waiver, certificate_of
from linegate.training.builds import TORCH, build_name
from linegate.training.conditions import NO_CASES, GateSettings, Waivers, apart
from linegate.training.dataset import Dataset, Lost, load_folder
from linegate.training.judge import judge
from linegate.training.output import OutputError
from linegate.training.release import GateData, ReleaseRefused, Verdict, gate
from linegate.training.release_report import write_release_report
from linegate.training.releasing import Approval, certified, network_of, refusal
from linegate.training.snapshot import Snapshot
from linegate.training.sources import load_frozen, merge
from linegate.training.splits import with_split

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]
LOOSE = GateSettings(flip_margin=0.05, most_escapes=0.2, most_overkill=0.3)
NONE_YET = Waiver(name=NO_CASES, why="the first weeks")


@pytest.fixture(scope="module")
def weak(linegate: Linegate, trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same data that learnt next to nothing."""
    out = tmp_path_factory.mktemp("weak") / "bundle"
    code, words = linegate("train", trained[0], "--steps", 2, "--threads", 1, "--seed", 2, "--out", out)
    assert code == 0, words
    return out


def judged(
    candidate: Path | Bundle,
    live: Path | None,
    data: Dataset,
    cases: Dataset | None = None,
    waivers: Sequence[Waiver] = (NONE_YET,),
    **more: Any,
) -> Verdict:
    bundle = candidate if isinstance(candidate, Bundle) else load_bundle(candidate)
    before = load_bundle(live) if live is not None else None
    gate_data = GateData.of(bundle, before, data, cases)
    return gate(bundle, before, gate_data, more.pop("limits", LOOSE), waivers=waivers, **more)


def device(candidate: Path, runtime: RuntimeSettings) -> str:
    """What the engine makes of it here."""
    session = open_session(load_bundle(candidate), runtime)
    session.close()
    return session.device


def failed(verdict: Verdict) -> list[str]:
    return [condition.name for condition in verdict.findings.conditions if not condition.held]


def finding(verdict: Verdict, name: str) -> str:
    return next(condition.finding for condition in verdict.findings.conditions if condition.name == name)


def changed(bundle: Path, folder: Path, **fields: Any) -> Bundle:
    """The same network under another manifest."""
    old = load_bundle(bundle)
    manifest = {**old.manifest.model_dump(mode="json"), **fields}
    return save_bundle(folder, manifest, old.model_bytes(), old.snapshot_bytes())


def test_a_candidate_as_good_as_the_live_one_passes_and_carries_its_certificate(
    trained: tuple[Path, Path], frozen: Path, tmp_path: Path
) -> None:
    said: list[float] = []
    verdict = judged(trained[1], trained[1], load_folder(frozen), tell=lambda done, _words: said.append(done))
    assert failed(verdict) == []
    assert said == sorted(said)
    assert said[-1] == pytest.approx(1.0)
    report = tmp_path / "release.html"
    verdict = write_release_report(report, verdict)
    for nobody in (Approval(" ", "why"), Approval("Ada", "")):
        with pytest.raises(ReleaseRefused, match="the name of the person"):
            certified(verdict, report, nobody, tmp_path / "released")
    bundle = certified(verdict, report, Approval("Ada", "first release"), tmp_path / "released")
    found = certificate_of(bundle)
    assert (found.approved_by, found.candidate, found.live) == ("Ada", load_bundle(trained[1]).sha256, found.candidate)
    assert (found.frozen_parts, found.frozen_pictures) == (60, 66)
    flips = next(c for c in found.conditions if c.name == names.FLIPS)
    assert (flips.count, flips.total, flips.limit) == (0, 60, 0.05)
    assert flips.upper == pytest.approx(1 - 0.05 ** (1 / 60))
    assert found.parity[0].build == "torch fp32"
    both = RuntimeSettings(), RuntimeSettings(engine="onnxruntime", precision="fp32")
    assert {device(trained[1], one) for one in both} <= {p.build for p in found.parity}
    assert bundle.manifest.model_sha256 == load_bundle(trained[1]).manifest.model_sha256


def test_a_worse_candidate_is_refused_with_its_parts_in_pictures(
    trained: tuple[Path, Path], weak: Path, frozen: Path, tmp_path: Path
) -> None:
    verdict = judged(weak, trained[1], load_folder(frozen))
    wrong = failed(verdict)
    assert names.FLIPS in wrong
    assert verdict.shown[names.FLIPS]
    page = tmp_path / "release.html"
    verdict = write_release_report(page, verdict)
    assert "is refused" in page.read_text()
    assert page.read_text().count("data:image/png;base64") == len(verdict.shown)
    error = refusal(verdict, page)
    assert all(name in str(error) for name in wrong)
    with pytest.raises(ReleaseRefused):
        certified(verdict, page, Approval("Ada", "why"), tmp_path / "released")


def test_a_build_that_judges_otherwise_refuses_its_own_station_alone(trained: tuple[Path, Path], frozen: Path) -> None:
    never = LOOSE.model_copy(update={"score_change": 1e-12})
    runtime = RuntimeSettings(engine="onnxruntime", precision="fp32")
    mine, data = device(trained[1], runtime), load_folder(frozen)
    verdict = judged(trained[1], trained[1], data, limits=never, runtime=runtime)
    assert failed(verdict) == [names.BUILDS]
    assert "at most 1e-12 of change may be" in finding(verdict, names.BUILDS)
    for runtime_of_others in (None, RuntimeSettings(precision="accuracy")):
        verdict = judged(trained[1], trained[1], data, limits=never, runtime=runtime_of_others)
        assert failed(verdict) == []
        barred = next(p for p in verdict.findings.parity if p.build == mine)
        assert f"{barred.words()} (may not judge parts)" in finding(verdict, names.BUILDS)


@pytest.mark.parametrize("first", [False, True])
def test_a_detector_that_never_rejects_does_not_pass(
    trained: tuple[Path, Path], frozen: Path, tmp_path: Path, first: bool
) -> None:
    """Even against a live one that never rejects either, where nothing flips and nothing is worse."""
    thresholds = load_bundle(trained[1]).manifest.thresholds.model_dump()
    blind = {"review": 1.0, "reject": 1.0}
    thresholds |= {"part_review": 1.0, "part_reject": 1.0, "classes": dict.fromkeys(("spot", "line"), blind)}
    nothing = changed(trained[1], tmp_path / "nothing", thresholds=thresholds)
    verdict = judged(nothing, None if first else nothing.folder, load_folder(frozen))
    assert names.ESCAPES in failed(verdict)
    good = load_folder(frozen)
    good = good.with_samples([s for s in good.samples if s.label == "good"])
    verdict = judged(nothing, None if first else nothing.folder, good)
    assert {names.CLASSES, names.ESCAPES} <= set(failed(verdict))
    with pytest.raises(ValueError, match=r"less than or equal to 0\.05"):
        GateSettings(flip_margin=0.5)


def test_a_waiver_of_what_is_tested_is_a_slip_of_the_pen(trained: tuple[Path, Path], make_folder: MakeFolder) -> None:
    few = load_folder(make_folder(good=2, spot=2, line=2, seed=9))
    assert names.MUST_CATCH in failed(judged(trained[1], trained[1], few, waivers=()))
    lost = replace(few.with_samples([]), lost=(Lost("0001-5/top", "its picture was not kept"),))
    assert "0001-5/top" in finding(judged(trained[1], trained[1], few, lost, waivers=()), names.MUST_CATCH)
    with pytest.raises(ReleaseRefused, match="no cases: tested, or not known"):
        judged(trained[1], trained[1], few, lost, waivers=[NONE_YET])


def test_a_frozen_set_that_was_trained_on_proves_nothing(
    trained: tuple[Path, Path], make_folder: MakeFolder, tmp_path: Path
) -> None:
    few = load_folder(make_folder(good=2, spot=2, line=2, seed=9))
    assert names.APART not in failed(judged(trained[1], trained[1], few))
    learnt = load_folder(trained[0])
    assert names.APART in failed(judged(trained[1], trained[1], learnt.with_samples(learnt.samples[:4])))
    without = changed(trained[1], tmp_path / "bundle")
    (without.folder / "snapshot.json").unlink()
    assert names.APART in failed(judged(without, trained[1], few))


def _rows(dataset: Dataset) -> Snapshot:
    return Snapshot.of(with_split(dataset, 0.25, 0))


def test_apart_means_pictures_and_named_groups_of_whatever_source(
    make_folder: MakeFolder, frozen: Path, tmp_path: Path
) -> None:
    base, log = load_folder(make_folder(name="base")), load_folder(make_folder(name="log", seed=6))
    training = _rows(merge([base, log]))

    def held(frozen: Dataset) -> bool:
        return apart(training.sha256, Snapshot.of(frozen), training, None, Waivers(())).condition.held

    other = make_folder(name="other", seed=7)
    assert held(load_folder(other))
    table = other / "split.csv"
    before = table.read_text()
    table.write_text(before.replace("g7-003", "g6-003"))  # a lot that only the second source was trained on
    assert not held(load_folder(other))
    table.write_text(before)
    picture = cv2.imread(str(log.samples[3].image), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(other / "images" / "copy.bmp"), cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    table.write_text(before + "copy.bmp,,good,,another\n")  # trained on as PNG, in grey
    assert not held(load_folder(other))
    # Two folders whose files happen to have the same names are two.
    for folder in (other, Path(base.source)):
        (folder / "split.csv").unlink()
    (other / "images" / "copy.bmp").unlink()
    training = _rows(load_folder(Path(base.source)))
    assert {s.name for s in load_folder(other).samples} & {row["part"] for row in training.rows()}
    assert held(load_folder(other))


def test_copies_of_one_part_prove_no_more_than_the_part(trained: tuple[Path, Path], make_folder: MakeFolder) -> None:
    data = load_folder(make_folder(good=2, spot=2, line=2, seed=9))
    copies = [
        replace(sample, name=f"{n}-{sample.name}", unit=f"{n}-{sample.unit}", group=f"{n}-{sample.group}")
        for n in range(12)
        for sample in data.samples
    ]
    verdict = judged(trained[1], trained[1], data.with_samples(copies))
    assert (verdict.findings.frozen_parts, verdict.findings.frozen_pictures) == (3, 72)
    assert {names.FLIPS, names.ESCAPES} <= set(failed(verdict))


def test_a_missed_past_escape_refuses(trained: tuple[Path, Path], frozen: Path, make_folder: MakeFolder) -> None:
    cases = make_folder(name="cases", good=2, spot=2, line=2, seed=11)
    table = cases / "split.csv"
    # A good part that somebody says must be caught: no honest model can.
    table.write_text(table.read_text().replace(",good,", ",defect,"))
    for mask in (cases / "masks").glob("good*"):
        mask.unlink()
    verdict = judged(trained[1], trained[1], load_folder(frozen), load_folder(cases), waivers=())
    assert names.MUST_CATCH in failed(verdict)
    assert {j.sample.name for j in verdict.shown[names.MUST_CATCH]} <= {"good_000.png", "good_001.png"}
    assert finding(verdict, names.MUST_CATCH).startswith("1 of 3 parts (6 pictures) missed")


def _with_rust(folder: Path) -> Path:
    """The same folder in another order of classes, with one that nobody trained on."""
    (folder / "classes.txt").write_text("1 line\n2 rust\n3 spot\n")
    table = folder / "split.csv"
    table.write_text(table.read_text().replace("defect,line,g9-057", "defect,rust,g9-057"))
    for path in (folder / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        number = int(path.stem.rsplit("_", 1)[1])
        own = np.where(mask == 1, 3, np.where(mask == 2, 2 if number // 2 == 57 else 1, 0))
        cv2.imwrite(str(path), own.astype(np.uint8))
    return folder


def test_classes_go_by_name_and_one_that_the_live_bundle_does_not_know_is_a_defect_all_the_same(
    trained: tuple[Path, Path], frozen: Path, tmp_path: Path
) -> None:
    rusty = load_folder(_with_rust(Path(shutil.copytree(frozen, tmp_path / "rusty"))))
    bundle = load_bundle(trained[1])
    before = {j.sample.name: j for j in judge(bundle, load_folder(frozen).samples)}
    for now in judge(bundle, rusty.samples):
        then = before[now.sample.name]
        assert (now.score, now.regions, now.found) == (then.score, then.regions, then.found)
        if now.sample.classes == ("rust",):
            assert now.bad
            assert now.regions
        else:
            assert (now.both == then.both).all()
            assert (now.either == then.either).all()
    assert failed(judged(trained[1], trained[1], rusty)) == []


def test_builds_are_the_stations_own_and_one_that_is_not_there_is_named(
    trained: tuple[Path, Path], frozen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_folder(frozen)
    own = RuntimeSettings(engine="onnxruntime", precision="fp32", threads=2)
    verdict = judged(trained[1], None, data, runtime=own)
    others, mine, default = [p.build for p in verdict.findings.parity][-3:]
    assert (mine, default) == (device(trained[1], own), device(trained[1], RuntimeSettings()))
    assert others == TORCH
    slow = RuntimeSettings(precision="fp32")  # where the default is fp32 too, it is one build and named once
    found = [p.build for p in judged(trained[1], None, data, runtime=slow).findings.parity]
    assert len(found) == len(set(found))
    assert device(trained[1], slow) in found
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    verdict = judged(trained[1], None, data)
    assert failed(verdict) == []
    assert "onnxruntime fp32, 1 thread: not installed here" in finding(verdict, names.BUILDS)
    verdict = judged(trained[1], None, data, runtime=own)
    assert failed(verdict) == [names.BUILDS]
    assert f"{build_name(own)}: not installed here" in finding(verdict, names.BUILDS)


def test_a_build_that_flips_a_verdict_refuses_and_shows_the_part(
    trained: tuple[Path, Path], frozen: Path, tmp_path: Path
) -> None:
    """A threshold between the scores that two engines give one part."""
    data, bundle = load_folder(frozen), load_bundle(trained[1])
    runs = [
        judge(bundle, data.samples, RuntimeSettings(engine="onnxruntime", precision="fp32")),
        judge(bundle, data.samples),
    ]
    apart = max(zip(*runs, strict=True), key=lambda pair: abs(pair[0].score - pair[1].score) * (pair[0].score > 1e-4))
    between = sum(j.score for j in apart) / 2
    assert apart[0].score != apart[1].score
    thresholds = bundle.manifest.thresholds.model_dump() | {"part_review": between, "part_reject": 1.0}
    blind = {"review": 1.0, "reject": 1.0}
    thresholds["classes"] = dict.fromkeys(("spot", "line"), blind)
    runtime = RuntimeSettings(engine="onnxruntime", precision="fp32")
    verdict = judged(changed(trained[1], tmp_path / "between", thresholds=thresholds), None, data, runtime=runtime)
    assert names.BUILDS in failed(verdict)
    assert apart[0].sample.name in {j.sample.name for j in verdict.shown[names.BUILDS]}
    own = device(trained[1], runtime)
    assert f"{own}: 1 verdict flips" in finding(verdict, names.BUILDS)


def test_the_export_is_compared_with_the_network_that_was_trained(
    trained: tuple[Path, Path], weak: Path, frozen: Path, tmp_path: Path
) -> None:
    data = load_folder(frozen)
    again = judged(trained[1], None, data, compare_network=network_of(trained[1].with_name("bundle.train")))
    assert failed(again) == []
    now, then, *_ = again.findings.parity
    assert (now.build, now.pictures, then.build, then.pictures) == ("torch fp32", 66, "torch fp32", 16)
    other = judged(trained[1], None, data, compare_network=network_of(weak.with_name("bundle.train")))
    assert failed(other) == [names.BUILDS]
    bare = changed(trained[1], tmp_path / "bare", parity=[])
    verdict = judged(bare, None, data.with_samples(data.samples[:4]))
    assert "not waived: torch fp32 parity" in finding(verdict, names.BUILDS)


def test_of_a_source_with_a_test_side_only_that_side_is_frozen(make_folder: MakeFolder) -> None:
    folder = make_folder(good=4, spot=2, line=2)
    table = folder / "split.csv"
    table.write_text(
        table.read_text()
        .replace("good_000.png,,", "good_000.png,test,")
        .replace("good_001.png,,", "good_001.png,test,")
    )
    assert [s.name for s in load_frozen([folder]).samples] == ["good_000.png", "good_001.png"]


def test_the_report_that_does_not_fit_on_the_disk_is_said(
    trained: tuple[Path, Path], frozen: Path, tmp_path: Path
) -> None:
    verdict = judged(trained[1], None, load_folder(frozen))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"release\.html"):
        write_release_report(tmp_path / "file" / "release.html", verdict)
    assert json.loads(verdict.findings.model_dump_json())["candidate"] == load_bundle(trained[1]).sha256
