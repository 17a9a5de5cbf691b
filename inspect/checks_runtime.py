"""Try a recipe: its bundle is whole, its network loads on the engine, is fast enough and says what the reference says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.camera import CameraInfo
from linegate.cameras.convert import WireFormat
from linegate.inspect.bundles import station_bundle
from linegate.inspect.findings import Finding, attempt
from linegate.inspect.runtime.contract import input_port
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.proven import open_proven
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import RecipeSettings, RuntimeSettings, StationSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import why_uncertified

RUNS = 15
SCORE_TOLERANCE = 0.05
"""Largest difference of the part score from the reference engine's. The release gate has the strict test; this one
finds a driver or an engine that computes nonsense."""


def check_recipe(
    station: StationSettings, recipe: RecipeSettings, base: Path, cameras: Mapping[str, CameraInfo]
) -> Finding:
    """Bundle, rules, pictures, engine, speed; on a GPU also the comparison with the CPU's reference. ``cameras``: those that
    could be opened, by name."""
    about = f"recipe {recipe.id}"

    def trial() -> Finding:
        bundle = station_bundle(recipe.bundle, base, station.data)
        unknown = {rule.defect_class for rule in recipe.rules} - {"*", *bundle.manifest.classes}
        if unknown:
            return Finding(
                about,
                False,
                f"{bundle.label} has no class {', '.join(sorted(unknown))}; it has {', '.join(bundle.manifest.classes)}",
                f"Correct [[recipes.rules]] of recipe {recipe.id}, or give it the bundle it was written for.",
            )
        misfits = _misfits(station, recipe, bundle, cameras)
        if misfits:
            remedy = "Set pixel_format or roi of the camera, or channels or size_px of the recipe, so that they agree."
            return Finding(about, False, "; ".join(misfits), remedy)
        return _released(_try_bundle(about, station, bundle), bundle)

    return attempt(about, trial, "")


def _released(tried: Finding, bundle: Bundle) -> Finding:
    """The same, saying so where ``bundle`` never passed the release gate: it works, but nothing proves it."""
    lacking = why_uncertified(bundle)
    if not lacking:
        return tried
    found = f"{tried.found}; it has not passed the release gate: {lacking}"
    return replace(
        tried, found=found, remedy=tried.remedy or "Put it through `linegate release` before it judges parts."
    )


def check_shadow(station: StationSettings, base: Path) -> Finding:
    """The candidate that judges along: whole, and its network loads on the engine."""
    assert station.shadow is not None
    name = station.shadow.bundle
    return attempt("shadow", lambda: _try_bundle("shadow", station, station_bundle(name, base, station.data)), "")


def _misfits(
    station: StationSettings, recipe: RecipeSettings, bundle: Bundle, cameras: Mapping[str, CameraInfo]
) -> list[str]:
    """Why pictures of these cameras would not be judged. The virtual line's come in the size of its parts."""
    channels = recipe.channels or bundle.manifest.input.channels
    kinds = {1: "grey", 3: "colour"}
    found = []
    for name, info in cameras.items():
        if not info.pixel_format:
            continue  # it has no picture to tell it by, which is a finding of its own
        delivered = 1 if WireFormat.parse(info.pixel_format).layout == "Mono" else 3
        if delivered != channels:
            words = f"camera {name} delivers {kinds[delivered]} ({info.pixel_format}), {kinds[channels]} is asked for"
            found.append(f"{words} by {'the recipe' if recipe.channels else f'its bundle {bundle.label}'}")
        size = (info.width_px, info.height_px)
        if station.virtual is None and recipe.size_px is not None and size != recipe.size_px:
            words = f"camera {name} delivers {size[0]} × {size[1]} px"
            found.append(f"{words}, size_px asks for {recipe.size_px[0]} × {recipe.size_px[1]}")
    return found


def _try_bundle(about: str, station: StationSettings, bundle: Bundle) -> Finding:
    # A fixed pattern: the same tensor for every engine and every visit.
    tensor = np.random.default_rng(1).integers(0, 256, input_port(bundle.manifest).shape, dtype=np.uint8)
    begin = time.perf_counter()
    session, _, untried = open_proven(bundle, station.runtime)
    try:
        load_s = time.perf_counter() - begin
        p50, worst, score = _time(session, tensor)
        device = session.device
    finally:
        session.close()
    found = f"{bundle.label} on {device}: {p50:.1f} ms, worst of {RUNS} {worst:.1f} ms, loaded in {load_s:.1f} s"
    found += f"; {untried}" if untried else ""
    budget_ms = station.timing.deadline_ms - station.timing.log_reserve_ms
    if p50 > budget_ms:
        remedy = "Take a faster engine or a smaller bundle, more threads, or a longer deadline_ms."
        return Finding(about, False, f"{found}; [timing] leaves {budget_ms:g} ms", remedy)
    if station.runtime.engine in ("tensorrt", "cuda"):
        apart = abs(score - _reference(bundle, tensor))
        found += f"; part score {apart:.4f} from the reference"
        if apart > SCORE_TOLERANCE:
            return Finding(about, False, found, "Rebuild the engine; until then set [runtime] engine = openvino.")
    remedy = "Where the gate hasn't tried it, put it through `linegate release` with --station on this machine; where it has, "
    remedy += '[runtime] precision = "accuracy" asks for what runs anyway.'
    return Finding(about, True, found, remedy if untried else "")


def _time(session: InferenceSession, tensor: NDArray[np.uint8]) -> tuple[float, float, float]:
    """(median ms, worst ms, part score)."""
    times_ms = []
    score = 0.0
    for _ in range(RUNS):
        begin = time.perf_counter()
        score = session.infer(tensor).part_score
        times_ms.append((time.perf_counter() - begin) * 1000)
    return float(np.median(times_ms)), max(times_ms), score


def _reference(bundle: Bundle, tensor: NDArray[np.uint8]) -> float:
    session = open_session(bundle, RuntimeSettings(engine="openvino", precision="accuracy", warmup=1))
    try:
        return session.infer(tensor).part_score
    finally:
        session.close()
