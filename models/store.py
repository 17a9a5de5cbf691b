"""Which bundle is live, which is in shadow, which are candidates: one small file, replaced as a whole or not at all.

    <root>/bundles/<name>-<version>-<hash8>/   the bundles, never changed once they are here
    <root>/reports/<the same>.html             what the release gate said of them, with pictures
    <root>/pointers.json                       live, shadow, candidates, and who changed them when and why

A reader sees the pointers before a change or after it, never between. Writers, of whatever process, take turns by a lock
file. Each change returns its record; the caller writes it to the audit table. Only a bundle with its own certificate can
be live: neither ``promote`` and ``rollback`` nor ``live`` take another, so that a pointer set by hand changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from linegate.models.bundle import Bundle, load_bundle, sync_folder
from linegate.models.certificate import Findings, certificate_of, certify
from linegate.models.errors import BundleError

_POINTERS = "pointers.json"
Action = Literal["add", "certify", "promote", "rollback", "shadow", "unshadow", "discard"]


class Change(BaseModel):
    """One change of the pointers. Bundles are named by their folder in the store; "" is the packaged release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    bundle: str
    previous: str
    """What the pointer said before."""
    sha256: str
    """Identity of ``bundle``."""
    who: str
    why: str
    utc: str


class Pointers(BaseModel):
    """pointers.json. ``live`` "" stands for the newest packaged release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    live: str = ""
    shadow: str = ""
    candidates: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    """What was live before, oldest first: where a rollback goes."""
    history: tuple[Change, ...] = ()


def packaged_releases(load: Callable[[Path], Bundle] = load_bundle) -> list[Path]:
    """Folders of the bundles that came with this installation, oldest first."""
    root = Path(str(files("linegate.models"))) / "releases"
    found = [path.parent for path in root.glob("*/manifest.json")]
    return sorted(found, key=lambda path: _age(load(path)))


def resolve_bundle(text: str, store: BundleStore | None = None) -> Bundle:
    """A bundle by folder or name; "" is the store's live one, or without a store the newest packaged release.

    A name is a folder in the store, or a packaged release's folder or manifest name (then its newest version).

    Raises:
        BundleError: there is none of that name, or it does not verify.
    """
    if not text:
        return store.live() if store is not None else _newest_release()
    if os.sep in text or Path(text).is_dir():
        return load_bundle(text)
    if store is not None and store.folder_of(text).is_dir():
        return load_bundle(store.folder_of(text))
    releases = packaged_releases()
    for path in reversed(releases):
        if text in (path.name, load_bundle(path).manifest.name):
            return load_bundle(path)
    known = [path.name for path in releases] + (list(store.names()) if store is not None else [])
    raise BundleError(
        f"bundle {text!r}",
        expected=f"a folder or one of {', '.join(known)}" if known else "a bundle's folder",
        found="neither",
        remedy="Give the path of a bundle's folder.",
    )


class BundleStore:
    """The bundles of one station, under its data folder. Safe for several processes; cheap to make."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder_of(self, name: str) -> Path:
        """Where the bundle of that name in the store lies, there or not."""
        return self.root / "bundles" / name

    def report_of(self, name: str) -> Path:
        """Where the release gate's report on the bundle of that name lies, there or not."""
        return self.root / "reports" / f"{name}.html"

    def names(self) -> tuple[str, ...]:
        """Bundles in the store."""
        folder = self.root / "bundles"
        return tuple(sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))) if folder.is_dir() else ()

    def stamp(self) -> int:
        """Changes when the pointers do: a cheap way to notice that another process has released or rolled back. 0 at first."""
        try:
            return (self.root / _POINTERS).stat().st_mtime_ns
        except OSError:
            return 0

    def pointers(self) -> Pointers:
        """The pointers as they stand. Raises BundleError where the file is damaged."""
        try:
            return Pointers.model_validate_json((self.root / _POINTERS).read_bytes())
        except FileNotFoundError:
            return Pointers()
        except (OSError, ValidationError) as error:
            raise BundleError(
                f"bundle store {self.root}, file {_POINTERS}",
                expected="the pointers to live, shadow and candidates",
                found=str(error).splitlines()[0],
                remedy="Restore the file from a backup; without it the station can't know which bundle is released.",
            ) from error

    def live(self) -> Bundle:
        """The released bundle, verified. Raises NotCertified where the pointer was set by hand to one that is not."""
        return self.released(self.pointers().live)

    def released(self, name: str) -> Bundle:
        """The bundle of that name, proven to be one that may be live; "" is the packaged release. Raises BundleError,
        NotCertified."""
        return self.certified(name) if name else _newest_release()

    def certified(self, name: str) -> Bundle:
        """The bundle of that name in the store, with its own certificate. Raises BundleError, NotCertified."""
        bundle = self.stored(name)
        certificate_of(bundle)
        return bundle

    def before(self) -> str:
        """What was live before: where a rollback goes, "" being the packaged release. Raises BundleError where nothing was."""
        return _before(self.root, self.pointers())

    def shadow(self) -> Bundle | None:
        """The bundle that judges on spare time, verified, or None."""
        name = self.pointers().shadow
        return load_bundle(self.folder_of(name)) if name else None

    def candidates(self) -> tuple[Bundle, ...]:
        """Bundles that wait for the release gate, oldest first."""
        return tuple(load_bundle(self.folder_of(name)) for name in self.pointers().candidates)

    def add(self, folder: Path, who: str, why: str) -> Change:
        """Copy a bundle into the store as a candidate; adding the same one again changes nothing but the history."""
        bundle = load_bundle(folder)
        name = _name(bundle)
        with self._change() as (now, save):
            target = self.folder_of(name)
            if not target.exists():
                _copy(bundle.folder, target)
            rest = tuple(other for other in now.candidates if other != name)
            kept = now.candidates if name == now.live else (*rest, name)
            return save("add", load_bundle(target), name, "", {"candidates": kept}, who, why)

    def certify(self, name: str, findings: Findings, who: str, why: str) -> Change:
        """Put a bundle with the gate's certificate, approved by ``who``, in the place of candidate ``name``.

        Raises:
            NotCertified: the findings don't hold, or are of another bundle. BundleError: no such bundle, or the disk.
        """
        with self._change() as (now, save):
            temporary = self.folder_of(f".certified.{uuid.uuid4().hex}")
            bundle = certify(self.stored(name), findings, who, why, temporary)
            new = _name(bundle)
            if self.folder_of(new).exists():  # approved twice within a second
                shutil.rmtree(temporary)
            else:
                temporary.rename(self.folder_of(new))
                sync_folder(temporary.parent)
            rest = tuple(other for other in now.candidates if other != name)
            fields = {"candidates": (*rest, new), "shadow": new if now.shadow == name else now.shadow}
            return save("certify", load_bundle(self.folder_of(new)), new, name, fields, who, why)

    def keep_report(self, name: str, report: Path) -> Path:
        """Keep a copy of the gate's report on the bundle of that name; returns where. Raises BundleError: the disk."""
        target = self.report_of(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, report.read_bytes())
        except OSError as error:
            raise BundleError(
                f"bundle store {self.root}, report on {name}",
                expected="a file that can be written",
                found=error.strerror or str(error),
                remedy="Free some disk or check the folder's permissions; the pointers are as before.",
            ) from error
        return target

    def promote(self, name: str, who: str, why: str) -> Change:
        """Make a certified bundle of the store live; it leaves the candidates and the shadow. Raises NotCertified."""
        with self._change() as (now, save):
            bundle = self.certified(name)
            fields = {
                "live": name,
                "past": now.past if name == now.live else (*now.past, now.live),
                "shadow": "" if now.shadow == name else now.shadow,
                "candidates": tuple(other for other in now.candidates if other != name),
            }
            return save("promote", bundle, name, now.live, fields, who, why)

    def rollback(self, who: str, why: str, expected: str | None = None) -> Change:
        """Make live what was live before. Raises BundleError where nothing was, or where it isn't ``expected`` (see
        ``before``) because somebody else was faster."""
        with self._change() as (now, save):
            name = _before(self.root, now)
            if expected is not None and name != expected:
                raise BundleError(
                    f"bundle store {self.root}",
                    expected=f"to go back to {expected or 'the packaged release'}",
                    found=f"{name or 'the packaged release'}: somebody else has just changed the live bundle",
                    remedy="Look at what is live now, and roll back again if you still want to.",
                )
            return save(
                "rollback", self.released(name), name, now.live, {"live": name, "past": now.past[:-1]}, who, why
            )

    def set_shadow(self, name: str, who: str, why: str) -> Change:
        """Let a bundle of the store judge in shadow; "" ends it."""
        with self._change() as (now, save):
            bundle = self.stored(name or now.shadow)
            return save("shadow" if name else "unshadow", bundle, name, now.shadow, {"shadow": name}, who, why)

    def discard(self, name: str, who: str, why: str) -> Change:
        """Take a bundle off the candidates; its folder stays, because rows name it."""
        with self._change() as (now, save):
            rest = tuple(other for other in now.candidates if other != name)
            return save("discard", self.stored(name), name, "", {"candidates": rest}, who, why)

    def stored(self, name: str) -> Bundle:
        """The bundle of that name in the store, certified or not. Raises BundleError."""
        if not name or not self.folder_of(name).is_dir():
            raise BundleError(
                f"bundle {name!r}",
                expected=f"one of {', '.join(self.names()) or 'none: the store is empty'}",
                found="no such bundle in the store",
                remedy="Add it first.",
            )
        return load_bundle(self.folder_of(name))

    @contextmanager
    def _change(self) -> Iterator[tuple[Pointers, _Saver]]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with (self.root / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, even if this process is killed
                now = self.pointers()
                yield now, _Saver(self.root, now)
        except OSError as error:
            raise BundleError(
                f"bundle store {self.root}",
                expected="a folder that can be written",
                found=error.strerror or str(error),
                remedy="Free some disk or check the folder's permissions; the pointers are as before.",
            ) from error


class _Saver:
    def __init__(self, root: Path, now: Pointers) -> None:
        self._root = root
        self._now = now

    def __call__(
        self, action: Action, bundle: Bundle, name: str, previous: str, fields: Mapping[str, object], who: str, why: str
    ) -> Change:
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        change = Change(action=action, bundle=name, previous=previous, sha256=bundle.sha256, who=who, why=why, utc=utc)
        after = self._now.model_copy(update={**fields, "history": (*self._now.history, change)})
        _replace(self._root / _POINTERS, after.model_dump_json(indent=2).encode())
        return change


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _copy(source: Path, target: Path) -> None:
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        shutil.copytree(source, temporary)
        for path in temporary.rglob("*"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)


def _name(bundle: Bundle) -> str:
    return f"{bundle.manifest.name}-{bundle.manifest.version}-{bundle.sha256[:8]}"


def _before(root: Path, pointers: Pointers) -> str:
    if not pointers.past:
        raise BundleError(
            f"bundle store {root}",
            expected="a bundle that was live before",
            found="none",
            remedy="Promote another bundle instead.",
        )
    return pointers.past[-1]


def _age(bundle: Bundle) -> tuple[str, tuple[int, ...]]:
    return bundle.manifest.provenance.trained_utc, tuple(int(step) for step in bundle.manifest.version.split("."))


def _newest_release() -> Bundle:
    releases = packaged_releases()
    if not releases:
        raise BundleError(
            "bundle",
            expected="a released bundle in models/releases",
            found="none",
            remedy="Train one with `linegate train`, or name a bundle's folder.",
        )
    return load_bundle(releases[-1])
