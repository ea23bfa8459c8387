"""time(), count_exceptions() and track_inprogress() on every kind of callable."""

from __future__ import annotations

import asyncio
import inspect
from time import perf_counter

import pytest

from tests.timing.callables import (
    CALLABLES,
    async_generator,
    consume,
    coroutine,
    function,
    generator,
)


@pytest.mark.parametrize("kind", CALLABLES)
async def test_it_is_timed_counted_once_and_returns_the_same(kind, h, c, g, read):
    measured = h.time()(c.count_exceptions()(g.track_inprogress()(CALLABLES[kind])))
    assert await consume(measured(5)) == 5
    assert (read("h"), read("c"), read("g")) == (1, 0, 0)


@pytest.mark.parametrize("original", [function, coroutine, generator, async_generator])
@pytest.mark.parametrize("kind", [inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction])
def test_a_decorated_function_is_of_the_same_kind(original, kind, h):
    assert kind(h.time()(original)) == kind(original)


@pytest.mark.parametrize("original", [function, coroutine, generator, async_generator])
def test_a_decorated_function_keeps_name_docstring_and_signature(original, h):
    measured = h.time()(original)
    assert (measured.__name__, measured.__doc__) == (original.__name__, original.__doc__)
    assert inspect.signature(measured) == inspect.signature(original)


@pytest.mark.parametrize("outermost", [classmethod, staticmethod])
async def test_a_decorator_works_above_classmethod_and_staticmethod(outermost, h, read):
    class Holder:
        @h.time()
        @outermost
        async def held(*args):
            return args[-1]

    assert await Holder.held(7) == 7
    assert read("h") == 1


async def test_a_coroutine_is_timed_to_its_end(h, read):
    @h.time()
    async def slow():
        await asyncio.sleep(0.05)

    before = perf_counter()
    await slow()
    assert 0.05 <= read("s") <= perf_counter() - before


async def test_a_coroutine_is_timed_from_its_first_step(h, read):
    @h.time()
    async def quick():
        """Do nothing."""

    waiting = quick()
    await asyncio.sleep(0.05)
    before = perf_counter()
    await waiting
    assert read("s") <= perf_counter() - before


def test_a_generator_is_timed_until_it_is_closed(h, read):
    @h.time()
    def endless():
        while True:
            yield 1

    running = endless()
    next(running)
    assert read("h") == 0
    running.close()
    assert read("h") == 1


def test_a_generator_that_never_ran_is_not_timed(h, read):
    h.time()(generator)(1).close()
    assert read("h") == 0


def test_what_is_sent_into_a_generator_and_returned_by_it_passes(h):
    @h.time()
    def echo():
        received = yield "ready"
        return received

    running = echo()
    assert next(running) == "ready"
    with pytest.raises(StopIteration) as end:
        running.send("word")
    assert end.value.value == "word"


async def test_what_is_sent_and_thrown_into_an_async_generator_passes(h, g, read):
    @g.track_inprogress()
    async def echo():
        received = "nothing"
        while True:
            try:
                received = yield received
            except KeyError as error:
                received = f"caught {error.args[0]}"

    running = echo()
    assert await running.__anext__() == "nothing"
    assert await running.asend("word") == "word"
    assert await running.athrow(KeyError("it")) == "caught it"
    assert read("g") == 1
    await running.aclose()
    assert read("g") == 0


async def test_the_cleanup_of_an_async_generator_runs_when_it_is_closed(h):
    cleaned = []

    @h.time()
    async def cleaning():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async for _ in (running := cleaning()):
        break
    await running.aclose()
    assert cleaned == [True]


@pytest.mark.parametrize(
    "make", [lambda: coroutine(3), lambda: asyncio.ensure_future(coroutine(3)), lambda: _future(3)]
)
async def test_an_awaitable_is_timed_counted_and_tracked(make, h, c, g, read):
    assert await h.time(make()) == 3
    assert await c.count_exceptions(make()) == 3
    assert await g.track_inprogress(make()) == 3
    assert await h.time()(make()) == 3
    assert (read("h"), read("c"), read("g")) == (2, 0, 0)


def _future(value):
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
