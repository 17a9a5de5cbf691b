"""Try what the virtual line shows: its belt, and the photos that lie on it."""

from __future__ import annotations

from pathlib import Path

import cv2

from linegate.inspect.findings import Finding, attempt
from linegate.inspect.settings import StationSettings
from linegate.inspect.virtual.launch import check_rate
from linegate.inspect.virtual.pictures import Photo, find_photos
from linegate.inspect.virtual_overrides import shown_photos

NAMED = 3


def check_belt(station: StationSettings) -> Finding:
    """As many parts between camera and gate as the PLC has slots for."""
    assert station.virtual is not None
    virtual = station.virtual

    def trial() -> Finding:
        check_rate(virtual.rate_parts_per_s, virtual.camera_to_gate_ms)
        found = f"{virtual.rate_parts_per_s:g} parts/s, {virtual.camera_to_gate_ms:g} ms from the camera to the gate"
        return Finding("virtual line", True, found, "")

    return attempt("virtual line", trial, "")


def check_photos(station: StationSettings, base: Path) -> Finding:
    """Every photo opens, has the size that the recipe asks for and a mask of its own size; and what the bundle has seen of
    them."""
    assert station.virtual is not None and station.virtual.photos is not None
    folder = station.virtual.photos
    size_px = next(recipe.size_px for recipe in station.recipes if recipe.id == station.recipe)

    def trial() -> Finding:
        wrong: list[str] = []
        photos, _ = find_photos(folder)
        for photo in photos:
            wrong += filter(None, [_look_at(photo, size_px)])
        if wrong:
            more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            remedy = "Repair or remove them, or set size_px of the recipe to what they have."
            return Finding("photos", False, f"{folder}: {'; '.join(wrong[:NAMED])}{more}", remedy)
        sides = shown_photos(station, station.data, base)
        assert sides is not None
        return Finding("photos", True, f"{folder}: {sides.words()}", "")

    return attempt("photos", trial, "")


def _look_at(photo: Photo, size_px: tuple[int, int] | None) -> str:
    """What is wrong with a photo, "" for nothing."""
    image = cv2.imread(str(photo.image), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return f"{photo.image.name} can't be read"
    found = (image.shape[1], image.shape[0])
    if size_px is not None and found != size_px:
        return f"{photo.image.name} has {found[0]} × {found[1]} px, the recipe asks for {size_px[0]} × {size_px[1]}"
    if photo.mask is None:
        return ""
    mask = cv2.imread(str(photo.mask), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        return f"mask {photo.mask.name} can't be read"
    if mask.shape != image.shape:
        return f"mask {photo.mask.name} has {mask.shape[1]} × {mask.shape[0]} px, its photo {found[0]} × {found[1]}"
    return ""
