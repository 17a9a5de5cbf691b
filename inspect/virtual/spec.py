"""What a virtual panel is: its drawing, in mm, and how often which defect befalls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linegate.cameras.errors import SettingsError
from linegate.inspect.settings import VirtualSettings

SIZE_PX = 1024
PIXEL_MM = 0.25
CLASSES = ("background", "scratch", "dent", "stain", "crack", "missing_hole")
"""Class of each mask value. A panel of ``PanelSpec(spatter_share > 0)`` may also carry 6, UNKNOWN_CLASS."""
UNKNOWN_CLASS = "weld_spatter"
"""A kind of defect that is not in the default mix: what a line meets that its model never saw."""
KINDS = (*CLASSES[1:], UNKNOWN_CLASS)
"""Every kind of defect that can be drawn."""
PICTURE_PX = (256, 512, 1024)
"""Widths of picture that a panel can be seen at."""
WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.6)


@dataclass(frozen=True, slots=True)
class HoleSpec:
    """A punched hole, in mm from the panel's centre, x to the right, y down. A boss is the raised ring around it;
    only a hole with a boss can be missing (the others are cut by a second tool)."""

    x_mm: float
    y_mm: float
    diameter_mm: float
    boss_mm: float = 0.0


PATTERN = (
    HoleSpec(-92.0, -76.0, 11.0, 19.0),
    HoleSpec(92.0, -76.0, 11.0, 19.0),
    HoleSpec(-92.0, 76.0, 11.0, 19.0),
    HoleSpec(92.0, 76.0, 11.0, 19.0),
    HoleSpec(0.0, -68.0, 8.0, 15.0),
    HoleSpec(0.0, 0.0, 46.0),
)


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """The product and its troubles.

    Attributes:
        defect_share: probability that a panel carries at least one defect.
        weights: relative frequency of CLASSES[1:]; all 0 leaves weld spatter alone.
        spatter_share: probability that a defective panel's first defect is weld spatter instead, 0..1.
        parts_per_lot: panels that share a coil, a light setting and a grain.
        width_mm, height_mm, corner_mm: outline and corner radius of the panel.
        pixel_mm: size of a drawn pixel.
        picture_px: width and height of the picture, one of PICTURE_PX: a camera of fewer pixels sees the same panel.
    """

    defect_share: float = 0.2
    weights: tuple[float, ...] = WEIGHTS
    spatter_share: float = 0.0
    parts_per_lot: int = 100
    width_mm: float = 216.0
    height_mm: float = 184.0
    corner_mm: float = 16.0
    holes: tuple[HoleSpec, ...] = PATTERN
    pixel_mm: float = PIXEL_MM
    picture_px: int = SIZE_PX

    @property
    def classes(self) -> tuple[str, ...]:
        """Background, and the kinds of defect that befall this product. A data set of it numbers them so; a panel's mask
        keeps the numbers of CLASSES, with UNKNOWN_CLASS after them."""
        mixed = tuple(name for name, weight in zip(CLASSES[1:], self.weights, strict=True) if weight > 0)
        return (CLASSES[0], *mixed, *((UNKNOWN_CLASS,) if self.spatter_share > 0 else ()))

    @property
    def picture_mm(self) -> float:
        """Size of a pixel of the picture."""
        return self.pixel_mm * SIZE_PX / self.picture_px


def panel_spec(
    defects: Sequence[str] = (),
    *,
    defect_share: float = 0.2,
    parts_per_lot: int = 100,
    picture_px: int = SIZE_PX,
) -> PanelSpec:
    """The default product with only these kinds of defect, in the frequencies they have to each other; () is the default mix.

    The same seed then brings the same panels, in the same pose and light, whatever befalls them. Raises SettingsError for a
    kind or size that isn't there.
    """
    strange = [name for name in defects if name not in KINDS]
    if strange:
        raise SettingsError(
            "kinds of defect of the virtual line",
            expected=f"some of {', '.join(KINDS)}",
            found=", ".join(map(repr, strange)),
            remedy="Correct the list; commas stand between its names.",
        )
    if picture_px not in PICTURE_PX:
        raise SettingsError(
            "picture size of the virtual line",
            expected=f"one of {', '.join(map(str, PICTURE_PX))} px",
            found=str(picture_px),
            remedy="Choose one of them.",
        )
    weights = tuple(
        weight if not defects or name in defects else 0.0 for name, weight in zip(CLASSES[1:], WEIGHTS, strict=True)
    )
    return PanelSpec(
        defect_share=defect_share,
        weights=weights,
        spatter_share=1 / len(set(defects)) if UNKNOWN_CLASS in defects else 0.0,
        parts_per_lot=parts_per_lot,
        picture_px=picture_px,
    )


def defect_names(text: str) -> tuple[str, ...]:
    """ "scratch, dent" → its names; "" is none."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def drawn(settings: VirtualSettings) -> PanelSpec:
    """The panels that a virtual line of these settings brings. Raises SettingsError for an unknown kind of defect."""
    return panel_spec(settings.defects, defect_share=settings.defect_share, picture_px=settings.picture_px)
