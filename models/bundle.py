"""A released model on disk: load it only if every byte is the one that was released; save it so that no half is ever seen."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from linegate.models.errors import BundleError
from linegate.models.manifest import MANIFEST_FILE, MODEL_FILE, SNAPSHOT_FILE, Manifest

__all__ = ["Bundle", "BundleError", "load_bundle", "save_bundle", "sync_folder", "write_bundle"]

_MAX_MANIFEST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: where it lies.
        manifest: its manifest.
        sha256: hash of the manifest's bytes: the bundle's identity, as rows name it.
    """

    folder: Path
    manifest: Manifest
    sha256: str

    @property
    def label(self) -> str:
        """Name, version and the start of the hash, for people ("panels 1.2 (3fa9c1d2)")."""
        return f"{self.manifest.name} {self.manifest.version} ({self.sha256[:8]})"

    def model_bytes(self) -> bytes:
        """The network as ONNX bytes, hashed again at every read, so that what runs is what was verified.

        Raises:
            BundleError: the file is gone or changed since the bundle was loaded.
        """
        return self._proven(MODEL_FILE, self.manifest.model_sha256)

    def snapshot_bytes(self) -> bytes | None:
        """The manifest of the data it was trained on; None where it came without. Raises BundleError when it is another's."""
        if not (self.folder / SNAPSHOT_FILE).is_file():
            return None
        return self._proven(SNAPSHOT_FILE, self.manifest.provenance.data_sha256)

    def _proven(self, name: str, sha256: str) -> bytes:
        data = _read(self.folder / name)
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise BundleError(
                f"bundle {self.folder}, file {name}",
                expected=f"sha256 {sha256}",
                found=f"sha256 {found}",
                remedy="The file was changed or damaged; copy the released bundle again.",
            )
        return data


def load_bundle(path: str | Path) -> Bundle:
    """Read and verify the bundle in folder ``path``.

    Whether the network itself has the manifest's inputs and outputs is checked where it is opened (``open_session``).

    Raises:
        BundleError: a file is missing, the manifest is not valid (its key is named), or the network's hash differs.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BundleError(
            f"bundle {folder}",
            expected=f"a folder with {MODEL_FILE} and {MANIFEST_FILE}",
            found="a file" if folder.exists() else "nothing",
            remedy="Give the folder of a released bundle.",
        )
    for name in (MANIFEST_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise BundleError(
                f"bundle {folder}",
                expected=f"{MODEL_FILE} and {MANIFEST_FILE}",
                found=f"no {name}",
                remedy="Copy the whole bundle folder again.",
            )
    data = _read(folder / MANIFEST_FILE)
    bundle = Bundle(folder=folder, manifest=_parse(folder, data), sha256=hashlib.sha256(data).hexdigest())
    bundle.model_bytes()
    return bundle


def save_bundle(
    folder: str | Path, manifest: Manifest | Mapping[str, Any], onnx: bytes, snapshot: bytes | None = None
) -> Bundle:
    """Write a new bundle; ``folder`` appears complete, or not at all.

    Args:
        folder: must not exist yet: a released bundle is never overwritten.
        manifest: all of a ``Manifest`` except ``model_sha256``, which is computed here (one that is there is replaced).
        onnx: the network.
        snapshot: the manifest of the data it was trained on.

    Raises:
        BundleError: the folder exists, the manifest is not valid, or the disk does not take it.
    """
    fields = manifest.model_dump(mode="json") if isinstance(manifest, Manifest) else dict(manifest)
    fields["model_sha256"] = hashlib.sha256(onnx).hexdigest()
    checked = _validate(Path(folder).absolute(), fields)
    return write_bundle(folder, (checked.model_dump_json(indent=2) + "\n").encode(), onnx, snapshot)


def write_bundle(folder: str | Path, manifest: bytes, onnx: bytes, snapshot: bytes | None = None) -> Bundle:
    """The same with the manifest as bytes. Raises BundleError."""
    target = Path(folder).absolute()
    if target.exists():
        raise BundleError(
            f"bundle {target}",
            expected="a folder that does not exist yet",
            found="one that does",
            remedy="Choose another folder or a higher version; released bundles are not overwritten.",
        )
    # A hidden sibling: the rename stays on one file system, and nobody who lists bundles sees it half written.
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        _write(temporary / MODEL_FILE, onnx)
        _write(temporary / MANIFEST_FILE, manifest)
        if snapshot is not None:
            _write(temporary / SNAPSHOT_FILE, snapshot)
        sync_folder(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise BundleError(
            f"bundle {target}",
            expected="a folder that can be written",
            found=error.strerror or str(error),
            remedy="Free some disk or choose another folder; nothing was changed.",
        ) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return load_bundle(target)


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable; without it a rename may be undone by a power cut (Linux, POSIX fsync)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {path.parent}, file {path.name}",
            expected="a readable file",
            found=error.strerror or str(error),
            remedy="Check the file and its permissions, or copy the bundle again.",
        ) from error


def _parse(folder: Path, data: bytes) -> Manifest:
    if len(data) > _MAX_MANIFEST_BYTES:
        raise BundleError(
            f"bundle {folder}, file {MANIFEST_FILE}",
            expected=f"at most {_MAX_MANIFEST_BYTES} bytes",
            found=f"{len(data)} bytes",
            remedy="This is not a bundle's manifest; copy the released bundle again.",
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _named(folder, error) from error


def _validate(folder: Path, fields: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise _named(folder, error) from error


def _named(folder: Path, error: ValidationError) -> BundleError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(step) for step in first["loc"]) or "the whole file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return BundleError(
        f"bundle {folder}, file {MANIFEST_FILE}, key {key}",
        expected="what linegate.models.manifest describes",
        found=f"{first['msg']}{more}",
        remedy="Export the bundle again, or update Linegate if it is newer than this installation.",
    )
