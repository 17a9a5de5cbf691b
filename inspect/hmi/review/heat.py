"""The model's own heat map of a stored picture, made here on demand: same bundle, same code as the line, own process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Image
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.judge import Judge
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle, load_bundle
from linegate.models.store import BundleStore, packaged_releases

LONGEST_PX = 1280
KEPT = 48
STORE_FOLDER = "models"


def find_bundle(store: BundleStore, sha256: str) -> Bundle | None:
    """The bundle that a row names, from the station's store or the packaged releases; None where it is not here."""
    folders = [store.folder_of(name) for name in store.names() if name.endswith(sha256[:8])]
    for folder in [*folders, *packaged_releases()]:
        try:
            bundle = load_bundle(folder)
        except LinegateError:
            continue
        if bundle.sha256 == sha256:
            return bundle
    return None


class HeatMaker:
    """One network at a time, on one thread of the CPU; the last maps are kept. Thread-safe, callers wait for each other."""

    def __init__(self, data: Path) -> None:
        self.store = BundleStore(data / STORE_FOLDER)
        self._judge: Judge | None = None
        self._maps: OrderedDict[tuple[str, str], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def heat(self, image_sha256: str, image: Image, bundle_sha256: str) -> NDArray[np.uint8]:
        """(h, w) uint8, 0..255 = 0..1, at most 1280 px on its longer side.

        Raises ScreenError 404: the bundle is not on this machine; 409: it can't judge this picture (the reason is named).
        """
        key = (image_sha256, bundle_sha256)
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
                return self._maps[key]
            judge = self._open(bundle_sha256)
            try:
                full = judge.judge(image).heat()
            except LinegateError as error:
                raise ScreenError("review.error.heat_failed", 409, detail=str(error)) from error
            scale = min(1.0, LONGEST_PX / max(full.shape))
            if scale < 1:
                size = (max(1, round(full.shape[1] * scale)), max(1, round(full.shape[0] * scale)))
                full = np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.uint8)
            self._maps[key] = full
            while len(self._maps) > KEPT:
                self._maps.popitem(last=False)
            return full

    def _open(self, sha256: str) -> Judge:
        if self._judge is not None and self._judge.bundle.sha256 == sha256:
            return self._judge
        bundle = find_bundle(self.store, sha256)
        if bundle is None:
            raise ScreenError("review.error.no_model", 404, bundle=sha256[:8])
        from linegate.inspect.runtime.engines import open_session

        try:
            session = open_session(bundle, RuntimeSettings(warmup=1))
        except LinegateError as error:
            raise ScreenError("review.error.heat_failed", 409, detail=str(error)) from error
        if self._judge is not None:
            self._judge.close()
        self._judge = Judge(bundle, session)
        return self._judge

    def close(self) -> None:
        """Free the network."""
        with self._lock:
            if self._judge is not None:
                self._judge.close()
                self._judge = None
