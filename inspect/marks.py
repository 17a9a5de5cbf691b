"""A person at the line says that a verdict was wrong: the part's pictures are kept, and the part gets a label."""

from __future__ import annotations

from collections.abc import Mapping

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.labels import LabelStore, NewLabel

WHOLE_PART = ""
"""The label's camera where nobody pointed at a picture: nobody knows which of them shows it."""
NO_PICTURE = {
    "escape": "no picture is kept: the release gate can't test this case",
    "overkill": "no picture is kept: training can't use this case",
}


def mark_part(
    labels: LabelStore, images: ImageStore, kind: str, key: PartKey, by: str, place: Mapping[str, object]
) -> str:
    """Save a version of the part's label. ``kind``: escape or overkill; ``place``: camera, x_px, y_px as far as the person
    pointed. Returns what there is to say of the part's pictures, "" where they are kept.

    Waits for disk and database. Raises LabelError when there is no such part, or LogError.
    """
    kept = images.recall(key)
    camera = str(place.get("camera", WHOLE_PART))
    newest = labels.newest(key, camera)
    label = NewLabel(
        key,
        camera,
        Decision.NG if kind == "escape" else Decision.OK,
        by,
        kind=kind,
        must_catch=kind == "escape",
        note=f"at {place['x_px']}, {place['y_px']} px" if "x_px" in place and "y_px" in place else "",
        source="operator",
    )
    labels.save(label, parent=newest.version if newest is not None else 0)
    return "" if camera in kept or (camera == WHOLE_PART and kept) else NO_PICTURE[kind]
