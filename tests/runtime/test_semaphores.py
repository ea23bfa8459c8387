"""Semaphores of asyncio: the tasks that wait for a permit, and how long."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncmetrics import instrument, uninstrument
from asyncmetrics.errors import DefinitionError
from tests.patience import pause


def count(registry):
    return registry.get_sample_value("queue_get_wait_seconds_count", {"queue": "jobs"})


def read(registry, what):
    return registry.get_sample_value(f"queue_{what}", {"queue": "jobs"})


async def test_tasks_that_wait_for_a_semaphore_are_its_queue(registry):
    permits = instrument(asyncio.Semaphore(1), name="jobs", registry=registry)
    async with permits:
        waiting = asyncio.create_task(permits.acquire())
        await asyncio.sleep(0)
        passed = await pause()
        assert read(registry, "length") == 1
    assert await waiting is True
    assert read(registry, "length") == 0
    assert read(registry, "max") == 1
    assert count(registry) == 2
    assert registry.get_sample_value("queue_get_wait_seconds_sum", {"queue": "jobs"}) >= passed


async def test_a_wait_for_a_permit_that_is_cancelled_takes_none(registry):
    permits = instrument(asyncio.BoundedSemaphore(1), name="jobs", registry=registry)
    await permits.acquire()
    task = asyncio.create_task(permits.acquire())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert read(registry, "length") == 0
    permits.release()
    await permits.acquire()
    uninstrument(permits)
    assert type(permits) is asyncio.BoundedSemaphore


def test_a_semaphore_of_anyio_is_refused_with_advice():
    with pytest.raises(DefinitionError, match=r"an asyncio\.Semaphore or an anyio\.CapacityLimiter can be"):
        instrument(anyio.Semaphore(1))
