"""Callable objects keep their attributes, and what cannot be measured is refused."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle

import celery
import pytest

from asyncmetrics import Histogram
from tests.timing.callables import AsyncCallable, Callable_, coroutine, function

_TIME = Histogram("objects_seconds", "Time.", registry=None)


@_TIME.time()
@functools.lru_cache
def doubled(number):
    """Return it twice."""
    return 2 * number


def test_a_cache_keeps_its_methods():
    doubled.cache_clear()
    assert (doubled(1), doubled(1), doubled.cache_info().hits) == (2, 2, 1)


def test_a_cache_keeps_its_name_docstring_and_signature():
    assert (doubled.__name__, doubled.__doc__, str(inspect.signature(doubled))) == (
        "doubled",
        "Return it twice.",
        "(number)",
    )


def test_a_measured_object_is_pickled_by_its_name_and_copied_as_itself():
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy(doubled) is doubled


def test_a_cache_that_is_a_method_is_bound(h, read):
    class Holder:
        @h.time()
        @functools.lru_cache  # noqa: B019  # its instance lives as long as the test
        def method(self, number):
            return self, number

    holder = Holder()
    assert holder.method(1) == (holder, 1)
    assert (holder.method.cache_info().misses, read("h")) == (1, 1)


def test_a_task_of_celery_keeps_its_methods(h, read):
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True

    @h.time()
    @app.task(name="add")
    def add(x, y):
        return x + y

    assert (add(1, 2), read("h")) == (3, 1)
    assert add.delay(1, 2).get() == 3
    assert add.name == "add"
    assert isinstance(add, celery.Task)


def test_an_attribute_that_is_set_is_set_on_the_original(h):
    original = Callable_()
    h.time()(original).limit = 5
    assert original.limit == 5


@pytest.mark.parametrize("original", [functools.partial(function, y=1), Callable_()])
def test_a_measured_object_is_an_instance_of_its_class(original, h):
    assert isinstance(h.time()(original), type(original))


@pytest.mark.parametrize("original", [functools.partial(coroutine, y=1), functools.partial(function, y=1)])
def test_a_partial_keeps_its_kind_and_its_attributes(original, h):
    measured = h.time()(original)
    assert inspect.iscoroutinefunction(measured) == inspect.iscoroutinefunction(original)
    assert (measured.func, measured.keywords) == (original.func, {"y": 1})


@pytest.mark.parametrize("original", [AsyncCallable(), Callable_()])
def test_the_call_of_an_object_keeps_its_kind(original, h):
    measured = h.time()(original)
    assert inspect.iscoroutinefunction(measured.__call__) == inspect.iscoroutinefunction(original.__call__)


@pytest.mark.parametrize("subject", [None, 5, "name", [function]])
def test_what_is_neither_callable_nor_awaitable_is_refused(subject, h, c, g):
    for instrument in (h.time(), c.count_exceptions(), g.track_inprogress()):
        with pytest.raises(TypeError, match="measures a function or an awaitable, got"):
            instrument(subject)


@pytest.mark.parametrize("descriptor", [property, functools.cached_property, functools.partialmethod])
def test_a_property_is_refused_with_what_to_do(descriptor, h):
    with pytest.raises(TypeError, match=f"put @{descriptor.__name__} above this decorator"):
        h.time()(descriptor(function))


@pytest.mark.parametrize("types", ["ValueError", int, 5, None, (ValueError, "KeyError"), ValueError()])
def test_what_is_no_type_of_exceptions_is_refused(types, c):
    with pytest.raises(TypeError, match="a type of exceptions"):
        c.count_exceptions(types)


@pytest.mark.parametrize("labels", ["mail", 5, ["mail"]])
def test_labels_that_are_no_mapping_are_refused(labels, h):
    with pytest.raises(TypeError, match="labels="):
        h.time(labels=labels)


def test_decorators_without_parentheses_work(h, c, g, read):
    @h.time
    @c.count_exceptions
    @g.track_inprogress
    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert (read("h"), read("c"), read("g")) == (1, 1, 0)
