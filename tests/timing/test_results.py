"""Functions whose results are not finished when they return."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

import pytest

from asyncmetrics import CallMetrics


@pytest.fixture
def track(registry):
    return CallMetrics("work", "Work.", registry=registry)


@pytest.fixture
def work(registry):
    """How many calls ended with an outcome, and how many are active."""
    value = registry.get_sample_value
    return lambda outcome="ok": (value("work_duration_seconds_count", {"outcome": outcome}), value("work_active"))


async def _wait_for(event):
    await event.wait()


STARTERS = {
    "a task": lambda event: asyncio.create_task(_wait_for(event)),
    "gather": lambda event: asyncio.gather(_wait_for(event), _wait_for(event)),
    "a shielded task": lambda event: asyncio.shield(_wait_for(event)),
}


@pytest.mark.parametrize("kind", STARTERS)
async def test_a_future_is_measured_until_it_is_done(kind, track, work):
    event = asyncio.Event()
    result = track(STARTERS[kind])(event)
    await asyncio.sleep(0)
    assert work() == (None, 1)
    event.set()
    await result
    await asyncio.sleep(0)
    assert work() == (1, 0)


async def test_a_measured_function_returns_the_very_future(h):
    future = asyncio.get_running_loop().create_future()
    assert h.time()(lambda: future)() is future


async def test_a_task_that_is_cancelled_is_cancelled_and_no_error(track, work):
    task = track(STARTERS["a task"])(asyncio.Event())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert work("cancelled") == (1, 0)


async def test_the_exception_of_a_task_is_counted(c, read):
    async def fail():
        raise LookupError

    with pytest.raises(LookupError):
        await c.count_exceptions(LookupError)(lambda: asyncio.create_task(fail()))()
    await asyncio.sleep(0)
    assert read("c") == 1


async def test_an_exception_that_nobody_awaits_is_still_logged_by_asyncio(c, caplog):
    async def fail():
        raise LookupError

    c.count_exceptions()(lambda: asyncio.create_task(fail()))()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR, "asyncio"):
        gc.collect()
    assert "never retrieved" in caplog.text


def test_what_an_executor_runs_is_measured_until_it_is_done(track, work):
    future = Future()
    assert track(lambda: future)() is future
    assert work() == (None, 1)
    future.set_result(1)
    assert work() == (1, 0)


def test_what_an_executor_does_not_run_is_cancelled(track, work):
    with ThreadPoolExecutor(1) as executor:
        block, submit = Future(), track(executor.submit)
        executor.submit(block.result)
        assert submit(int).cancel()
        block.set_result(None)
    assert work("cancelled") == (1, 0)


def test_a_generator_that_a_function_returns_is_measured_until_its_end(track, work):
    numbers = track(lambda: (number for number in range(2)))()
    assert (inspect.isgenerator(numbers), work()) == (True, (None, 0))
    assert next(numbers) == 0
    assert work() == (None, 1)
    assert list(numbers) == [1]
    assert work() == (1, 0)


async def test_an_async_generator_that_a_function_returns_is_measured_until_its_end(track, work):
    async def count():
        yield 1

    numbers = track(lambda: count())()  # noqa: PLW0108  # it must be a plain function
    assert await anext(numbers) == 1
    assert work() == (None, 1)
    assert [x async for x in numbers] == []
    assert work() == (1, 0)


@pytest.fixture
def connect(track):
    """A context manager below the decorator."""

    @track
    @contextmanager
    def connect(name: str):
        """Connect."""
        yield name

    return connect


def test_the_block_of_a_context_manager_is_measured(connect, work):
    with connect("db") as name:
        assert (name, work()) == ("db", (None, 1))
    assert work() == (1, 0)


def test_a_context_manager_that_is_a_decorator_is_measured_at_each_call(connect, work):
    function = connect("db")(int)
    function()
    function()
    assert work() == (2, 0)


def test_a_measured_context_manager_keeps_its_name_docstring_and_signature(connect):
    assert (connect.__name__, connect.__doc__) == ("connect", "Connect.")
    assert str(inspect.signature(connect)).startswith("(name")


def test_a_context_manager_can_be_measured_twice(h, connect, work, read):
    with h.time()(connect)("db"):
        pass
    assert (work(), read("h")) == ((1, 0), 1)


def test_a_method_that_is_a_context_manager_is_measured(track, work):
    class Pool:
        @track
        @contextmanager
        def connect(self):
            yield self

    pool = Pool()
    with pool.connect() as found:
        assert (found, work()) == (pool, (None, 1))
    assert work() == (1, 0)


async def test_the_block_of_an_async_context_manager_is_measured(track, work):
    @track
    @asynccontextmanager
    async def connect():
        yield 1

    async with connect():
        assert work() == (None, 1)
    assert work() == (1, 0)


def test_a_result_that_cannot_be_followed_is_logged_once_for_its_type(h, caplog):
    class Request:
        def __await__(self):
            yield

    fetch = h.time()(Request)
    fetch()
    fetch()
    assert [record.getMessage() for record in caplog.records if "Request" in record.getMessage()] == [
        caplog.records[0].getMessage()
    ]
