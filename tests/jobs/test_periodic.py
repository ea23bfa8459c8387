"""Periodic: a fixed grid, and runs that are skipped, overrun, fail or are cancelled."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import anyio
import pytest
import trio

from asyncmetrics import CollectorRegistry
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.jobs import Periodic
from tests.loops import LoopThread
from tests.patience import PATIENCE_SECONDS, wait_for, wait_until
from tests.virtual_time import run_in_virtual_time

TEN = 10  # seconds of virtual time


@pytest.fixture
def read(registry):
    """Return the value of a series of the periodic function ``cleanup``."""
    return lambda name, **labels: registry.get_sample_value(f"periodic_{name}", {"periodic": "cleanup", **labels})


@pytest.fixture
def count(read):
    """Return how many runs have ended with an outcome."""
    return lambda outcome: read("run_duration_seconds_count", outcome=outcome)


@pytest.fixture
def run_for(backend, registry):
    """Run a periodic function for some seconds of virtual time; return the times at which its runs began."""

    def run_for(seconds, work=None, **options):
        times = []

        async def function():
            times.append(round(anyio.current_time() - begun, 6))
            if work is not None:
                await work(len(times))

        async def main():
            nonlocal begun
            begun = anyio.current_time()
            with anyio.move_on_after(seconds):
                await Periodic("cleanup", function, registry=registry, **options).run()

        begun = 0.0
        run_in_virtual_time(backend, main)
        return times

    return run_for


def take(*seconds):
    """Return work of which each run takes so many seconds, and the later ones none."""

    async def work(number):
        await anyio.sleep(dict(enumerate(seconds, 1)).get(number, 0))

    return work


def test_the_first_run_is_due_at_once(run_for):
    assert run_for(25, interval=10) == [0, 10, 20]


def test_a_start_delay_moves_all_runs(run_for):
    assert run_for(25, interval=10, start_delay=3) == [3, 13, 23]


def test_the_duration_of_the_runs_moves_none_of_them(run_for):
    assert run_for(45, take(1, 9, 0.5, 3), interval=10) == [0, 10, 20, 30, 40]


def test_runs_that_are_due_during_a_run_are_skipped_and_counted(run_for, read):
    assert run_for(65, take(25), interval=10) == [0, 30, 40, 50, 60]
    assert read("skipped_runs_total") == 2


def test_a_run_that_takes_longer_than_the_interval_is_counted(run_for, read):
    run_for(65, take(25, 5, 10.5), interval=10)
    assert read("overruns_total") == 2


def test_a_run_that_ends_when_the_next_one_is_due_skips_none(run_for, read):
    assert run_for(25, take(10), interval=10) == [0, 10, 20]
    assert (read("skipped_runs_total"), read("overruns_total")) == (0, 0)


def test_runs_that_were_due_while_the_loop_was_blocked_are_skipped_and_counted(registry, read):
    clock = trio.testing.MockClock(autojump_threshold=0)
    times = []

    async def function():
        times.append(trio.current_time())

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Periodic("cleanup", function, interval=10, registry=registry).run)
            await trio.sleep(5)
            clock.jump(30)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    assert times == [0, 35, 40]
    assert (read("skipped_runs_total"), read("overruns_total")) == (2, 0)


def test_a_run_that_fails_does_not_end_the_others(run_for, count):
    async def work(number):
        if number == 1:
            raise ValueError(number)

    assert run_for(25, work, interval=10) == [0, 10, 20]
    assert (count("error"), count("ok")) == (1, 2)


def test_a_run_that_fails_is_logged_with_its_traceback(run_for, caplog):
    async def work(_):
        raise ValueError("no disk")

    run_for(5, work, interval=10)
    (record,) = caplog.records
    assert (record.levelname, record.exc_info[0]) == ("ERROR", ValueError)
    assert "periodic cleanup: a run has failed" in record.getMessage()


def test_a_run_that_fails_is_counted_by_the_type_of_its_exception(run_for, read):
    async def work(_):
        raise KeyError("x")

    run_for(5, work, interval=10)
    assert read("run_exceptions_total", type="KeyError") == 1


def test_a_failed_run_leaves_the_time_of_the_last_success(run_for, read):
    async def work(number):
        if number == 2:
            after_success.append(read("last_success_timestamp_seconds"))
            raise ValueError(number)

    after_success = []
    begun = time.time()
    run_for(15, work, interval=10)
    assert [read("last_success_timestamp_seconds")] == after_success
    assert begun <= after_success[0] <= time.time()


def test_without_a_success_there_is_no_time_of_one(run_for, read):
    async def work(_):
        raise ValueError

    run_for(5, work, interval=10)
    assert read("last_success_timestamp_seconds") is None


def test_cancellation_ends_it_and_counts_the_run_as_cancelled(run_for, count, caplog):
    run_for(15, take(0, 100), interval=10)
    assert (count("ok"), count("cancelled")) == (1, 1)
    assert caplog.records == []


def test_the_interval_is_exposed_while_runs_are_made(run_for, read):
    async def work(_):
        exposed.append(read("interval_seconds"))

    exposed = []
    run_for(5, work, interval=10)
    assert (exposed, read("interval_seconds")) == ([10], None)


def test_the_time_of_the_first_run_is_exposed_while_runs_are_made(run_for, read):
    async def work(_):
        exposed.append(read("start_timestamp_seconds"))

    exposed = []
    begun = time.time()
    run_for(105, work, interval=10, start_delay=100)
    assert begun + 100 <= exposed[0] <= time.time() + 100
    assert read("start_timestamp_seconds") is None


def test_a_run_is_active_until_it_ends(run_for, read):
    async def work(_):
        active.append(read("active_runs"))

    active = []
    run_for(5, work, interval=10)
    assert (active, read("active_runs")) == ([1], 0)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot tell whose cancellation it is")
def test_a_future_that_is_cancelled_alone_fails_the_run_only(registry, count):
    async def function():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def main():
        with anyio.move_on_after(2.5 * TEN):
            await Periodic("cleanup", function, interval=10, registry=registry).run()

    run_in_virtual_time("asyncio", main)
    assert count("cancelled") == 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not say that the task is cancelled")
async def test_code_that_turns_the_cancellation_into_an_error_does_not_keep_it_running(registry):
    begun = asyncio.Event()

    async def function():
        try:
            begun.set()
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            raise ConnectionError from None

    task = asyncio.create_task(Periodic("cleanup", function, interval=0.001, registry=registry).run())
    await begun.wait()
    task.cancel()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(task, PATIENCE_SECONDS)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_ends_it(registry, error):
    async def function():
        raise error

    async def main():
        await Periodic("cleanup", function, interval=10, registry=registry).run()

    with pytest.raises(error):
        asyncio.run(main())


def test_a_function_that_is_not_async_runs_in_a_thread(run, registry, count):
    def function():
        threads.append(threading.get_ident())

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(Periodic("cleanup", function, interval=0.001, registry=registry).run)
            while not count("ok"):
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()

    threads = []
    run(main)
    assert threading.get_ident() not in threads


def test_an_awaitable_that_a_function_returns_is_awaited_on_the_loop(run, registry, count):
    async def work():
        threads.append(threading.get_ident())

    async def main():
        async with anyio.create_task_group() as group:
            periodic = Periodic("cleanup", lambda: work(), interval=0.001, registry=registry)
            group.start_soon(periodic.run)
            while not count("ok"):
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()

    threads = []
    run(main)
    assert set(threads) == {threading.get_ident()}


def test_two_loops_in_two_threads_run_it_at_the_same_time(registry, read):
    async def function():
        await anyio.sleep_forever()

    periodic = Periodic("cleanup", function, interval=10, registry=registry)

    with LoopThread("asyncio") as one, LoopThread("asyncio") as other:
        scopes = [(loop, start_on(loop, periodic)) for loop in (one, other)]
        wait_until(lambda: read("active_runs") == 2)
        for loop, scope in scopes:
            loop.call(scope.cancel)
        wait_for(lambda: read("interval_seconds"), None)


def start_on(loop, periodic):
    """Start a periodic function on the loop of a thread; return the scope that ends it."""

    async def start():
        scope = anyio.CancelScope()

        async def run():
            with scope:
                await periodic.run()

        tasks.add(asyncio.create_task(run()))
        return scope

    return loop.call(start)


tasks: set[asyncio.Task[None]] = set()


def test_two_runs_of_asyncio_one_after_the_other_both_work(registry, count):
    async def function():
        pass

    periodic = Periodic("cleanup", function, interval=10, registry=registry)

    async def main():
        with anyio.move_on_after(TEN / 2):
            await periodic.run()

    for _ in range(2):
        run_in_virtual_time("asyncio", main)
    assert count("ok") == 2


def test_two_periodic_functions_share_the_metrics_of_a_registry(registry):
    for name in ("cleanup", "report"):
        Periodic(name, print, interval=1, registry=registry)
    assert registry.get_sample_value("periodic_skipped_runs_total", {"periodic": "report"}) == 0


def test_a_namespace_begins_the_names_of_the_metrics(registry):
    Periodic("cleanup", print, interval=1, registry=registry, namespace="shop")
    assert registry.get_sample_value("shop_periodic_overruns_total", {"periodic": "cleanup"}) == 0


def test_another_metric_of_one_of_the_names_is_an_error(registry):
    from asyncmetrics import Counter

    Counter("periodic_skipped_runs", "Others.", registry=registry)
    with pytest.raises(DuplicateMetricError, match="periodic_skipped_runs"):
        Periodic("cleanup", print, interval=1, registry=registry)


async def _coroutine_function():
    pass


def _generator():
    yield


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((5, print), {"interval": 1}, "name: expected a str such as 'cleanup', got 5"),
        (("", print), {"interval": 1}, "name: expected a str that is not empty, such as 'cleanup', got the string ''"),
        (("a", 5), {"interval": 1}, "function: expected a function or coroutine function without arguments, got 5"),
        (("a", _generator), {"interval": 1}, "function: expected a function or coroutine function"),
        (("a", print), {"interval": 0}, "interval: expected more than 0 seconds"),
        (("a", print), {"interval": "1h"}, "interval: .* write 3600"),
        (("a", print), {"interval": 1, "start_delay": -1}, "start_delay: expected 0 or more seconds"),
        (("a", print), {"interval": 1, "registry": 5}, "registry"),
        (("a", print), {"interval": 1, "namespace": "a b"}, "namespace"),
    ],
)
def test_a_wrong_argument_is_named(arguments, options, message):
    with pytest.raises(DefinitionError, match=message):
        Periodic(*arguments, **{"registry": CollectorRegistry(), **options})


def test_a_coroutine_in_place_of_its_function_is_named():
    with pytest.raises(DefinitionError, match="pass the function itself, without calling it"):
        Periodic("cleanup", _coroutine_function(), interval=1)
