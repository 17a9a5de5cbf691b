"""From labelled data to a bundle: split, freeze, fit, export, tune the thresholds, prove parity, report."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle, BundleError, save_bundle
from linegate.models.manifest import (
    ClassThreshold,
    InputSpec,
    Manifest,
    Parity,
    Provenance,
    ScoreSpec,
    Thresholds,
)
from linegate.training.baselines import build
from linegate.training.builds import build_parity
from linegate.training.card import model_card
from linegate.training.checkpoint import FILE
from linegate.training.checks import find_problems, summarise
from linegate.training.dataset import Dataset, DatasetError, Side
from linegate.training.evaluate import Evaluation, evaluate
from linegate.training.export import to_onnx, torch_parity
from linegate.training.fit import FitSettings, Fitted, Progress, fit
from linegate.training.int8 import Int8, export_int8
from linegate.training.judge import Judged, judge
from linegate.training.network import Net, NetSpec
from linegate.training.origin import code_sha256, commit
from linegate.training.output import write_output
from linegate.training.pictures import Pictures
from linegate.training.progress import counting, fitting, quiet
from linegate.training.ranks import NotFirst, Ranks
from linegate.training.record import RECORD, WEIGHTS, RunRecord
from linegate.training.report import write_report
from linegate.training.shapes import choose_input, survey
from linegate.training.snapshot import MANIFEST, Snapshot
from linegate.training.splits import with_split
from linegate.training.start import AGAIN, begin_from, some_inputs
from linegate.training.thresholds import choose_score, choose_thresholds
from linegate.training.weights import save_network

_PARITY_PARTS = 40
_JUDGE_S = 0.04
"""About what judging one picture takes; kept back from the budget of minutes."""
_TAIL_S = 8.0
_DRAFT, _TUNED, _INT8 = "draft", "tuned", "int8"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a training run is asked for, beyond ``FitSettings``."""

    name: str = "model"
    version: str = "1"
    share: float = 0.2
    """Share of parts kept for validation where the data name no split."""
    pixel_mm: float = 1.0
    skip_broken: bool = False
    command: str = "linegate train"
    licence: str = ""
    network: str = "auto"
    """"auto" takes Linegate's own network in the size that the data ask for; else a kind of ``NetSpec``."""
    split_seed: int | None = None
    """Seed of the split where it isn't the training's."""
    pretrained: bool = False
    """ImageNet weights for a baseline's trunk, where they can be had."""
    words: str = ""
    """The data in words; "" says the folder's name and counts."""
    int8: bool = False
    """Also write ``<out>-int8``, if it flips no verdict."""
    begin: Bundle | None = None
    """Begin with this bundle's network."""
    must_begin: bool = False
    """Refuse a bundle whose network isn't of the build that these data get, instead of beginning with nothing."""
    keep_weights: bool = False
    """Leave the fitted weights beside the report, to export them at another size."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out: the bundle and its evaluation on the validation side, and on the test side where the data name one, which
    nothing was fitted to and nothing chosen by."""

    bundle: Bundle
    evaluation: Evaluation
    parity: tuple[Parity, ...]
    report: Path
    minutes: float
    steps: int
    skipped: tuple[str, ...] = field(default=())
    tested: Evaluation | None = None
    int8: Int8 | None = None
    """None where it wasn't asked for."""


def work_folder(out: Path) -> Path:
    """Where a run for bundle folder ``out`` keeps its checkpoint and leaves its report."""
    return out.with_name(f"{out.name}.train")


def train(
    dataset: Dataset,
    out: Path,
    settings: FitSettings,
    options: TrainOptions,
    console: Console,
    cancelled: Callable[[], bool] = lambda: False,
    tell: Callable[[Progress], None] = quiet,
) -> Trained:
    """Train on ``dataset`` and write the bundle to ``out``, which must not exist; run again, it goes on where it stopped.

    Raises:
        DatasetError: the data can't be trained on; the file is named. CheckpointError, BundleError, OutputError: the disk or
            the folder.
        NotFirst: in every process of torchrun but the first, once the fit is over.
    """
    began = time.monotonic()
    int8_out = out.with_name(f"{out.name}-int8")
    for folder in (out, *([int8_out] if options.int8 else [])):
        if folder.exists():
            raise BundleError(
                f"bundle {folder}",
                expected="a folder that doesn't exist yet",
                found="one that does",
                remedy="Choose another --out.",
            )
    work = work_folder(out)
    split_seed = settings.seed if options.split_seed is None else options.split_seed
    dataset = with_split(dataset, options.share, split_seed)
    spec, size = choose_input(dataset, survey(dataset, split_seed), options.pixel_mm)
    net_spec = NetSpec.of(size, len(dataset.classes), spec.channels, levelled=spec.fit != "tile")
    if options.network != "auto":
        net_spec = NetSpec.model_validate({**net_spec.model_dump(), "kind": options.network})
        spec = spec.model_copy(update={"stride_px": net_spec.stride_px})
    console.print(
        f"{_counts(dataset)}; input {spec.width_px} × {spec.height_px} × {spec.channels}, {spec.fit}, net {size}"
    )
    if dataset.lost:
        some = ", ".join(f"{one.name} ({one.why})" for one in dataset.lost[:6])
        console.print(f"{len(dataset.lost)} labelled parts can't be used: {some}", highlight=False)
    pictures, dataset, broken = _read(dataset, spec, work, options, console)
    snapshot = Snapshot.of(dataset)
    settings = _within(settings, time.monotonic() - began, len(dataset.side("val", "test")))
    fitted, begun_sha256 = _fit(net_spec, options, pictures, settings, work, snapshot, console, cancelled, tell)
    if Ranks.join().rank:
        raise NotFirst
    write_output(work / MANIFEST, snapshot.document)
    provenance = _provenance(dataset, settings, options, snapshot, fitted, begun_sha256)
    save_network(work, fitted.net)
    bundle, judged = _tune(fitted, dataset, spec, options, provenance, snapshot, work, console)
    broken += {s.name for s in dataset.side("val")} - {j.sample.name for j in judged}  # lost since they were read
    parity = (*bundle.manifest.parity, build_parity(bundle, judged, RuntimeSettings(precision="bf16")))
    int8 = export_int8(bundle, dataset.side("train"), judged, work / _INT8) if options.int8 else None
    evaluation = evaluate(judged, bundle.manifest)
    test = judge(bundle, dataset.side("test"), skip_broken=options.skip_broken)
    tested = evaluate(test, bundle.manifest) if test else None
    builds = parity if int8 is None else (*parity, int8.parity)
    report = write_report(work / "report.html", bundle, judged, evaluation, builds, fitted.history, tested)
    write_output(work / "card.md", model_card(bundle, evaluation, builds, tested, int8.words() if int8 else ""))
    record = RunRecord.of(fitted, bundle.manifest, evaluation, judged)
    write_output(work / RECORD, record.model_dump_json(indent=1) + "\n")
    if options.keep_weights:
        write_output(work / WEIGHTS, _weights(fitted))
    # The bundle comes last: whatever ends the command before, the same command goes on from the checkpoint.
    if int8 is not None and int8.draft is not None:
        proven = int8.draft.manifest.model_copy(update={"parity": (*bundle.manifest.parity, int8.parity)})
        save_bundle(int8_out, proven, int8.draft.model_bytes(), bundle.snapshot_bytes())
    bundle = save_bundle(out, bundle.manifest, bundle.model_bytes(), bundle.snapshot_bytes())
    for draft in (_TUNED, _INT8):
        shutil.rmtree(work / draft, ignore_errors=True)
    (work / FILE).unlink(missing_ok=True)
    minutes = (time.monotonic() - began) / 60
    return Trained(bundle, evaluation, parity, report, minutes, fitted.steps, tuple(broken), tested, int8)


def _read(
    dataset: Dataset, spec: InputSpec, work: Path, options: TrainOptions, console: Console
) -> tuple[Pictures, Dataset, list[str]]:
    """The pictures to train on, the dataset without broken files, and their names; without ``skip_broken`` there are none.

    All are opened before anything is fitted: a broken validation picture must not show itself after the budget is spent.
    """
    samples = dataset.side("train")
    with counting(console, "read", len(samples)) as progress:
        pictures = Pictures.load(
            spec, dataset.classes, samples, work, skip_broken=options.skip_broken, progress=progress
        )
    others = [sample for sample in dataset.samples if sample.side != "train"]
    with counting(console, "check", len(others)) as progress:
        problems = find_problems(dataset.with_samples(others), spec.channels, progress)
    if problems and not options.skip_broken:
        raise summarise(problems)
    broken = [sample.name for sample, _ in (*pictures.skipped, *problems)]
    left = dataset.with_samples([sample for sample in dataset.samples if sample.name not in set(broken)])
    needed: tuple[tuple[Side, str], ...] = (("train", "to train on"), ("val", "to validate on"))
    for side, words in needed:
        if not left.side(side):
            raise DatasetError(
                f"dataset {dataset.source}",
                expected=f"readable pictures {words}",
                found=f"none among {len(dataset.side(side))}",
                remedy=f"Restore the files, {broken[0]} first.",
            )
    return pictures, left, broken


def _fit(
    net_spec: NetSpec,
    options: TrainOptions,
    pictures: Pictures,
    settings: FitSettings,
    work: Path,
    snapshot: Snapshot,
    console: Console,
    cancelled: Callable[[], bool],
    tell: Callable[[Progress], None],
) -> tuple[Fitted, str]:
    """The fitted network, and the hash of the bundle that it began with."""
    identity: dict[str, Any] = {"data": snapshot.sha256, "net": net_spec.model_dump_json()}
    net, begun_sha256 = _begin(net_spec, options, pictures, settings.seed, console)
    if begun_sha256:
        identity["begun"] = begun_sha256
        settings = settings.model_copy(update={"rate": settings.rate * AGAIN})
    told = False
    with fitting(console) as show:

        def report(progress: Progress) -> None:
            nonlocal told
            if not told and progress.step > 1:
                console.print(f"goes on from step {progress.step - 1}, where the checkpoint is", highlight=False)
            told = True
            losses = f"mask {progress.mask_loss:.3f} part {progress.part_loss:.3f}"
            words = f"{progress.phase} step {progress.step} {losses} {progress.images_per_s:.0f} images/s"
            show(progress.done, progress.eta_s, words)
            tell(progress)

        fitted = fit(net, pictures, settings, work, identity, report, cancelled, anchored=bool(begun_sha256))
        return fitted, begun_sha256


def _begin(
    net_spec: NetSpec, options: TrainOptions, pictures: Pictures, seed: int, console: Console
) -> tuple[Net, str]:
    """A network to be fitted, with the weights of ``options.begin`` where that is of its build, and that bundle's hash."""
    torch.manual_seed(seed)
    net = build(net_spec, options.pretrained)
    if options.begin is None:
        return net, ""
    try:
        begin_from(net, options.begin, pictures.classes, some_inputs(pictures))
    except BundleError as error:
        if options.must_begin:
            raise
        console.print(f"begins with nothing: {error.thing} has {error.found}", highlight=False)
        torch.manual_seed(seed)
        return build(net_spec, options.pretrained), ""
    console.print(f"begins with the network of {options.begin.label}", highlight=False)
    return net, options.begin.sha256


def _within(settings: FitSettings, spent_s: float, judged: int) -> FitSettings:
    """The budget of minutes less what reading took and evaluating will take, at least a third of it."""
    if settings.steps is not None or settings.minutes is None:
        return settings
    rest = settings.minutes - (spent_s + _TAIL_S + 2 * _JUDGE_S * judged) / 60
    return settings.model_copy(update={"minutes": max(settings.minutes / 3, rest)})


def _tune(
    fitted: Fitted,
    dataset: Dataset,
    spec: InputSpec,
    options: TrainOptions,
    provenance: Provenance,
    snapshot: Snapshot,
    work: Path,
    console: Console,
) -> tuple[Bundle, list[Judged]]:
    """Judge the validation side with an untuned bundle, choose score and thresholds, judge again with the tuned one, and save
    it in ``work`` with the proof of its export."""
    onnx = to_onnx(fitted.net, spec)
    plain = ClassThreshold(review=0.6, reject=0.9)
    manifest = Manifest(
        name=options.name,
        version=options.version,
        classes=dataset.classes,
        input=spec,
        embedding=fitted.net.spec.widths[-1],
        thresholds=Thresholds(part_review=0.5, part_reject=0.5, classes=dict.fromkeys(dataset.classes, plain)),
        provenance=provenance,
        model_sha256="0" * 64,
    )
    draft = _draft(work, manifest, onnx)
    validation = dataset.side("val")
    with counting(console, "judge", len(validation)) as progress:
        judged = judge(draft, validation, skip_broken=options.skip_broken, progress=progress)
    score = choose_score(judged)
    judged = rescored(judged, score)
    thresholds = choose_thresholds(judged, dataset.classes)
    manifest = manifest.model_copy(update={"score": score, "thresholds": thresholds})
    tuned = _draft(work, manifest, onnx)
    judged = judge(tuned, [j.sample for j in judged])
    some = judged[:: max(1, len(judged) // _PARITY_PARTS)]
    manifest = manifest.model_copy(update={"parity": (torch_parity(fitted.net, tuned, some),)})
    shutil.rmtree(tuned.folder)
    shutil.rmtree(work / _TUNED, ignore_errors=True)
    return save_bundle(work / _TUNED, manifest, onnx, snapshot.document), judged


def _draft(work: Path, manifest: Manifest, onnx: bytes) -> Bundle:
    """A bundle to judge with, in the place of the one before."""
    shutil.rmtree(work / _DRAFT, ignore_errors=True)
    return save_bundle(work / _DRAFT, manifest, onnx)


def rescored(judged: list[Judged], score: ScoreSpec) -> list[Judged]:
    """The same parts with the score that ``score`` makes of their heads and peaks."""
    weight = score.head_weight
    return [replace(j, score=weight * j.head + (1 - weight) * j.peaks[score.smooth_cells]) for j in judged]


def _weights(fitted: Fitted) -> bytes:
    file = io.BytesIO()
    torch.save(fitted.net.state_dict(), file)
    return file.getvalue()


def _provenance(
    dataset: Dataset,
    settings: FitSettings,
    options: TrainOptions,
    snapshot: Snapshot,
    fitted: Fitted,
    begun_sha256: str,
) -> Provenance:
    return Provenance(
        command=options.command,
        commit=commit(),
        code_sha256=code_sha256(),
        seed=settings.seed,
        begun_sha256=begun_sha256,
        data_sha256=snapshot.sha256,
        data=options.words or f"{dataset.source.name}: {_counts(dataset)}",
        trained_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        minutes=round(fitted.elapsed_s / 60, 2),
        licence=options.licence,
    )


def _counts(dataset: Dataset) -> str:
    sides = {side: sum(sample.side == side for sample in dataset.samples) for side in ("train", "val")}
    words = ", ".join(f"{count} {name}" for name, count in sorted(dataset.counts().items()))
    return f"{sides['train']} to train, {sides['val']} to validate ({words})"
