"""`linegate log label`: labels from a file into the part log, as the review screen's import takes them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from linegate.cameras.errors import SettingsError
from linegate.inspect.commands.log_options import STATION, Data, Station, Url
from linegate.inspect.commands.place import log_place

_ROLE = "quality"
_SOME = 10


def label(
    file: Annotated[
        Path, typer.Argument(help="A zip with masks/ and classes.txt; COCO, CVAT or Label Studio, alone or in a zip.")
    ],
    by: Annotated[str, typer.Option("--by", help="Who labelled.")],
    escapes: Annotated[
        bool,
        typer.Option("--escapes", help="Bad parts that the line passed are escapes: every release must catch them."),
    ] = False,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="Take classes that the station doesn't know yet.")
    ] = False,
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """Save labels that were drawn elsewhere; pictures are named EPOCH-SEQUENCE_CAMERA.png. Exit code 1 if one fits no part."""
    from linegate.inspect.hmi.review.classes import add_class, known_classes
    from linegate.inspect.hmi.review.exchange import service
    from linegate.inspect.hmi.review.exchange.archive import read_upload
    from linegate.inspect.partlog.audit import Act, acting
    from linegate.inspect.partlog.database import log_url, make_engine, open_reader
    from linegate.inspect.partlog.labels import LabelStore
    from linegate.inspect.partlog.queries import Reading

    settings, folder = log_place(station, data, url)
    reader = open_reader(settings, folder)
    writer = make_engine(log_url(settings, folder), access="write")
    try:
        with closing(_open(file)) as stream:
            store = LabelStore(writer, reader, folder)
            pictures = read_upload(stream, file.name)
            plan = service.plan(store, pictures)
            with Reading(reader) as connection:
                known = known_classes(connection)
            unknown = sorted(plan.classes - set(known))
            if unknown and not new_classes:
                raise SettingsError(
                    f"labels {file}",
                    expected=f"classes of this station: {', '.join(known) or 'none yet'}",
                    found=", ".join(unknown),
                    remedy="Correct the file, or pass --new-classes.",
                )
            _check_new(file, unknown, known)
            act = Act(by, _ROLE, "import", file.name, {"pictures": len(pictures), "classes": unknown})
            with acting(writer, act) as connection:
                for name in unknown:
                    known = add_class(connection, name)
            note = f"imported from {file.name}"
            done = service.save(store, pictures, classes=known, act=act, note=note, escapes=escapes)
    finally:
        reader.dispose()
        writer.dispose()
    states = Counter(one.state for one in done)
    sys.stdout.write(f"{states['saved']} labels saved, {states['same']} were there already\n")
    strange = [one for one in done if one.state in ("unknown", "size")]
    for one in strange[:_SOME]:
        words = "no part of this log" if one.state == "unknown" else "another size than the part's picture"
        sys.stdout.write(f"left out: {one.name}: {words}\n")
    if strange:
        raise typer.Exit(1)


def _check_new(file: Path, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises SettingsError for a new class that is one of the station's in other letters, or that is one too many."""
    from linegate.inspect.hmi.review.classes import MOST_CLASSES

    of_lower = {name.lower(): name for name in known}
    for name in names:
        if name.lower() in of_lower:
            raise SettingsError(
                f"labels {file}",
                expected=f"the station's class {of_lower[name.lower()]!r}",
                found=repr(name),
                remedy="Correct the file: two classes must differ in more than capitals.",
            )
        of_lower[name.lower()] = name
    if len(of_lower) > MOST_CLASSES:
        raise SettingsError(
            f"labels {file}",
            expected=f"at most {MOST_CLASSES} classes on a station",
            found=f"{len(of_lower)} with those of the file",
            remedy="Leave some out of the file.",
        )


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise SettingsError(
            f"labels {file}",
            expected="a file that can be read",
            found=error.strerror or str(error),
            remedy="Correct the name.",
        ) from error
