"""`Patch`: it replaces any kind of function, beside the wrappers of other tools, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from functools import wraps
from types import ModuleType

import pytest
import wrapt

from asyncmetrics.patching import Patch


class Library:
    """A class as those that are patched."""

    def method(self, value):
        return ("method", type(self).__name__, value)

    @classmethod
    def of_class(cls, value):
        return ("of_class", cls.__name__, value)

    @staticmethod
    def of_none(value):
        return ("of_none", value)

    async def later(self, value):
        return ("later", type(self).__name__, value)


class Below(Library):
    """A class that inherits."""


NAMES = ["method", "of_class", "of_none", "later"]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def calls():
    return []


@pytest.fixture
def patch(name, calls):
    def wrap(function):
        @wraps(function)
        def wrapper(*args, **kwargs):
            calls.append("ours")
            return function(*args, **kwargs)

        return wrapper

    patch = Patch(Library, name, wrap)
    yield patch
    patch.undo()


@pytest.fixture
def original(name):
    original = vars(Library)[name]
    yield original
    setattr(Library, name, original)


def call(name, owner=Library):
    """Call a function in each way that there is, and return what it returns."""
    targets = [owner()] if name in {"method", "later"} else [owner(), owner]
    results = [getattr(target, name)(1) for target in targets]
    if name == "later":
        results = [asyncio.run(result) for result in results]
    assert len(set(results)) == 1
    return results[0]


def instrument_as_others_do(name, calls):
    """Put the wrapper of wrapt around a function, as OpenTelemetry does; it needs the instance."""

    def wrapper(wrapped, instance, args, kwargs):
        calls.append(("theirs", instance is not None, args))
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(Library, name, wrapper)


def test_a_patched_function_returns_what_it_returned(name, patch, calls, original):
    expected = [call(name), call(name, Below)]
    patch.apply()
    assert [call(name), call(name, Below)] == expected
    assert calls
    patch.undo()
    assert vars(Library)[name] is original


def test_to_apply_twice_wraps_once(name, patch, calls, original):
    patch.apply()
    applied = vars(Library)[name]
    patch.apply()
    assert vars(Library)[name] is applied


def test_a_wrapper_below_ours_gets_what_it_got_without_us(name, patch, calls, original):
    instrument_as_others_do(name, calls)
    theirs = vars(Library)[name]
    call(name)
    expected = list(calls)
    calls.clear()
    patch.apply()
    call(name)
    assert [one for one in calls if one != "ours"] == expected
    assert "ours" in calls
    patch.undo()
    assert vars(Library)[name] is theirs


def test_a_wrapper_above_ours_stays_when_ours_is_undone_and_applied_again(name, patch, calls, original):
    patch.apply()
    instrument_as_others_do(name, calls)
    theirs = vars(Library)[name]
    for change in (patch.undo, patch.apply):
        change()
        calls.clear()
        call(name)
        assert vars(Library)[name] is theirs
        assert calls.count("ours") == len(calls) / 2


def test_ours_is_removed_after_the_wrapper_above_it(name, patch, calls, original):
    patch.apply()
    ours = vars(Library)[name]
    instrument_as_others_do(name, calls)
    setattr(Library, name, ours)
    patch.undo()
    assert vars(Library)[name] is original


def test_an_inherited_method_is_patched_where_it_is_inherited(calls):
    patch = Patch(Below, "method", lambda function: lambda self, value: ("ours", function(self, value)))
    patch.apply()
    assert call("method", Below) == ("ours", ("method", "Below", 1))
    assert call("method") == ("method", "Library", 1)
    patch.undo()
    assert "method" not in vars(Below)


def test_a_function_of_a_module_is_patched_below_and_above_a_wrapper(calls):
    module = ModuleType("some_module")
    module.act = original = lambda value: value
    wrapt.wrap_function_wrapper(module, "act", lambda wrapped, _, args, kwargs: (*args, wrapped(*args, **kwargs)))
    patch = Patch(module, "act", lambda function: lambda *args: ("ours", function(*args)))
    patch.apply()
    assert module.act(1) == ("ours", (1, 1))
    patch.undo()
    assert module.act(1) == (1, 1)
    assert module.act.__wrapped__ is original


def test_what_does_not_exist_is_an_error():
    with pytest.raises(AttributeError):
        Patch(Library, "missing", lambda function: function).apply()


@pytest.mark.parametrize("way", ["restored", "closed over"])
def test_a_patch_that_another_tool_has_covered_is_applied_once_again(way):
    """A test double is taken away again, or a wrapper calls ours without saying so."""
    calls = []

    def count(function):
        @wraps(function)
        def counted(self, value):
            calls.append(value)
            return function(self, value)

        return counted

    class Covered(Library):
        def method(self, value):
            return value

    original = Covered.method
    if way == "restored":
        Covered.method = lambda self, value: None
    patch = Patch(Covered, "method", count)
    patch.apply()
    ours = Covered.method
    Covered.method = original if way == "restored" else lambda self, value: ours(self, value)
    patch.undo()
    patch.apply()
    assert Covered().method(7) == 7
    assert calls == [7]
