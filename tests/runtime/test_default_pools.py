"""The default executor of a monitored loop, and the default limiters of anyio and trio."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import trio
import uvloop
from anyio import to_thread
from asgiref.sync import sync_to_async
from fastapi import FastAPI

from asyncmetrics import generate_latest, instrument
from asyncmetrics.runtime import RuntimeMonitor
from tests.patience import PATIENCE_SECONDS, wait_until

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def count(registry, pool, function=f"{__name__}:work"):
    return registry.get_sample_value("thread_pool_run_seconds_count", {"pool": pool, "function": function})


def read_max(registry, pool="default"):
    """Read one metric only: the functions of others may belong to a loop that this call blocks."""
    families = registry.restricted_registry(["thread_pool_max"]).collect()
    samples = (sample for family in families for sample in family.samples)
    return next((sample.value for sample in samples if sample.labels == {"pool": pool}), None)


def work(number=1):
    return number


async def visit(app, path):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as visitor:
        assert (await visitor.get(path)).status_code == 200


@pytest.fixture(params=[*LOOPS])
def run(request):
    """Run a coroutine function on a new loop of either kind."""

    def run(main):
        loop = LOOPS[request.param]()
        try:
            return loop.run_until_complete(asyncio.wait_for(main(), PATIENCE_SECONDS))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run


def test_the_default_executor_is_measured_from_its_first_call_on(registry, run):
    async def main():
        async with RuntimeMonitor(registry=registry):
            assert await asyncio.to_thread(work, 1) == 1
            assert await asyncio.get_running_loop().run_in_executor(None, work, 2) == 2
            assert count(registry, "default") == 2

    run(main)


def test_an_executor_from_before_the_monitor_is_measured(registry, run):
    async def main():
        await asyncio.to_thread(work)
        async with RuntimeMonitor(registry=registry):
            await asyncio.to_thread(work)
            assert count(registry, "default") == 1

    run(main)


def test_a_sync_endpoint_of_fastapi_is_the_function(registry, run):
    app = FastAPI()
    app.add_api_route("/work", work)

    async def main():
        async with RuntimeMonitor(registry=registry):
            await visit(app, "/work?number=2")
            assert count(registry, "anyio") == 1

    run(main)


def test_the_function_of_sync_to_async_is_the_function(registry, run):
    async def main():
        async with RuntimeMonitor(registry=registry):
            assert await sync_to_async(work, thread_sensitive=False)(2) == 2
            assert count(registry, "default") == 1

    run(main)


def test_another_default_executor_is_followed(registry, run):
    async def main():
        async with RuntimeMonitor(registry=registry):
            await asyncio.to_thread(work)
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))
            await asyncio.to_thread(work)
            assert count(registry, "default") == 2
            assert read_max(registry) == 3

    run(main)


def test_an_executor_with_a_name_of_the_program_keeps_it(registry, run):
    async def main():
        executor = instrument(ThreadPoolExecutor(1), name="own", registry=registry)
        asyncio.get_running_loop().set_default_executor(executor)
        async with RuntimeMonitor(registry=registry):
            await asyncio.to_thread(work)
        await asyncio.to_thread(work)
        assert count(registry, "own") == 2
        assert count(registry, "default") is None

    run(main)


def test_a_submit_of_the_program_is_called_once_for_each_call(registry, run):
    class Counting(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            calls.append(fn)
            return super().submit(fn, *args, **kwargs)

    calls = []

    async def main():
        asyncio.get_running_loop().set_default_executor(Counting(1))
        async with RuntimeMonitor(registry=registry):
            for _ in range(3):
                await asyncio.to_thread(work)

    run(main)
    assert len(calls) == 3


def test_stop_leaves_nothing(registry, run):
    submit = ThreadPoolExecutor.submit

    async def main():
        loop = asyncio.get_running_loop()
        before = vars(loop).keys() - set()
        async with RuntimeMonitor(registry=registry):
            await asyncio.to_thread(work)
        assert vars(loop).keys() == before
        async with RuntimeMonitor(registry=registry):
            pass
        assert vars(loop).keys() == before
        await asyncio.to_thread(work)

    run(main)
    assert ThreadPoolExecutor.submit is submit
    assert "default" not in generate_latest(registry).decode()


def test_a_method_that_another_tool_replaced_meanwhile_stays_replaced(registry, run):
    async def main():
        loop = asyncio.get_running_loop()
        async with RuntimeMonitor(registry=registry):
            inner = loop.run_in_executor

            def run_in_executor(*args):
                calls.append(args)
                return inner(*args)

            loop.run_in_executor = run_in_executor
            await asyncio.to_thread(work)
            assert count(registry, "default") == 1
        await asyncio.to_thread(work)

    calls = []
    run(main)
    assert len(calls) == 2


def test_calls_of_other_threads_and_executors_are_not_taken_for_default_ones(registry, run):
    async def main():
        with ThreadPoolExecutor(1) as other:
            async with RuntimeMonitor(registry=registry):
                await asyncio.get_running_loop().run_in_executor(other, work)
                assert read_max(registry) is None

    run(main)


def test_two_loops_in_two_threads_have_their_own_pools(registry, run):
    barrier = threading.Barrier(2)

    async def main():
        async with RuntimeMonitor(registry=registry):
            barrier.wait(PATIENCE_SECONDS)
            await asyncio.to_thread(work)
            await asyncio.to_thread(barrier.wait, PATIENCE_SECONDS)
            maxima.append(read_max(registry, "default-2"))
            await asyncio.to_thread(barrier.wait, PATIENCE_SECONDS)

    maxima = []
    threads = [threading.Thread(target=run, args=(main,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(maxima) == 2
    assert None not in maxima


def test_a_loop_that_ended_without_stop_does_not_disturb_the_next_one(registry, run):
    async def main():
        await RuntimeMonitor(registry=registry).start()
        await asyncio.to_thread(work)
        assert count(registry, "default") == 1
        assert count(registry, "default-2") is None

    run(main)
    gc.collect()
    run(main)


def test_a_loop_that_ended_without_stop_does_not_stay_in_memory(registry, run):
    async def main():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await RuntimeMonitor(registry=registry).start()
        await asyncio.to_thread(work)

    loops = []
    run(main)
    # The watchdog holds the loop at the moment at which it looks at it.
    wait_until(lambda: gc.collect() is not None and loops[0]() is None)


def test_the_default_limiter_of_anyio_is_measured(registry, run):
    async def main():
        async with RuntimeMonitor(registry=registry):
            assert await to_thread.run_sync(work) == 1
            assert read_max(registry, "anyio") == 40
            assert count(registry, "anyio") == 1

    run(main)
    assert "anyio" not in generate_latest(registry).decode()


def test_the_default_limiter_of_trio_is_measured_for_trio_and_for_anyio(registry):
    async def main():
        async with RuntimeMonitor(registry=registry):
            assert await trio.to_thread.run_sync(work) == 1
            assert await to_thread.run_sync(work) == 1
            assert count(registry, "trio") == 2
            waits = registry.get_sample_value("thread_pool_wait_seconds_count", {"pool": "trio"})
            assert waits == 2

    trio.run(main)
    assert 'pool="trio"' not in generate_latest(registry).decode()
