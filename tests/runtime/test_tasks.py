"""The tasks of the loop, by coroutine, at a scrape."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncmetrics import generate_latest
from asyncmetrics.prometheus_client.parser import text_string_to_metric_families
from asyncmetrics.runtime import RuntimeMonitor
from tests.loops import LoopThread
from tests.patience import PATIENCE_SECONDS, pause

TASKS, AGE = "event_loop_tasks", "event_loop_oldest_task_seconds"


async def wait_for_orders() -> None:
    await anyio.sleep_forever()


WAITING = f"{__name__}:wait_for_orders"


def test_tasks_are_counted_by_coroutine(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry), anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait_for_orders)
            await anyio.sleep(0.01)
            assert (await read_async(TASKS, "coroutine"))[WAITING] == 3
            group.cancel_scope.cancel()

    run_kind(main)


def test_a_task_that_has_ended_is_gone_from_the_next_scrape(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_for_orders)
                await anyio.sleep(0.01)
                assert WAITING in await read_async(TASKS, "coroutine")
                group.cancel_scope.cancel()
            assert WAITING not in await read_async(TASKS, "coroutine")
            assert WAITING not in await read_async(AGE, "coroutine")

    run_kind(main)


def test_the_age_grows_from_the_first_scrape_that_sees_the_task(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry), anyio.create_task_group() as group:
            group.start_soon(wait_for_orders)
            await anyio.sleep(0.01)
            assert (await read_async(AGE, "coroutine"))[WAITING] == 0
            passed = await pause()
            assert (await read_async(AGE, "coroutine"))[WAITING] >= passed
            group.cancel_scope.cancel()

    run_kind(main)


def test_the_tasks_of_this_library_are_left_out(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            assert not [one for one in await read_async(TASKS, "coroutine") if one.startswith("asyncmetrics.")]

    run_kind(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_task_under_a_timeout_has_its_own_name(kind, run_on, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            task = asyncio.ensure_future(asyncio.wait_for(wait_for_orders(), PATIENCE_SECONDS))
            await asyncio.sleep(0.01)
            assert (await read_async(TASKS, "coroutine"))[WAITING] >= 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run_on(kind, main)


def test_there_are_at_most_a_hundred_coroutines(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry), anyio.create_task_group() as group:
            for number in range(150):
                space = {"anyio": anyio, "__name__": f"app{number}"}
                exec("async def work(): await anyio.sleep_forever()", space)
                group.start_soon(space["work"])
            await anyio.sleep(0.01)
            counts = await read_async(TASKS, "coroutine")
            assert len(counts) == len(await read_async(AGE, "coroutine")) == 100
            assert sum(counts.values()) >= 150
            assert counts["__overflow__"] >= 51
            group.cancel_scope.cancel()

    run_kind(main)


def test_the_scrape_of_one_loop_has_the_tasks_of_another_one(backend, registry, read_async):
    monitors = [RuntimeMonitor(registry=registry) for _ in range(2)]
    with LoopThread(backend) as first, LoopThread("asyncio") as second:
        first.call(monitors[0].start)
        second.call(monitors[1].start)
        assert set(first.call(lambda: read_async(TASKS, "loop"))) == {"", "2"}
        second.call(monitors[1].stop)
        assert set(first.call(lambda: read_async(TASKS, "loop"))) == {""}
        first.call(monitors[0].stop)


def read_blocking(registry):
    """Return the samples of the tasks as a scrape that blocks the loop has them, and the text of the scrape."""
    text = generate_latest(registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return [sample.labels for name in (TASKS, AGE) for sample in families[name].samples], text


def test_a_scrape_that_blocks_the_loop_has_its_tasks(run_kind, registry):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry), anyio.create_task_group() as group:
            group.start_soon(wait_for_orders)
            await anyio.sleep(0.01)
            labels, text = read_blocking(registry)
            assert labels.count({"coroutine": WAITING}) == 2
            assert "asyncmetrics_collector_errors_total{" not in text
            group.cancel_scope.cancel()

    run_kind(main)


def test_a_scrape_that_blocks_its_loop_waits_for_no_other_one(backend, registry):
    async def scrape() -> set[str]:
        labels, _ = read_blocking(registry)
        return {one.get("loop", "") for one in labels}

    monitors = [RuntimeMonitor(registry=registry) for _ in range(2)]
    with LoopThread(backend) as first, LoopThread("asyncio") as second:
        first.call(monitors[0].start)
        second.call(monitors[1].start)
        assert first.call(scrape) == {""}
        second.call(monitors[1].stop)
        first.call(monitors[0].stop)


def test_no_series_is_left_after_the_end(run_kind, registry, read_async):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            assert await read_async(TASKS, "coroutine")
        assert await read_async(TASKS, "coroutine") == await read_async(AGE, "coroutine") == {}

    run_kind(main)
