"""The collections of the garbage collector are measured once for each registry, and by nothing after the end."""

from __future__ import annotations

import gc
from typing import Any

from asyncmetrics.runtime import RuntimeMonitor
from tests.forks import run_forked
from tests.loops import LoopThread

COUNT = "python_gc_duration_seconds_count"


def list_callbacks(others: list[Any]) -> list[Any]:
    """Return the callbacks that are not those of others: a loop of another test may take a moment to remove its own."""
    return [one for one in gc.callbacks if one not in others]


def test_a_collection_is_observed_by_its_generation(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry):
            before = read(COUNT, generation="2")
            gc.collect()
            assert read(COUNT, generation="2") == before + 1

    run_kind(main)


def test_two_loops_observe_a_collection_once(registry, read):
    monitors = [RuntimeMonitor(registry=registry) for _ in range(2)]
    with LoopThread("asyncio") as first, LoopThread("trio") as second:
        first.call(monitors[0].start)
        second.call(monitors[1].start)
        before = read(COUNT, generation="2")
        gc.collect()
        assert read(COUNT, generation="2") == before + 1
        first.call(monitors[0].stop)
        gc.collect()
        assert read(COUNT, generation="2") == before + 2
        second.call(monitors[1].stop)


def test_a_program_that_removes_the_callback_does_not_fail_the_end(run_kind, registry):
    async def main() -> None:
        before = gc.callbacks[:]
        async with RuntimeMonitor(registry=registry):
            gc.callbacks[:] = before

    run_kind(main)


def test_no_callback_is_left_after_the_end(run_kind, registry):
    async def main() -> None:
        others = gc.callbacks[:]
        async with RuntimeMonitor(registry=registry):
            assert list_callbacks(others) != []
        assert list_callbacks(others) == []

    run_kind(main)


def test_no_callback_is_left_in_a_process_that_was_forked(run_on, registry):
    async def main() -> None:
        others = gc.callbacks[:]

        def check() -> None:
            assert list_callbacks(others) == []

        async with RuntimeMonitor(registry=registry):
            run_forked(check)

    run_on("asyncio", main)
