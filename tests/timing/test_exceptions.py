"""Exceptions and cancellation under time(), count_exceptions() and track_inprogress()."""

from __future__ import annotations

import asyncio

import anyio
import pytest


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
