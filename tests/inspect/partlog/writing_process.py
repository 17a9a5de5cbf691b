"""A process that writes parts and prints each sequence once its row is durable; the tests kill it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
from partlog_samples import record

from linegate.inspect.part import PartKey
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings


def main() -> None:
    """Arguments: data folder, URL, first sequence."""
    data, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    log = PartLog.open(LogSettings(url=url, min_free_mb=0), data)
    log.start()
    images = ImageStore(data, ImageSettings(), log)
    images.start()
    waiting = threading.Semaphore(8)
    rng = np.random.default_rng(first)
    sequence = first
    while True:
        waiting.acquire()

        def done(error: LogError | None, sequence: int = sequence) -> None:
            if error is None:
                sys.stdout.write(f"{sequence}\n")
                sys.stdout.flush()
            waiting.release()

        log.put(record(sequence), done)
        images.put(rng.integers(0, 255, (64, 64), dtype=np.uint8), PartKey(7, sequence), "top", "ng")
        sequence += 1


if __name__ == "__main__":
    main()
