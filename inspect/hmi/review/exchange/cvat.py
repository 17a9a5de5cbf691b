"""CVAT for images 1.1, mask shapes. https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from xml.etree import ElementTree as Xml

from linegate.inspect.hmi.review.exchange.picture import (
    Budget,
    LabelledPicture,
    Note,
    Pending,
    Piece,
    blobs,
    check_size,
    compose,
)
from linegate.inspect.hmi.review.exchange.rle import bad, decode_cvat, encode_cvat

_OTHER_SHAPES = {"polygon", "box", "polyline", "ellipse", "points", "cuboid", "skeleton"}


def write(pictures: Sequence[Pending]) -> Iterator[str]:
    """The XML text, picture by picture."""
    meta = Xml.Element("meta")
    task = Xml.SubElement(meta, "task")
    Xml.SubElement(task, "name").text = "Linegate labels"
    Xml.SubElement(task, "size").text = str(len(pictures))
    labels = Xml.SubElement(task, "labels")
    for name in dict.fromkeys(name for picture in pictures for name in picture.classes):
        entry = Xml.SubElement(labels, "label")
        Xml.SubElement(entry, "name").text = name
        Xml.SubElement(entry, "type").text = "mask"
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    yield Xml.tostring(meta, encoding="unicode")
    budget = Budget()
    for number, pending in enumerate(pictures):
        yield Xml.tostring(_image(number, pending.draw(budget)), encoding="unicode")
    yield "</annotations>"


def _image(number: int, picture: LabelledPicture) -> Xml.Element:
    size = {"width": str(picture.width_px), "height": str(picture.height_px)}
    image = Xml.Element("image", {"id": str(number), "name": picture.name, **size})
    for piece in blobs(picture):
        counts, (_, _, width, height) = encode_cvat(piece.crop)
        Xml.SubElement(
            image,
            "mask",
            {
                "label": piece.label,
                "source": "manual",
                "occluded": "0",
                "rle": ", ".join(map(str, counts)),
                "left": str(piece.x),
                "top": str(piece.y),
                "width": str(width),
                "height": str(height),
                "z_order": "0",
            },
        )
    return image


class _NoDoctype(Xml.TreeBuilder):
    """Entities can unfold to gigabytes, and only a document type declares them. CVAT never writes one."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser, wherever in the file it stands."""
        raise bad("cvat_doctype", f"document type {name!r:.40}", "CVAT's annotations.xml", "a document type")


def read(text: str | bytes, thing: str) -> list[Pending]:
    """All pictures of an annotations.xml. Raises ExchangeError; a document type is refused (entity bombs)."""
    try:
        root = Xml.fromstring(text, Xml.XMLParser(target=_NoDoctype()))
    except (Xml.ParseError, ValueError, LookupError) as error:
        raise bad("cvat_broken", thing, "CVAT's annotations.xml", f"{error!s:.120}") from error
    if root.tag != "annotations":
        raise bad("cvat_broken", thing, "CVAT's annotations.xml", f"<{root.tag:.40}>")
    found = []
    for image in root.iter("image"):
        name = image.get("name", "")
        width, height = check_size(name, image.get("width"), image.get("height"))
        where = f"{thing}, picture {name!r}"
        found.append(Pending(name, width, height, partial(_draw, name, width, height, image, where)))
    return found


def _draw(name: str, width: int, height: int, image: Xml.Element, where: str, budget: Budget) -> LabelledPicture:
    other = sum(child.tag in _OTHER_SHAPES for child in image)
    notes = [Note("other_shapes", {"count": other})] if other else []
    shapes = sorted(image.findall("mask"), key=lambda shape: _whole(shape.get("z_order") or "0", where))
    return compose(name, width, height, (_piece(shape, width, height, where) for shape in shapes), budget, notes)


def _piece(shape: Xml.Element, width: int, height: int, where: str) -> Piece:
    counts = [_whole(n, where) for n in shape.get("rle", "").split(",")]
    left, top, w, h = (_whole(shape.get(key, ""), where) for key in ("left", "top", "width", "height"))
    return Piece(shape.get("label", ""), left, top, decode_cvat(counts, (left, top, w, h), height, width, where))


def _whole(text: str, where: str) -> int:
    """CVAT writes whole numbers, some of them as "12.0"."""
    try:
        return int(float(text)) if "." in text else int(text)
    except (ValueError, OverflowError) as error:
        raise bad("cvat_shape", where, "a mask with rle, left, top, width and height", f"{error!s:.80}") from error
