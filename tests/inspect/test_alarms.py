"""Whose acknowledgement counts for what: a hand that is on its way has not seen what came meanwhile."""

from __future__ import annotations

import pytest

from linegate.inspect.alarms import AlarmBook
from linegate.inspect.plc.registers import ErrorCode


def raised(book: AlarmBook, at_ns: int, *, stop: bool) -> int:
    book.raise_("stop", ErrorCode.NONE, "asked for a stop", "", at_ns, stop=stop)
    book.clear("stop", at_ns)
    return book.open()[0].id


def test_an_acknowledgement_of_the_first_stop_does_not_answer_the_second() -> None:
    book = AlarmBook()
    first = raised(book, 1, stop=True)
    second = raised(book, 2, stop=True)
    assert book.acknowledge(first, "Otto", 3) is None
    assert [alarm.id for alarm in book.open()] == [second]
    assert book.open()[0].raised_ns == 2
    assert book.acknowledge(second, "Otto", 4) is not None
    assert book.open() == ()


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_cause_that_flickers_keeps_its_number_until_somebody_has_seen_it(acknowledged: bool) -> None:
    book = AlarmBook()
    book.raise_("camera", ErrorCode.CAMERA, "gone", "", 1, stop=False)
    number = book.open()[0].id
    book.clear("camera", 2)
    if acknowledged:
        book.raise_("camera", ErrorCode.CAMERA, "gone", "", 3, stop=False)
        book.acknowledge(number, "Otto", 4)
        book.clear("camera", 5)
        assert book.open() == ()
    book.raise_("camera", ErrorCode.CAMERA, "gone", "", 6, stop=False)
    assert (book.open()[0].id == number) is not acknowledged
