"""Limiters of anyio and trio: the wait for a token, and the functions that threads run with one."""

from __future__ import annotations

import gc
import threading
import time
from functools import partial

import anyio
import pytest
import trio
from anyio import to_thread

from asyncmetrics import generate_latest, instrument, uninstrument
from tests.patience import PATIENCE_SECONDS, eventually, pause

SHORT = 0.02
SLEEP = f"{__name__}:sleep"


def wait(registry, part="count", pool="jobs"):
    return registry.get_sample_value(f"thread_pool_wait_seconds_{part}", {"pool": pool})


def runs(registry, function=SLEEP, pool="jobs"):
    return registry.get_sample_value("thread_pool_run_seconds_count", {"pool": pool, "function": function})


def read(registry, what, pool="jobs", **labels):
    return registry.get_sample_value(f"thread_pool_{what}", {"pool": pool, **labels})


def sleep():
    time.sleep(SHORT)
    return "slept"


def test_a_function_in_a_thread_is_recorded_by_its_limiter(registry, run):
    async def main():
        limiter = instrument(anyio.CapacityLimiter(1), name="jobs", registry=registry)
        assert await to_thread.run_sync(sleep, limiter=limiter) == "slept"
        assert await to_thread.run_sync(partial(sleep), limiter=limiter) == "slept"
        assert await to_thread.run_sync(sleep) == "slept"  # by another limiter
        assert [wait(registry), runs(registry)] == [2, 2]

    run(main)


def test_a_limiter_made_outside_of_a_loop_is_measured(registry, run):
    limiter = instrument(anyio.CapacityLimiter(1), name="jobs", registry=registry)

    async def main():
        assert await to_thread.run_sync(sleep, limiter=limiter) == "slept"
        async with limiter:
            assert read(registry, "threads", state="busy") == 1
        await limiter.acquire()
        limiter.release()
        assert [wait(registry), runs(registry)] == [3, 1]

    run(main)


def test_calls_wait_for_a_token(registry, run):
    async def main():
        limiter = instrument(anyio.CapacityLimiter(1), name="jobs", registry=registry)
        release = threading.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(partial(to_thread.run_sync, release.wait, PATIENCE_SECONDS, limiter=limiter))
            await eventually(lambda: read(registry, "queue_length"), 1)
            assert read(registry, "threads", state="busy") == 1
            assert read(registry, "max") == 1
            passed = await pause()
            release.set()
        assert wait(registry, "sum") >= passed
        assert read(registry, "queue_length") == 0

    run(main)


def test_a_wait_that_is_cancelled_is_recorded_and_takes_no_token(registry, run):
    async def main():
        limiter = instrument(anyio.CapacityLimiter(1), name="jobs", registry=registry)
        async with limiter:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(limiter.acquire_on_behalf_of, object())
                await eventually(lambda: limiter.statistics().tasks_waiting, 1)
                passed = await pause()
                tasks.cancel_scope.cancel()
            assert limiter.borrowed_tokens == 1
        assert wait(registry) == 2
        assert wait(registry, "sum") >= passed

    run(main)


def test_an_exception_of_a_function_stays_as_it_is(registry, run):
    def fail():
        raise error

    error = ValueError("no")

    async def main():
        limiter = instrument(anyio.CapacityLimiter(1), name="jobs", registry=registry)
        with pytest.raises(ValueError, match="no") as caught:
            await to_thread.run_sync(fail, limiter=limiter)
        assert caught.value is error
        assert runs(registry, f"{__name__}:{fail.__qualname__}") == 1

    run(main)


def test_uninstrument_leaves_nothing(registry, run):
    gc.collect()  # the limiters of other tests

    async def main():
        limiter, bare = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        backend = anyio._core._eventloop.get_async_backend()
        before = backend.run_sync_in_worker_thread, trio.to_thread.run_sync
        instrument(limiter, name="jobs", registry=registry)
        uninstrument(limiter)
        await to_thread.run_sync(sleep, limiter=limiter)
        assert type(limiter) is type(bare)
        assert (backend.run_sync_in_worker_thread, trio.to_thread.run_sync) == before

    run(main)
    assert "jobs" not in generate_latest(registry).decode()


def test_the_patches_end_with_the_last_limiter_that_is_collected(registry):
    gc.collect()  # the limiters of other tests
    before = trio.to_thread.run_sync
    limiters = [instrument(anyio.CapacityLimiter(1), registry=registry) for _ in range(2)]
    assert trio.to_thread.run_sync is not before
    limiters.pop()
    gc.collect()
    assert trio.to_thread.run_sync is not before
    limiters.pop()
    gc.collect()
    assert trio.to_thread.run_sync is before


def test_the_limiter_of_trio_is_measured(registry):
    async def main():
        limiter = instrument(trio.CapacityLimiter(1), name="jobs", registry=registry)
        assert await trio.to_thread.run_sync(sleep, limiter=limiter) == "slept"
        async with limiter:
            assert read(registry, "threads", state="busy") == 1
        assert [wait(registry), runs(registry)] == [2, 1]
        before = vars(trio.CapacityLimiter(1)).keys()
        uninstrument(limiter)
        assert vars(limiter).keys() == before

    trio.run(main)
    assert "jobs" not in generate_latest(registry).decode()


def test_a_class_of_a_limiter_is_refused_with_advice():
    with pytest.raises(Exception, match="create an object first"):
        instrument(anyio.CapacityLimiter)
