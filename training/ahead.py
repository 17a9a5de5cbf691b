"""Batches drawn on other threads before their step comes, so that learning does not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """What ``draw(step, done)`` makes of coming steps, in order; ``done`` is the progress at which the step is expected.

    ``threads`` draw at once, so ``draw`` must not change anything. Leaving the context drops what isn't taken.
    """

    def __init__(self, draw: Callable[[int, float], T], threads: int) -> None:
        self._draw = draw
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="linegate-batches")
        self._coming: deque[Future[T]] = deque()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int, done_at: Callable[[int], float]) -> T:
        """What belongs to ``step``, one more than at the last call; ``done_at`` tells the progress at a step to come.

        Passes on what ``draw`` raised.
        """
        while len(self._coming) <= self._threads:
            coming = step + len(self._coming)
            self._coming.append(self._pool.submit(self._draw, coming, done_at(coming)))
        return self._coming.popleft().result()
