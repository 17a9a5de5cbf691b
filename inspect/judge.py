"""One image through one bundle: preprocess, infer, regions, verdict, each with its time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.calibration import Calibration
from linegate.cameras.errors import SettingsError, WrongImage
from linegate.cameras.frame import Image
from linegate.inspect.lens import Lens
from linegate.inspect.part import Judgement
from linegate.inspect.regions import class_mask, find_regions
from linegate.inspect.runtime.session import InferenceSession, Output
from linegate.inspect.settings import RecipeSettings
from linegate.inspect.verdict import judge_view
from linegate.models.bundle import Bundle
from linegate.models.manifest import Manifest
from linegate.models.preprocess import Grid, Prepared, Preprocessor, check_image
from linegate.models.score import part_score

STAGES = ("preprocess", "infer", "regions", "verdict")


@dataclass(frozen=True, slots=True, eq=False)
class ViewResult:
    """What one view of a part came to. It owns all of its arrays: nothing in it changes with the next image.

    Attributes:
        judgement: the verdict, its reason and its regions.
        part_score: 0..1, higher = worse; the same as the judgement's score.
        embedding: (D,) float32 of the tile with the highest part head, or None where the bundle has none.
        timings_ns: time of each of ``STAGES``.
        score_map: (K, rows, columns) float32, 0..1, on the output grid.
        grid: where the map's cells lie in the image.
    """

    judgement: Judgement
    part_score: float
    embedding: NDArray[np.float32] | None
    timings_ns: Mapping[str, int]
    score_map: NDArray[np.float32] = field(repr=False)
    grid: Grid = field(repr=False)
    _manifest: Manifest = field(repr=False)

    def class_mask(self) -> NDArray[np.uint8]:
        """(H, W) uint8 at the image's own size: class index + 1, 0 is background. Milliseconds: not on the verdict path."""
        return class_mask(self.score_map, self.grid, self._manifest)

    def heat(self) -> NDArray[np.uint8]:
        """(H, W) uint8 at the image's own size: the highest class's probability, 0..255. Not on the verdict path either."""
        highest = np.ascontiguousarray(self.score_map.max(axis=0))
        return np.asarray(np.clip(self.grid.to_image(highest) * 255 + 0.5, 0, 255), np.uint8)


class Judge:
    """A bundle on a session under a recipe; used by one thread at a time.

    Without a recipe any size and kind of image is taken and converted, and the bundle's thresholds alone decide.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: InferenceSession,
        recipe: RecipeSettings | None = None,
        *,
        pixel_mm: float | None = None,
        calibrations: Mapping[str, Calibration] = MappingProxyType({}),
    ) -> None:
        """``pixel_mm``: size of an image pixel on the part; None takes the recipe's, else the bundle's. ``calibrations``: of
        the cameras that have one, by name; their pictures are measured by it.

        Raises:
            SettingsError: a rule of the recipe names a class that the bundle does not know; it would never fit.
        """
        check_rules(bundle, recipe)
        self.bundle = bundle
        self.session = session
        self.recipe = recipe
        of_recipe = recipe.pixel_mm if recipe is not None else None
        self.pixel_mm = pixel_mm or of_recipe or bundle.manifest.input.pixel_mm
        self._lenses = {camera: Lens(calibration) for camera, calibration in calibrations.items()}
        self._preprocessor = Preprocessor(bundle.manifest.input)

    def judge(self, image: Image, camera: str = "") -> ViewResult:
        """``image``: (H, W) grey or (H, W, 3) RGB, uint8 or uint16; only read. ``camera``: whose calibration counts.

        Raises:
            CameraError: not the size that the camera was calibrated with; the line makes it NOT_INSPECTED.
            WrongImage: not the size or channels that the recipe declares; the line makes it NOT_INSPECTED.
            RuntimeFailed: the network failed on it; likewise.
        """
        start = time.perf_counter_ns()
        check_image(image)
        self._check_recipe(image)
        prepared = self._preprocessor.prepare(image)
        ready = time.perf_counter_ns()
        score_map, heads, embedding = self._infer(prepared)
        inferred = time.perf_counter_ns()
        manifest = self.bundle.manifest
        grid = prepared.layout.grid
        score = part_score(heads, score_map, manifest.score)
        regions = find_regions(score_map, grid, manifest, self.pixel_mm, self._lenses.get(camera))
        found = time.perf_counter_ns()
        judgement = judge_view(regions, score, manifest.thresholds, self.recipe)
        end = time.perf_counter_ns()
        timings = dict(zip(STAGES, (ready - start, inferred - ready, found - inferred, end - found), strict=True))
        return ViewResult(judgement, score, embedding, timings, score_map, grid, manifest)

    def close(self) -> None:
        """Free the session's device. Never raises."""
        self.session.close()

    def _infer(self, prepared: Prepared) -> tuple[NDArray[np.float32], list[float], NDArray[np.float32] | None]:
        outputs: list[Output] = []
        for tensor in prepared.tensors:
            raw = self.session.infer(tensor)
            # The session overwrites its arrays at the next call, and the result outlives it.
            embedding = None if raw.embedding is None else raw.embedding.copy()
            outputs.append(Output(raw.mask.copy(), raw.part_score, embedding))
        worst = max(outputs, key=lambda output: output.part_score)
        stitched = prepared.layout.stitch([output.mask for output in outputs])
        return stitched, [output.part_score for output in outputs], worst.embedding

    def _check_recipe(self, image: Image) -> None:
        if self.recipe is None:
            return
        channels = self.recipe.channels or self.bundle.manifest.input.channels
        found = 1 if image.ndim == 2 else 3
        if found != channels:
            raise WrongImage(
                f"image for recipe {self.recipe.id} ({self.recipe.name})",
                expected=f"{channels} channel{'s' if channels > 1 else ''}",
                found=f"{found}: shape {image.shape}",
                remedy="Set the camera's pixel format, or channels in the recipe to what the camera delivers.",
            )
        size = self.recipe.size_px
        if size is not None and (image.shape[1], image.shape[0]) != size:
            raise WrongImage(
                f"image for recipe {self.recipe.id} ({self.recipe.name})",
                expected=f"{size[0]} x {size[1]} px",
                found=f"{image.shape[1]} x {image.shape[0]} px",
                remedy="Set the camera's ROI, or size_px in the recipe to what the camera delivers.",
            )


def check_rules(bundle: Bundle, recipe: RecipeSettings | None) -> None:
    """Raises SettingsError when a rule of ``recipe`` names a class that ``bundle`` does not know."""
    known = bundle.manifest.classes
    if recipe is None:
        return
    for rule in recipe.rules:
        if rule.defect_class != "*" and rule.defect_class not in known:
            near = get_close_matches(rule.defect_class, known, n=1)
            raise SettingsError(
                f"recipe {recipe.id} ({recipe.name}), rule for {rule.defect_class!r}",
                expected=f"a class of bundle {bundle.label}: {', '.join(known)}",
                found=repr(rule.defect_class),
                remedy=f"Did you mean {near[0]!r}?" if near else "Correct the rule's defect_class.",
            )


def check_fits(bundle: Bundle, recipes: Iterable[RecipeSettings]) -> None:
    """Raises SettingsError where one of ``recipes`` that takes the live bundle could not take this one."""
    for recipe in recipes:
        if not recipe.bundle:
            check_rules(bundle, recipe)
