"""The recipe handshake: asked, loaded between two parts, confirmed; or refused in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linegate.inspect.plc.recipe_change import RecipeChange, Step
from linegate.inspect.plc.registers import ErrorCode

KNOWN = {1: "Panel A", 2: "Panel B"}


def test_the_plc_asks_and_the_recipe_is_loaded_between_parts():
    change = RecipeChange(KNOWN, 1)
    change.plc_asks(0)
    change.plc_asks(1)
    assert change.begin() is None
    change.plc_asks(2)
    assert (change.view().active, change.view().recipe_ok) == (1, False)
    assert change.begin() == 2
    assert change.begin() is None
    assert (change.view().active, change.view().recipe_ok) == (1, False)
    change.loaded(2)
    assert (change.view().active, change.view().recipe_ok, change.view().error) == (2, True, ErrorCode.NONE)
    assert change.events() == ["the PLC asked for recipe 2, Panel B", "recipe 2, Panel B, is active"]
    assert change.events() == []


def test_an_unknown_number_is_refused_once_and_taken_back():
    change = RecipeChange(KNOWN, 1)
    for _ in range(3):
        change.plc_asks(9)
    assert (change.view().recipe_ok, change.view().error, change.view().active) == (False, ErrorCode.RECIPE, 1)
    (event,) = change.events()
    assert "recipe 9" in event
    assert "1 Panel A, 2 Panel B" in event
    assert change.begin() is None
    change.plc_asks(1)
    assert change.view().recipe_ok


def test_a_recipe_that_fails_to_load_leaves_the_old_one_and_says_so():
    change = RecipeChange(KNOWN, 1)
    change.plc_asks(2)
    change.begin()
    change.failed(2, "its bundle has a changed byte")
    assert (change.view().active, change.view().recipe_ok, change.view().error) == (1, False, ErrorCode.RECIPE)
    assert "changed byte" in change.events()[-1]


def test_another_wish_while_loading():
    change = RecipeChange(KNOWN, 1)
    change.plc_asks(2)
    change.begin()
    change.plc_asks(1)
    assert not change.view().recipe_ok
    change.loaded(2)
    assert (change.step, change.begin()) == (Step.WAITING, 1)
    change.loaded(1)
    assert change.view().recipe_ok


def test_the_plc_has_the_say():
    change = RecipeChange(KNOWN, 1)
    assert change.operator_asks(2, "Ana")
    assert change.begin() == 2
    change.loaded(2)
    change.plc_asks(1)
    assert change.begin() == 1
    change.loaded(1)
    assert not change.operator_asks(2, "Ana")
    assert "has the say" in change.events()[-1]
    change.plc_asks(0)
    assert not change.operator_asks(7, "Ana")


WISHES = st.lists(
    st.one_of(
        st.tuples(st.just("plc"), st.integers(0, 4)),
        st.tuples(st.just("operator"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["begin", "loaded", "failed"]), st.just(0)),
    ),
    max_size=40,
)


@given(WISHES)
def test_recipe_ok_only_when_what_was_asked_for_judges(wishes):
    change = RecipeChange(KNOWN, 1)
    loading, last_plc, wanted, active = None, 0, 1, 1
    for what, number in wishes:
        if what == "plc":
            if number and number != last_plc:
                wanted = number
            last_plc = number
            change.plc_asks(number)
        elif what == "operator":
            taken = last_plc in (0, number)
            change.operator_asks(number, "Ana")
            wanted = number if taken else wanted
        elif what == "begin":
            got = change.begin()
            assert got is None or (loading is None and got in KNOWN and got != active)
            loading = got if got is not None else loading
        elif loading is not None:
            if what == "loaded":
                active = loading
                change.loaded(loading)
            else:
                change.failed(loading, "x")
            loading = None
        view = change.view()
        assert view.active == active
        if view.recipe_ok:
            assert active == wanted
            assert loading is None
        if wanted not in KNOWN and loading is None:
            assert view.error is ErrorCode.RECIPE
