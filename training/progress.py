"""Progress with ETA on the terminal; plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 15.0


def quiet(_done: object) -> None:
    """Takes any progress and shows nothing."""


@contextmanager
def counting(console: Console, words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many of ``total`` are done: a bar on a terminal, else a line every quarter of a minute,
    so that what takes no longer says nothing."""
    if not console.is_terminal:
        began = time.monotonic()
        told = [began]

        def line(done: int) -> None:
            now = time.monotonic()
            if done and now - told[0] >= _LINE_EVERY_S:
                told[0] = now
                left_min = (now - began) / done * (total - done) / 60
                console.print(f"{words}: {100 * done / total:.0f} %, {left_min:.1f} min left", highlight=False)

        yield line
        return
    with Progress(TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def fitting(console: Console) -> Iterator[Callable[[float, float, str], None]]:
    """Yields a function of (done 0..1, eta_s, words): a bar on a terminal, else a line every quarter of a minute."""
    if not console.is_terminal:
        last = [0.0]

        def line(done: float, eta_s: float, words: str) -> None:
            if time.monotonic() - last[0] >= _LINE_EVERY_S or done >= 1:
                last[0] = time.monotonic()
                console.print(f"{100 * done:5.1f} %  {eta_s / 60:5.1f} min left  {words}", highlight=False)

        yield line
        return
    columns = (
        TextColumn("fit"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, _eta_s, words: bar.update(task, completed=done, description=words)
