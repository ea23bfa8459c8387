"""The lag of the loop is how late its heartbeat comes."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from asyncmetrics.runtime import RuntimeMonitor
from tests.patience import eventually

BLOCK = 0.02


def test_a_heartbeat_is_observed_while_the_loop_is_idle(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            await eventually(lambda: read("event_loop_lag_seconds_count") >= 2, True)

    run_kind(main)


def test_blocks_of_20_ms_make_the_heartbeat_late(run_kind, registry, read):
    """A loop that is always in a block runs a timer in the middle of one, 10 ms late on average.

    Five blocks take as long as the average time between two heartbeats, which must not meet the ends only.
    """

    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            while (count := read("event_loop_lag_seconds_count")) < 15:
                end = time.perf_counter() + BLOCK
                while time.perf_counter() < end:
                    pass
                await anyio.sleep(0)
            assert read("event_loop_lag_seconds_sum") / count > BLOCK / 5

    run_kind(main)


def test_the_lag_is_not_longer_than_the_time_that_has_passed(run_kind, registry, read):
    async def main() -> None:
        began = time.perf_counter()
        async with RuntimeMonitor(registry=registry):
            await eventually(lambda: read("event_loop_lag_seconds_count") >= 2, True)
        assert read("event_loop_lag_seconds_sum") <= time.perf_counter() - began

    run_kind(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_the_heartbeat_is_no_task(kind, run_on, registry, read):
    async def main() -> None:
        before = asyncio.all_tasks()
        async with RuntimeMonitor(registry=registry):
            await eventually(lambda: read("event_loop_lag_seconds_count") >= 1, True)
            assert asyncio.all_tasks() == before

    run_on(kind, main)


def test_no_heartbeat_comes_after_the_end(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            await eventually(lambda: read("event_loop_lag_seconds_count") >= 1, True)
        count = read("event_loop_lag_seconds_count")
        await anyio.sleep(0.15)
        assert read("event_loop_lag_seconds_count") == count

    run_kind(main)
