"""Turns on an event loop: how all scrapes together hold it for a moment only, however many there are and however large.

*Rules.* Whatever a scrape does on the loop is a series of short steps, done in turns: a turn takes new steps until its
budget is used up. The budget belongs to the loop and not to a scrape: turns are taken one after the other, in the order
in which they were asked for, and between two of them everything else on the loop gets several goes. Several, because a
request is rarely through after one: with a single one it would wait a whole turn at each of its steps
(benchmarks/scrape.py). Nothing that may wait for a client is done within a turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from time import perf_counter
from typing import TypeVar

from anyio import Lock
from anyio.lowlevel import RunVar, checkpoint

__all__ = ("BUDGET_SECONDS", "get_for_loop", "preload", "run_in_turns", "turn")

T = TypeVar("T")

BUDGET_SECONDS = 0.001
_GOES = 8

_LOCK: RunVar[Lock] = RunVar("asyncmetrics_turns")


def preload() -> None:
    """Load anyio's side of asyncio now, 14 ms that the first scrape would otherwise hold the loop for."""
    with suppress(ImportError):  # it may move
        import_module("anyio._backends._asyncio")


@asynccontextmanager
async def turn() -> AsyncIterator[Callable[[], bool]]:
    """Wait for a turn on the loop that is running; what is given tells when it is over."""
    async with get_for_loop(_LOCK, Lock):
        end = perf_counter() + BUDGET_SECONDS
        yield lambda: perf_counter() >= end
        for _ in range(_GOES):
            await checkpoint()


async def run_in_turns(steps: Iterator[object]) -> None:
    """Do all ``steps``, whose results do not matter."""
    while True:
        async with turn() as is_over:
            for _ in steps:
                if is_over():
                    break
            else:
                return


def get_for_loop(kept: RunVar[T], make: Callable[[], T]) -> T:
    """Return what is kept for the loop that is running, made at its first use."""
    try:
        return kept.get()
    except LookupError:
        kept.set(made := make())
        return made
