"""`linegate release`: the gate, approval, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linegate.cameras.errors import SettingsError
from linegate.training.default_group import DefaultGroup

if TYPE_CHECKING:
    from linegate.models.bundle import Bundle
    from linegate.models.certificate import Waiver
    from linegate.training.conditions import GateSettings
    from linegate.training.place import Place

release_app = typer.Typer(cls=DefaultGroup, no_args_is_help=True)

_STATION = "station.toml of the station; its store holds the live bundle."
Station = Annotated[Path, typer.Option("--station", help=_STATION)]
By = Annotated[str, typer.Option("--by", help="Who does it.")]
Why = Annotated[str, typer.Option("--why", help="Why, for the record.")]
_MOST = "Most true share of "
Margin = Annotated[float, typer.Option(help=_MOST + "negative flips.")]
MostEscapes = Annotated[float, typer.Option(help=_MOST + "bad parts that pass.")]
MostOverkill = Annotated[float, typer.Option(help=_MOST + "good parts held back.")]
Slack = Annotated[
    float, typer.Option("--overkill-slack", help="By how much overkill's bound may be worse than the live bundle's.")
]


@release_app.callback()
def _release() -> None:
    """Put a candidate through the release gate, make it live, or roll back."""


@release_app.command("data")
def release_candidate(
    candidate: Annotated[
        str, typer.Argument(help="The candidate's bundle folder, or its name in the station's store.")
    ],
    frozen: Annotated[list[Path], typer.Option(help="Labelled parts that it was not trained on; repeatable.")],
    must_catch: Annotated[list[Path] | None, typer.Option(help="Past escapes and challenge parts; repeatable.")] = None,
    station: Annotated[Path | None, typer.Option(help=_STATION)] = None,
    live: Annotated[
        str, typer.Option(help="Without --station: the bundle it replaces, a folder or a released name.")
    ] = "",
    first: Annotated[bool, typer.Option("--first", help="It replaces none: nothing is compared.")] = False,
    snapshot: Annotated[
        Path | None, typer.Option(help="The candidate's training snapshot; default: the bundle's own.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes; default: CANDIDATE.release.html.")] = None,
    margin: Margin = 0.01,
    most_escapes: MostEscapes = 0.05,
    most_overkill: MostOverkill = 0.10,
    slack: Slack = 0.0,
    waive: Annotated[
        list[str] | None, typer.Option(help="NAME=REASON: lets pass what can't be tested; repeatable.")
    ] = None,
    approve: Annotated[str, typer.Option(help="Name of the person who approves; without it nothing goes live.")] = "",
    why: Why = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Without --station: folder of the certified bundle; default: CANDIDATE-released."),
    ] = None,
) -> None:
    """Judge a candidate; with --approve and --why, make it live if all conditions hold."""
    from rich.console import Console

    from linegate.models.store import resolve_bundle
    from linegate.training.place import Place
    from linegate.training.progress import counting
    from linegate.training.release import GateData, gate
    from linegate.training.release_report import write_release_report
    from linegate.training.releasing import (
        Approval,
        certified,
        check_named,
        network_of,
        refusal,
        release,
        shadow_figures,
    )
    from linegate.training.sources import load_frozen, load_must_catch

    place = Place.of(station) if station is not None else None
    bundle = resolve_bundle(candidate, place.store if place is not None else None)
    before = _before(place, live, first)
    work = bundle.folder.with_name(f"{bundle.folder.name}.train")
    data = GateData.of(bundle, before, load_frozen(frozen), load_must_catch(must_catch or (), station))
    if snapshot is not None or data.training is None:
        data = data.trained_on(snapshot or work / "snapshot.json")
    page = report or bundle.folder.with_name(f"{bundle.folder.name}.release.html")
    target = out or bundle.folder.with_name(f"{bundle.folder.name}-released")
    # What would refuse the release in any case, before the minutes of judging.
    if place is not None:
        place.check_fits(bundle)
    if approve:
        check_named(bundle, Approval(approve, why))
        if place is None:
            _check_new(target)
    limits = gate_settings(
        flip_margin=margin, most_escapes=most_escapes, most_overkill=most_overkill, overkill_slack=slack
    )
    with counting(Console(), "judge", 1000) as progress:
        verdict = gate(
            bundle,
            before,
            data,
            limits,
            runtime=place.settings.runtime if place is not None else None,
            waivers=_waivers(waive or ()),
            compare_network=network_of(work),
            shadow=shadow_figures(place, bundle) if place is not None else None,
            tell=lambda done, _words: progress(round(1000 * done)),
        )
    verdict = write_release_report(page, verdict)
    if before is None:
        typer.echo("A first release: there is nothing to compare it with.")
    for condition in verdict.findings.conditions:
        typer.echo(
            f"{'holds' if condition.held else 'FAILS'}  {condition.number} {condition.name}: {condition.finding}"
        )
    typer.echo(f"report: {page}")
    if not verdict.held:
        raise refusal(verdict, page)
    if not approve:
        typer.echo("All conditions hold. Nothing is changed without --approve NAME and --why REASON.")
    elif place is None:
        typer.echo(f"certified: {certified(verdict, page, Approval(approve, why), target).folder}")
    else:
        typer.echo(release(place, verdict, page, Approval(approve, why)).words)


@release_app.command("promote")
def promote_certified(
    name: Annotated[str, typer.Argument(help="A certified bundle's name in the store.")],
    station: Station,
    by: By,
    why: Why,
) -> None:
    """Make a bundle live that was certified before."""
    from linegate.training.place import Place
    from linegate.training.releasing import promote

    typer.echo(promote(Place.of(station), name, by, why))


@release_app.command("shadow")
def shadow_candidate(
    station: Station,
    by: By,
    candidate: Annotated[
        str, typer.Argument(help="A bundle's folder, or its name in the station's store; without it the shadow ends.")
    ] = "",
    why: Why = "",
) -> None:
    """Let a candidate judge beside the live bundle, without a say; without a candidate, end it."""
    from linegate.models.store import resolve_bundle
    from linegate.training.place import Place
    from linegate.training.releasing import shadow

    place = Place.of(station)
    typer.echo(shadow(place, resolve_bundle(candidate, place.store) if candidate else None, by, why))


@release_app.command("rollback")
def rollback(station: Station, by: By, why: Why = "") -> None:
    """Make live what was live before."""
    from linegate.training.place import Place
    from linegate.training.releasing import roll_back

    typer.echo(roll_back(Place.of(station), by, why))


@release_app.command("status")
def status(station: Station) -> None:
    """What is live, in shadow and waiting."""
    from linegate.models.certificate import why_uncertified
    from linegate.training.place import Place
    from linegate.training.releasing import shadow_figures

    place = Place.of(station)
    store = place.store
    pointers, live = store.pointers(), store.live()
    lacking = why_uncertified(live)
    typer.echo(f"live: {live.label}" + (f", certificate: {lacking}" if lacking else ", certified"))
    typer.echo(f"shadow: {pointers.shadow or 'none'}")
    if (shadowed := store.shadow()) is not None and (figures := shadow_figures(place, shadowed)) is not None:
        typer.echo("  " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))
    typer.echo(f"candidates: {', '.join(pointers.candidates) or 'none'}")
    for change in pointers.history[-10:]:
        typer.echo(f"{change.utc} {change.action} {change.bundle or '(installation)'} by {change.who}: {change.why}")


def _before(place: Place | None, live: str, first: bool) -> Bundle | None:
    """The bundle that the candidate would replace. Raises SettingsError unless exactly one thing says it."""
    from linegate.models.store import resolve_bundle

    if (place is not None) + bool(live) + first != 1:
        raise SettingsError(
            "what the candidate replaces",
            expected="one of --station, --live and --first",
            found="none of them" if not (place or live or first) else "more than one",
            remedy="Name the station, or the bundle that judges its parts now; --first where none does.",
        )
    return place.live() if place is not None else None if first else resolve_bundle(live)


def _check_new(folder: Path) -> None:
    if folder.exists():
        raise SettingsError(
            f"option --out {folder}",
            expected="a folder that does not exist yet",
            found="one that does",
            remedy="Name another; a certified bundle is not overwritten.",
        )


def gate_settings(**limits: float) -> GateSettings:
    """How strict the gate is, by options of a command. Raises SettingsError."""
    from pydantic import ValidationError

    from linegate.training.conditions import GateSettings

    try:
        return GateSettings(**limits)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"option for {str(first['loc'][0]).replace('_', ' ')}",
            expected=first["msg"],
            found=repr(first["input"]),
            remedy="Beyond this a bundle that finds nothing could pass.",
        ) from None


def _waivers(given: list[str] | tuple[()]) -> list[Waiver]:
    from linegate.models.certificate import Waiver

    found = []
    for text in given:
        name, equals, why = (word.strip() for word in text.partition("="))
        if not (name and equals and why):
            raise SettingsError(
                "option --waive",
                expected="NAME=REASON",
                found=repr(text),
                remedy="Take the name from the refusal, and say why.",
            )
        found.append(Waiver(name=name, why=why))
    return found
