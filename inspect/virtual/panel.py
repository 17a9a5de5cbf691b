"""Stamped panels with known truth: picture, exact mask and dimensions, by seed and index alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.virtual import marks
from linegate.inspect.virtual.defects import FLOOR, draw_defect, visibility
from linegate.inspect.virtual.lot import MARGIN_PX, MISSING_MARGIN_PX, U8, Lot, lot_of
from linegate.inspect.virtual.spec import CLASSES, PIXEL_MM, SIZE_PX, UNKNOWN_CLASS, HoleSpec, PanelSpec

__all__ = [
    "CLASSES",
    "PIXEL_MM",
    "SIZE_PX",
    "UNKNOWN_CLASS",
    "Defect",
    "Hole",
    "HoleSpec",
    "Panel",
    "PanelSpec",
    "draw_panel",
]

_CENTRE = (SIZE_PX - 1) / 2
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Hole:
    """A hole as it is on this panel: centre in image pixels (pixel centres are whole numbers), true diameter in mm;
    ``present`` is False for a hole that was not punched."""

    x_px: float
    y_px: float
    diameter_mm: float
    present: bool


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect of the truth: its class, its pixels of the mask, and how hard it is to see (0 plain, 1 at the floor)."""

    defect_class: str
    area_px: int
    difficulty: float


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One part's picture and truth.

    Attributes:
        image: (1024, 1024) uint8 grey, or (n, n) with ``PanelSpec.picture_px`` = n.
        mask: of the same size, uint8, index into CLASSES, UNKNOWN_CLASS after them; 0 exactly where no defect changed the
            surface.
        lot: name of the lot.
        defects: what is wrong with it; () for a good part.
        width_mm, height_mm, pixel_mm: the panel's outline and the size of a pixel.
        holes: the pattern as it lies in this image.
        angle_rad: how far the panel is turned.
    """

    seed: int
    index: int
    image: U8
    mask: U8
    lot: str
    defects: tuple[Defect, ...]
    width_mm: float
    height_mm: float
    pixel_mm: float
    holes: tuple[Hole, ...]
    angle_rad: float

    @property
    def good(self) -> bool:
        """True when it carries no defect."""
        return not self.defects

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its defect classes, each once, in the order of their indices in the mask."""
        order = (*CLASSES, UNKNOWN_CLASS)
        return tuple(sorted({defect.defect_class for defect in self.defects}, key=order.index))


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """A panel under work. ``solid``: 255 where a defect or a mark may lie, in the image's frame."""

    lot: Lot
    spec: PanelSpec
    pose: NDArray[np.float64]
    image: U8
    solid: U8
    mask: U8


def draw_panel(seed: int, index: int, spec: PanelSpec) -> Panel:
    """Panel ``index`` of the endless series ``seed``.

    The same arguments give the same pixels. Two specs that differ only in ``defect_share``, ``weights`` and
    ``spatter_share`` give the same panel outside its mask: defects are drawn from a random stream of their own.
    """
    lot = lot_of(seed, index // spec.parts_per_lot, spec)
    look = np.random.default_rng([seed, index, 1])
    fate = np.random.default_rng([seed, index, 2])
    angle = lot.offset[2] + look.normal(0, 0.004)
    pose = np.array(cv2.getRotationMatrix2D((_CENTRE, _CENTRE), -np.degrees(angle), 1.0), np.float64)
    pose[:, 2] += np.array(lot.offset[:2]) + look.uniform(-6, 6, 2)
    gain = float(look.normal(1, 0.02))
    x0, y0, x1, y1 = (int(v) for v in look.integers(0, MARGIN_PX, 4))
    wanted = _wanted(fate, spec)
    missing = [int(v) for v in fate.permutation(list(lot.unpunched))[: wanted.count("missing_hole")]]

    flat = lot.surface
    metal = lot.metal
    if missing:
        flat, metal = flat.copy(), metal.copy()
        for number in missing:
            window = lot.unpunched[number]
            place = np.s_[window.y : window.y + window.surface.shape[0], window.x : window.x + window.surface.shape[1]]
            flat[place], metal[place] = window.surface, window.metal
    grain = cv2.bitwise_and(lot.grain[y0 : y0 + SIZE_PX, x0 : x0 + SIZE_PX], metal.view(np.int8))
    grained = cv2.add(flat, grain, dtype=cv2.CV_8U)
    turned = cv2.warpAffine(grained, pose, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REFLECT)
    image = np.asarray(cv2.multiply(turned, lot.light, scale=gain / 128), np.uint8)
    solid = np.asarray(cv2.warpAffine(lot.solid, pose, (SIZE_PX, SIZE_PX), flags=cv2.INTER_NEAREST), np.uint8)
    scene = _Scene(lot, spec, pose, image, solid, np.zeros((SIZE_PX, SIZE_PX), np.uint8))

    places = look.uniform((100, 160), (924, 864), (16, 2))
    for mark in marks.harmless(look, places, 150.0):
        cut = mark.cut_to((SIZE_PX, SIZE_PX), solid)
        if cut is not None:
            cut.add_to(image)
    defects = [_unpunched(scene, number) for number in missing]
    for kind in (name for name in wanted if name != "missing_hole"):
        defects.extend(_lay(scene, kind, fate))
    noisy = cv2.add(image, lot.noise[y1 : y1 + SIZE_PX, x1 : x1 + SIZE_PX], dtype=cv2.CV_8U)
    shrink = SIZE_PX // spec.picture_px
    return Panel(
        seed=seed,
        index=index,
        image=_seen(np.asarray(noisy, np.uint8), spec.picture_px),
        mask=_covering(scene.mask, shrink),
        lot=lot.name,
        defects=tuple(replace(defect, area_px=max(1, defect.area_px // shrink**2)) for defect in defects),
        width_mm=spec.width_mm,
        height_mm=spec.height_mm,
        pixel_mm=spec.picture_mm,
        holes=tuple(
            Hole(*_shrunk(_to_image(scene, hole), shrink), hole.diameter_mm, number not in missing)
            for number, hole in enumerate(spec.holes)
        ),
        angle_rad=float(angle),
    )


def _seen(image: U8, width_px: int) -> U8:
    """As a camera of so many pixels sees it: each of them averages its share of the panel."""
    if width_px == SIZE_PX:
        return image
    return np.asarray(cv2.resize(image, (width_px, width_px), interpolation=cv2.INTER_AREA), np.uint8)


def _shrunk(at: tuple[float, float], shrink: int) -> tuple[float, float]:
    return (at[0] + 0.5) / shrink - 0.5, (at[1] + 0.5) / shrink - 0.5


def _covering(mask: U8, shrink: int) -> U8:
    """A pixel that a defect touches is the defect's."""
    side = SIZE_PX // shrink
    return np.asarray(mask.reshape(side, shrink, side, shrink).max((1, 3)), np.uint8) if shrink > 1 else mask


def _wanted(fate: np.random.Generator, spec: PanelSpec) -> list[str]:
    """The classes of this panel's defects, in the order they are laid."""
    if fate.random() >= spec.defect_share:
        return []
    count = int(fate.choice([1, 2, 3], p=[0.76, 0.18, 0.06]))
    if not any(spec.weights):
        return [UNKNOWN_CLASS] * count
    weights = np.asarray(spec.weights) / sum(spec.weights)
    kinds = [CLASSES[1 + int(fate.choice(weights.size, p=weights))] for _ in range(count)]
    if fate.random() < spec.spatter_share:
        kinds[0] = UNKNOWN_CLASS
    return kinds


def _to_image(scene: _Scene, hole: HoleSpec) -> tuple[float, float]:
    nominal = np.array([_CENTRE + hole.x_mm / scene.spec.pixel_mm, _CENTRE + hole.y_mm / scene.spec.pixel_mm, 1.0])
    x, y = scene.pose @ nominal
    return float(x), float(y)


def _unpunched(scene: _Scene, number: int) -> Defect:
    """Mark a missing hole in the mask; the surface has it already."""
    hole = scene.spec.holes[number]
    radius = hole.diameter_mm / 2 / scene.spec.pixel_mm + MISSING_MARGIN_PX
    x, y = _to_image(scene, hole)
    cv2.circle(
        scene.mask, (round(x * 16), round(y * 16)), round(radius * 16), CLASSES.index("missing_hole"), -1, cv2.LINE_8, 4
    )
    return Defect("missing_hole", int(np.pi * radius**2), 0.1)


def _lay(scene: _Scene, kind: str, fate: np.random.Generator) -> list[Defect]:
    """Draw one defect where there is metal enough for it and nothing else yet; [] when no place was found."""
    number = (*CLASSES, UNKNOWN_CLASS).index(kind)
    for _ in range(_TRIES):
        place = _start(scene, kind, fate)
        x, y = (int(v) for v in place)
        if not (0 <= x < SIZE_PX and 0 <= y < SIZE_PX) or (kind != "crack" and not scene.solid[y, x]):
            continue
        near = scene.image[max(0, y - 12) : y + 13, max(0, x - 12) : x + 13]
        whole = draw_defect(kind, fate, place, float(np.percentile(near, 60)), scene.lot)
        patch = whole.cut_to((SIZE_PX, SIZE_PX), scene.solid)
        if patch is None or patch.area_px < 0.7 * whole.area_px or visibility(patch, scene.lot) < FLOOR:
            continue
        under = scene.mask[patch.y : patch.y + patch.delta.shape[0], patch.x : patch.x + patch.delta.shape[1]]
        if under[patch.inside].any():
            continue
        patch.add_to(scene.image)
        under[patch.inside] = number
        return [Defect(kind, patch.area_px, min(1.0, FLOOR / visibility(patch, scene.lot)))]
    return []


def _start(scene: _Scene, kind: str, fate: np.random.Generator) -> NDArray[np.float64]:
    """Where a defect begins: anywhere, but most cracks start at a hole."""
    if kind == "crack" and fate.random() < 0.65:
        hole = scene.spec.holes[int(fate.integers(len(scene.spec.holes)))]
        way = fate.uniform(0, 2 * np.pi)
        radius = hole.diameter_mm / 2 / scene.spec.pixel_mm + 2
        return np.asarray(_to_image(scene, hole)) + radius * np.array([np.cos(way), np.sin(way)])
    return fate.uniform((90, 150), (934, 874))
