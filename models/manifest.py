"""The manifest of a bundle: everything needed to use a network the way it was trained, and to prove which one it is.

A bundle is a folder with two files: ``model.onnx`` and ``manifest.json``. The manifest carries the network's sha256; the
bundle's own identity is the sha256 of the manifest's bytes, so a change of either file changes or breaks it.

The network's contract:

- input ``image``: uint8 (1, C, H, W), grey or RGB; scaling to floats happens inside the network;
- output ``mask``: float32 (1, K, H / stride, W / stride), 0..1, one map for each defect class, in the manifest's order;
- output ``part``: float32 (1, 1), 0..1, probability of any defect;
- output ``embedding`` (optional): float32 (1, D).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
SNAPSHOT_FILE = "snapshot.json"
"""May lie beside the two: the manifest of the data that were trained on, whose sha256 is ``provenance.data_sha256``."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Part):
    """What the network takes, and how an image becomes that.

    fit: ``resize`` scales any image to width × height (aspect ratio not kept); ``pad`` scales it to fit, keeping the aspect
    ratio, and fills the rest (see ``fill``); ``tile`` cuts larger images into overlapping inputs at their own scale and blends
    the overlaps, so that there are no seams.
    """

    width_px: int = Field(gt=0, le=8192)
    height_px: int = Field(gt=0, le=8192)
    channels: Literal[1, 3]
    fit: Literal["resize", "pad", "tile"] = "resize"
    fill: Literal["border", "mean"] = "border"
    """What ``pad`` fills the rest with: the image's border pixels, drawn out into streaks, or its mean. Streaks of a ground
    surface look like scratches and cracks, and a crack that reaches the border is drawn out too."""
    overlap_px: int = Field(0, ge=0)
    """Least overlap of neighbouring tiles, input pixels; 0 takes a quarter of the input. Only ``tile`` uses it."""
    stride_px: int = Field(gt=0, le=64)
    """Input pixels per output pixel."""
    pixel_mm: float = Field(gt=0)
    """Size on the part of one pixel of the original image, where the recipe does not say otherwise."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> InputSpec:
        if self.width_px % self.stride_px or self.height_px % self.stride_px:
            raise ValueError(f"{self.width_px} x {self.height_px} px is not a multiple of stride_px = {self.stride_px}")
        if self.overlap_px >= min(self.width_px, self.height_px) - self.stride_px:
            raise ValueError(f"overlap_px = {self.overlap_px} leaves nothing of {self.width_px} x {self.height_px} px")
        return self


class ClassThreshold(_Part):
    """Scores of one defect class, 0..1: a region from ``reject`` up is NG, from ``review`` up a person looks."""

    review: float = Field(ge=0, le=1)
    reject: float = Field(ge=0, le=1)
    mask: float = Field(0.5, gt=0, lt=1)
    """Where the mask is cut into regions."""
    min_area_px: float = Field(0.0, ge=0)
    """Regions smaller than this, in original image pixels, are noise."""

    @model_validator(mode="after")
    def _ordered(self) -> ClassThreshold:
        if self.review > self.reject:
            raise ValueError(f"review = {self.review} lies above reject = {self.reject}")
        return self


class ScoreSpec(_Part):
    """How ``linegate.models.score`` makes one part score of the two heads."""

    head_weight: float = Field(0.5, ge=0, le=1)
    """Share of the part head; the rest is the smoothed mask's peak."""
    smooth_cells: int = Field(3, ge=1, le=31)
    """Side of the square over which the mask is averaged before its peak is taken, in cells of the output grid; odd."""

    @model_validator(mode="after")
    def _odd(self) -> ScoreSpec:
        if self.smooth_cells % 2 == 0:
            raise ValueError(f"smooth_cells = {self.smooth_cells} must be odd")
        return self


class Thresholds(_Part):
    """The three-way decision, as fitted on the validation set.

    A part is NG when its score is ≥ ``part_reject`` or a region reaches its class's ``reject``, REVIEW when it is
    ≥ ``part_review`` or a region reaches ``review``, else OK. The part's score is ``linegate.models.score``'s.
    """

    part_review: float = Field(ge=0, le=1)
    part_reject: float = Field(ge=0, le=1)
    classes: dict[str, ClassThreshold]
    guarantee: str = ""
    """What was promised for them, in words, with the data it rests on, or that the data were too few."""

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.part_review > self.part_reject:
            raise ValueError(f"part_review = {self.part_review} lies above part_reject = {self.part_reject}")
        return self


class Provenance(_Part):
    """Where the bundle comes from, enough to make it again."""

    command: str
    commit: str
    code_sha256: str = ""
    """Hash of the code that made it, which is the same in every copy of that code; empty in bundles from before it was kept."""
    seed: int
    begun_sha256: str = ""
    """The bundle whose network training began with; empty where it began with nothing."""
    data_sha256: str
    """Hash of the frozen training snapshot's manifest."""
    data: str
    """What the data are, in words."""
    trained_utc: str
    minutes: float = Field(ge=0)
    licence: str = ""


class Parity(_Part):
    """How one build of the network compares with the reference over the same pictures."""

    build: str
    """Engine, precision and threads."""
    reference: str
    pictures: int = Field(0, ge=0)
    score_change: float = Field(0.0, ge=0)
    """Largest absolute difference of a score."""
    flips: tuple[str, ...] = ()
    """Pictures whose verdict differs."""
    within: bool
    """Inside the limits for this build: for torch rtol 1e-3 / atol 1e-5 of every score, for another no flip of a verdict."""
    tried: bool = True
    """False where its engine is not on the machine that compared."""
    note: str = ""
    """Why there is nothing to compare."""

    def words(self) -> str:
        """ "openvino bf16, 1 thread: 0 verdict flips of 320 pictures, largest change of score 0.0012"."""
        if self.note:
            return f"{self.build}: {self.note}"
        flips = f"{len(self.flips)} verdict flips of {self.pictures} pictures"
        return f"{self.build}: {flips}, largest change of score {self.score_change:.2g}"


class Manifest(_Part):
    """manifest.json."""

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$")
    classes: tuple[str, ...] = Field(min_length=1, max_length=254)
    """Defect classes; mask PNGs carry index + 1, 0 is background."""
    input: InputSpec
    embedding: int = Field(0, ge=0)
    """Length D of the ``embedding`` output; 0 where the network has none."""
    score: ScoreSpec = ScoreSpec()
    thresholds: Thresholds
    provenance: Provenance
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    parity: tuple[Parity, ...] = ()
    """What training proved of the export, against the network as it was trained. A bundle whose export is not within the
    limits can't be certified. Engines and precisions are the release gate's to compare, where they will run."""
    certificate: dict[str, object] | None = None
    """The release gate's, as ``linegate.models.certificate`` reads it; None for a bundle that never passed it."""

    @model_validator(mode="after")
    def _classes_agree(self) -> Manifest:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must differ, found {list(self.classes)}")
        if set(self.thresholds.classes) != set(self.classes):
            raise ValueError(
                f"thresholds.classes has {sorted(self.thresholds.classes)}, classes are {sorted(self.classes)}"
            )
        return self
