"""time(), count_exceptions() and track_inprogress() on every kind of callable, and as context managers."""

from __future__ import annotations

import asyncio
import functools
import inspect
from time import perf_counter

import anyio
import pytest

from asyncmetrics import Counter, Gauge, Histogram
from asyncmetrics.errors import LabelError


@pytest.fixture
def h(registry):
    return Histogram("h_seconds", "Time.", registry=registry)


@pytest.fixture
def c(registry):
    return Counter("c", "Exceptions.", registry=registry)


@pytest.fixture
def g(registry):
    return Gauge("g", "Running.", registry=registry)


@pytest.fixture
def read(registry):
    names = {"h": "h_seconds_count", "s": "h_seconds_sum", "c": "c_total", "g": "g"}
    return lambda name: registry.get_sample_value(names[name])


class Callable_:
    def __call__(self, x):
        return x


class AsyncCallable:
    async def __call__(self, x):
        return x


class Methods:
    def plain(self, x):
        return x

    async def coroutine(self, x):
        return x

    @classmethod
    async def of_class(cls, x):
        return x

    @staticmethod
    def static(x):
        return x


def function(x: int, *, y: int = 0) -> int:
    """Return x."""
    return x


async def coroutine(x: int, *, y: int = 0) -> int:
    """Return x."""
    return x


def generator(x: int):
    """Yield x."""
    yield x


async def async_generator(x: int):
    """Yield x."""
    yield x


def in_front(x):
    return coroutine(x)


CALLABLES = {
    "a function": function,
    "a coroutine function": coroutine,
    "a bound method": Methods().plain,
    "a bound coroutine method": Methods().coroutine,
    "a class method": Methods.of_class,
    "a static method": Methods.static,
    "a partial of a function": functools.partial(function, y=1),
    "a partial of a coroutine function": functools.partial(coroutine, y=1),
    "a callable object": Callable_(),
    "an async callable object": AsyncCallable(),
    "a partial of an async callable object": functools.partial(AsyncCallable()),
    "a function in front of a coroutine function": in_front,
    "a generator function": generator,
    "an async generator function": async_generator,
}


async def consume(result):
    if inspect.isawaitable(result):
        return await result
    if inspect.isasyncgen(result):
        return [x async for x in result][0]
    if inspect.isgenerator(result):
        return list(result)[0]
    return result


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


@pytest.mark.parametrize(
    "kind", ["function", "coroutine", "generator", "async generator", "awaitable", "with", "async with"]
)
async def test_an_exception_is_counted_timed_and_raised_again(kind, h, c, g, read):
    wrap = lambda subject: h.time()(c.count_exceptions()(g.track_inprogress()(subject)))

    def fail():
        raise ValueError

    async def fail_later():
        raise ValueError

    def fail_on_the_way():
        yield 1
        raise ValueError

    async def fail_on_the_way_later():
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        match kind:
            case "function":
                wrap(fail)()
            case "coroutine":
                await wrap(fail_later)()
            case "generator":
                list(wrap(fail_on_the_way)())
            case "async generator":
                _ = [x async for x in wrap(fail_on_the_way_later)()]
            case "awaitable":
                await wrap(fail_later())
            case "with":
                with h.time(), c.count_exceptions(), g.track_inprogress():
                    raise ValueError
            case "async with":
                async with h.time(), c.count_exceptions(), g.track_inprogress():
                    raise ValueError
    assert (read("h"), read("c"), read("g")) == (1, 1, 0)


@pytest.mark.parametrize(
    ("asked", "raised", "counted"),
    [
        (Exception, ValueError, 1),
        (Exception, asyncio.CancelledError, 0),
        (Exception, GeneratorExit, 0),
        (Exception, KeyboardInterrupt, 0),
        (BaseException, KeyboardInterrupt, 1),
        (BaseException, asyncio.CancelledError, 0),
        (asyncio.CancelledError, asyncio.CancelledError, 1),
        (GeneratorExit, GeneratorExit, 1),
        (ValueError, KeyError, 0),
        ((ValueError, KeyError), KeyError, 1),
    ],
)
def test_what_counts_as_an_exception(asked, raised, counted, c, read):
    with pytest.raises(raised), c.count_exceptions(asked):
        raise raised
    assert read("c") == counted


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancellation_is_timed_released_and_no_exception(backend, h, c, g, read):
    @h.time()
    @c.count_exceptions(BaseException)
    @g.track_inprogress()
    async def waiting():
        reached.set()
        await anyio.sleep_forever()

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting)
            await reached.wait()
            tasks.cancel_scope.cancel()

    reached = anyio.Event()

    anyio.run(main, backend=backend)
    assert (read("h"), read("c"), read("g")) == (1, 0, 0)


async def test_a_thousand_calls_half_of_them_cancelled_leave_nothing_in_progress(h, c, g, read):
    @h.time()
    @c.count_exceptions()
    @g.track_inprogress()
    async def call(seconds):
        await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(call(60 if number % 2 else 0.01)) for number in range(1000)]
    await asyncio.sleep(0)
    assert read("g") == 1000
    for task in tasks[1::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (read("h"), read("c"), read("g")) == (1000, 0, 0)


def test_the_timing_tells_its_duration(h):
    before = perf_counter()
    with h.time() as timing:
        pass
    assert 0 < timing.duration <= perf_counter() - before


def test_an_instrument_can_be_entered_again_inside_itself(h, g, read):
    timer, tracker = h.time(), g.track_inprogress()
    with timer as outer, tracker, timer as inner, tracker:
        assert read("g") == 2
    assert outer.duration >= inner.duration
    assert (read("h"), read("g")) == (2, 0)


def test_nested_runs_of_one_timer_end_innermost_first(h):
    timer = h.time()
    with timer as outer, timer as middle:
        with timer as inner:
            pass
        assert inner.duration > 0
        assert (middle.duration, outer.duration) == (0, 0)


async def test_tasks_that_share_a_timer_have_their_own_times(h):
    timer = h.time()
    durations = {}

    async def work(seconds):
        before = perf_counter()
        with timer as timing:
            begun = perf_counter()
            await asyncio.sleep(seconds)
            ended = perf_counter()
        durations[seconds] = (ended - begun, timing.duration, perf_counter() - before)

    await asyncio.gather(*(work(seconds) for seconds in (0.05, 0.01, 0.03)))
    assert len(durations) == 3
    assert [found for found in durations.values() if sorted(found) != list(found)] == []


def test_leaving_what_was_never_entered_is_told(h):
    with pytest.raises(RuntimeError, match="never entered"):
        h.time().__exit__(None, None, None)


@pytest.fixture
def labelled(registry):
    return Histogram("l_seconds", "Time.", ["kind"], registry=registry)


@pytest.mark.parametrize("labels", [{"kind": "mail"}, lambda kind, **_: {"kind": kind}])
@pytest.mark.parametrize("original", [function, coroutine, generator, async_generator])
async def test_labels_of_a_decorator_may_be_a_mapping_or_a_callable_on_the_arguments(
    labels, original, labelled, registry
):
    await consume(labelled.time(labels=labels)(original)("mail"))
    assert registry.get_sample_value("l_seconds_count", {"kind": "mail"}) == 1


def test_labels_can_be_chosen_while_the_timer_runs(labelled, registry):
    with labelled.time() as timing:
        timing.labels("late")
    assert registry.get_sample_value("l_seconds_count", {"kind": "late"}) == 1


def test_a_timer_without_its_labels_is_told_of_at_decoration(labelled):
    with pytest.raises(LabelError, match="kind"):
        labelled.time()(function)


def test_a_timer_without_its_labels_is_told_of_at_the_end_of_the_block(labelled):
    with pytest.raises(LabelError, match="kind"), labelled.time():
        pass


def test_a_callable_for_labels_needs_a_call(labelled):
    with pytest.raises(TypeError, match="mapping"), labelled.time(labels=dict):
        pass


def test_a_gauge_is_set_to_the_time(g, read):
    with g.time() as timing:
        pass
    assert read("g") == timing.duration
