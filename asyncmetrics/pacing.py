"""Turns on an event loop: long work in short steps, with room for everything else on the loop between them.

Work on the loop that would take longer than a moment, such as rendering a large exposition, runs in turns. The budget
belongs to the loop and not to a piece of work: however many pieces of work take turns, together they hold the loop for
one budget at a time.

*Rules.*

1. Cut the work into steps of well under a millisecond. A turn ends between two steps, never within one.
2. Never wait for a client, a collector or a file within a turn: all other turns of the loop would wait with it.
3. Take a turn with `take_turn` and ask after each step whether the turn is over, or hand all steps to `run_in_turns`.

*Theory of operation.*

1. A task asks for a turn. It waits for the loop's lock, which is given in the order of asking.
2. The task holds the lock and does steps until `BUDGET_SECONDS` are used up.
3. The task stops its steps, still holds the lock, and lets the loop pass eight times: every other task that is ready
   runs in each pass.
4. The task releases the lock, and the next task in the queue begins its turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from time import perf_counter
from typing import TypeVar, overload

from anyio import Lock
from anyio.lowlevel import RunVar, checkpoint

__all__ = ("BUDGET_SECONDS", "get_for_loop", "preload_asyncio_backend", "run_in_turns", "take_turn")

T = TypeVar("T")

BUDGET_SECONDS = 0.001
"""How long one turn may hold the loop."""

# A request takes several passes of the loop. With one pass between turns it would wait for a whole turn at each of
# them: a request of four steps waited 1.7 ms with one pass and 0.05 ms with eight (benchmarks/scrape.py).
_PASSES_BETWEEN_TURNS = 8

_LOCK: RunVar[Lock] = RunVar("asyncmetrics_turns")


def preload_asyncio_backend() -> None:
    """Import anyio's backend for asyncio now: otherwise the first turn would hold the loop for these 14 ms."""
    with suppress(ImportError):  # a private module of anyio, which may move
        import_module("anyio._backends._asyncio")


@asynccontextmanager
async def take_turn() -> AsyncIterator[Callable[[], bool]]:
    """Wait for a turn on the running loop, and yield a function that returns whether the turn is over."""
    async with get_for_loop(_LOCK, Lock):
        end = perf_counter() + BUDGET_SECONDS
        yield lambda: perf_counter() >= end
        for _ in range(_PASSES_BETWEEN_TURNS):
            await checkpoint()


@overload
async def run_in_turns(steps: Generator[object, None, T]) -> T: ...  # type: ignore[overload-overlap]  # an iterator too
@overload
async def run_in_turns(steps: Iterator[object]) -> None: ...
async def run_in_turns(steps: Iterator[object]) -> object:
    """Run ``steps`` to the end, as many in each turn as fit, and return what a generator returns.

    The values that the steps yield are discarded.
    """
    while True:
        async with take_turn() as is_over:
            try:
                while not is_over():
                    next(steps)
            except StopIteration as end:
                return end.value


def get_for_loop(variable: RunVar[T], make: Callable[[], T]) -> T:
    """Return the value of ``variable`` on the running loop; the first call on a loop makes the value."""
    try:
        return variable.get()
    except LookupError:
        value = make()
        variable.set(value)
        return value
