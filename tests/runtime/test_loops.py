"""Several loops, at the same time and one after the other; loops that end without their monitor."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import threading
import time
from collections.abc import Callable

import anyio
import pytest
import trio

from asyncmetrics.exposition import make_asgi_app
from asyncmetrics.runtime import RuntimeMonitor
from asyncmetrics.testing import scrape
from tests.forks import run_forked
from tests.loops import LoopThread
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

LAG = "event_loop_lag_seconds_count"


@pytest.fixture
def count_watchdogs() -> Callable[[], int]:
    """Count the watchdogs that have begun since the test has: those of other tests may take a moment to end."""
    others = set(threading.enumerate())
    return lambda: sum(thread.name == "asyncmetrics-watchdog" for thread in set(threading.enumerate()) - others)


def test_a_monitor_that_is_started_twice_has_one_watchdog(run_kind, registry, count_watchdogs):
    async def main() -> None:
        monitor = RuntimeMonitor(registry=registry)
        async with monitor:
            await monitor.start()
            async with RuntimeMonitor(registry=registry):
                assert count_watchdogs() == 1

    run_kind(main)


def test_no_thread_is_left_after_the_end(run_kind, registry, count_watchdogs):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            assert count_watchdogs() == 1
        assert count_watchdogs() == 0

    run_kind(main)


def test_no_task_is_left_after_the_end_on_trio(run_on, registry):
    async def main() -> None:
        for _ in range(10):  # trio runs the tasks of a turn in any order
            tasks = trio.lowlevel.current_statistics().tasks_living
            async with RuntimeMonitor(registry=registry):
                await trio.sleep(0.01)
            assert trio.lowlevel.current_statistics().tasks_living == tasks

    run_on("trio", main)


def test_a_handler_of_logs_that_waits_for_the_loop_lets_the_monitor_stop(run_kind, registry, count_watchdogs):
    is_free, has_begun = threading.Event(), threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            has_begun.set()
            is_free.wait(PATIENCE_SECONDS)

    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=0.05):
            await anyio.sleep(0)
            assert has_begun.wait(PATIENCE_SECONDS)  # which blocks the loop

    log, handler = logging.getLogger("asyncmetrics"), Handler()
    log.addHandler(handler)
    try:
        run_kind(main)
        assert not is_free.is_set()
    finally:
        is_free.set()
        log.removeHandler(handler)
    wait_until(lambda: not count_watchdogs())


def test_a_threshold_that_no_clock_reaches_keeps_the_watchdog(run_kind, registry, count_watchdogs):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=1e12):
            await anyio.sleep(0.05)
            assert count_watchdogs() == 1

    run_kind(main)


def test_without_a_threshold_there_is_no_thread(run_kind, registry, count_watchdogs):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=None):
            assert count_watchdogs() == 0

    run_kind(main)


def test_a_loop_that_ends_without_its_monitor_leaves_nothing_behind(run_kind, registry, count_watchdogs):
    others = gc.callbacks[:]

    async def main() -> None:
        await RuntimeMonitor(registry=registry).start()

    run_kind(main)
    wait_until(lambda: not count_watchdogs())
    assert [one for one in gc.callbacks if one not in others] == []


def test_the_next_monitor_works_after_a_loop_that_has_ended_without_its_own(run_kind, registry, read, count_watchdogs):
    async def start() -> None:
        await RuntimeMonitor(registry=registry).start()

    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            before = read(LAG)
            await eventually(lambda: read(LAG) > before, True)

    run_kind(start)
    run_kind(main)
    wait_until(lambda: not count_watchdogs())


def test_a_loop_that_has_ended_without_its_monitor_has_no_tasks_and_is_no_failure(run_kind, registry, caplog):
    """A test of an application gives it no lifespan, and collects before the watchdog sees that the loop has ended."""
    monitor = RuntimeMonitor(registry=registry)
    run_kind(monitor.start)
    for collect in (registry.collect, lambda: anyio.run(registry.collect_async)):
        assert [family.samples for family in collect() if family.name == "event_loop_tasks"] == [[]]
    text = anyio.run(scrape, make_asgi_app(registry)).text
    assert "event_loop_tasks{" not in text
    assert "asyncmetrics_collector_errors_total" not in text
    assert caplog.messages == []
    monitor.stop_all()


def test_two_runs_one_after_the_other_share_the_series(run_kind, registry):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            await anyio.sleep(0)

    run_kind(main)
    run_kind(main)
    loops = {sample.labels.get("loop") for family in registry.collect() for sample in family.samples}
    assert loops == {None}


def test_two_loops_at_the_same_time_have_a_label_each(backend, registry, read, count_watchdogs):
    monitors = [RuntimeMonitor(registry=registry) for _ in range(2)]
    with LoopThread(backend) as first, LoopThread("asyncio") as second:
        first.call(monitors[0].start)
        second.call(monitors[1].start)
        wait_until(lambda: read(LAG, loop="2") >= 1)
        second.call(monitors[1].stop)
        first.call(monitors[0].stop)
    wait_until(lambda: not count_watchdogs())


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_loop_that_only_pauses_is_measured_afterwards(kind, registry, read, count_watchdogs):
    """A program may run one coroutine, then do something else, and then run the loop again."""
    loop = importlib.import_module(kind).new_event_loop()
    monitor = RuntimeMonitor(registry=registry)
    loop.run_until_complete(monitor.start())
    began = time.perf_counter()
    time.sleep(0.7)  # the watchdog looks twice a second whether the loop has ended
    paused = time.perf_counter() - began
    before = read(LAG)
    loop.run_until_complete(eventually(lambda: read(LAG) > before, True))
    assert count_watchdogs() == 1
    assert read("event_loop_blocked_seconds_total") < paused * 0.9
    loop.run_until_complete(monitor.stop())
    loop.close()


def test_a_forked_process_measures_a_loop_of_its_own(run_on, registry, read, count_watchdogs):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            run_forked(lambda: threading.Thread(target=measure).start())

    def measure() -> None:
        async def measure_loop() -> None:
            async with RuntimeMonitor(registry=registry):
                assert count_watchdogs() == 1
                before = read(LAG)
                await eventually(lambda: read(LAG) > before, True)

        anyio.run(measure_loop)

    run_on("asyncio", main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_the_attributes_of_the_loop_are_as_before_after_the_end(kind, run_on, registry):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = set(getattr(loop, "__dict__", ()))
        async with RuntimeMonitor(registry=registry):
            pass
        assert set(getattr(loop, "__dict__", ())) == before

    run_on(kind, main)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="the system has no clock of a thread")
def test_the_processor_time_is_that_of_the_loops_thread(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            began = time.thread_time()
            while time.thread_time() < began + 0.1:
                pass
            await anyio.sleep(0)
        used = time.thread_time()
        assert 0.1 <= read("event_loop_cpu_seconds_total") <= used

    run_kind(main)
