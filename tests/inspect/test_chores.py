"""Chores are done in order, survive each other's failures, and wait for their condition."""

from __future__ import annotations

import threading

from linegate.inspect.chores import Chores


def test_order_failure_and_condition() -> None:
    failed: list[str] = []
    chores = Chores(lambda name, error: failed.append(f"{name}: {error}"))
    chores.start()
    done: list[str] = []
    may, finished = threading.Event(), threading.Event()

    def broken() -> None:
        raise RuntimeError("no")

    chores.do("later", lambda: (done.append("later"), finished.set()), when=may.is_set)
    chores.do("first", lambda: done.append("first"))
    chores.do("broken", broken)
    second = threading.Event()
    chores.do("second", lambda: (done.append("second"), second.set()))
    assert second.wait(10)
    assert done == ["first", "second"] and failed == ["broken: no"]
    may.set()
    assert finished.wait(10), "a chore whose condition came true was not done"
    chores.stop()


def test_the_end_does_what_waits() -> None:
    chores, done = Chores(lambda *_: None), list[str]()
    chores.do("waits", lambda: done.append("waited"), when=lambda: False)
    chores.start()
    chores.stop()
    assert done == ["waited"]
