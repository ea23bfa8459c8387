"""Measure several contenders in turns, so that whatever else the machine does meets all of them alike.

*Rules.* Every round runs each contender once, starting with another one each time; many short rounds rather than few
long ones, because processors change their speed meanwhile. Garbage is collected before a contender runs and not while
it does; what was there before the first round is left out of that. The loop around a statement is part of its figure:
some nanoseconds that everyone has, which make ratios smaller, never larger.
"""

from __future__ import annotations

import asyncio
import gc
import timeit
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import sub
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

__all__ = (
    "FULL",
    "QUICK",
    "Effort",
    "Figures",
    "Outcomes",
    "Run",
    "awaiting",
    "exhausting",
    "run_in_turns",
    "measure",
    "problem",
    "statement",
)

Run: TypeAlias = Callable[[int], float]
"""Do it so many times and return the seconds that it took."""


@dataclass(frozen=True)
class Effort:
    """How much to measure: ``rounds`` of about ``seconds`` each, and data of full size or of a token one."""

    rounds: int
    seconds: float
    quick: bool = False

    def size(self, full: int) -> int:
        """Return how large a set of data that ``full`` calls for shall be."""
        return max(full // 1000, 20) if self.quick else full


FULL = Effort(rounds=75, seconds=0.003)
QUICK = Effort(rounds=2, seconds=0.0001, quick=True)


@dataclass(frozen=True)
class Figures:
    """The best and the middle of several rounds, per operation, in the unit of the row that they stand in."""

    minimum: float
    median: float

    def scaled(self, factor: float) -> Figures:
        """Return the same in another unit."""
        return Figures(self.minimum * factor, self.median * factor)


Outcomes: TypeAlias = dict[str, Figures | str]
"""By contender, its figures or why there are none."""


def statement(code: str, **names: Any) -> Run:
    """Return what runs a line of code in a loop, with ``names`` as its globals, as a module's are."""
    return timeit.Timer(code, globals=names).timeit


def awaiting(function: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> Run:
    """Return what awaits ``function()`` again and again on an event loop, by a clock of seconds."""

    async def repeat(number: int) -> float:
        turns = range(number)
        started = clock()
        for _ in turns:
            await function()
        return clock() - started

    return lambda number: asyncio.run(repeat(number))


def exhausting(function: Callable[[], Any]) -> Run:
    """Return what goes through the asynchronous generator ``function()`` again and again on an event loop."""

    async def repeat(number: int) -> float:
        turns = range(number)
        started = perf_counter()
        for _ in turns:
            async for _item in function():
                pass
        return perf_counter() - started

    return lambda number: asyncio.run(repeat(number))


def problem(error: Exception) -> str:
    """Say in a few words why there are no figures."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"failed: {type(error).__name__}: {error}".splitlines()[0][:100]


def measure(contenders: Mapping[str, Run | str], effort: Effort, beyond: str | None = None) -> Outcomes:
    """Return seconds per operation for each contender; one that comes with its problem, or has one, keeps it.

    With ``beyond``, the figures of the others are what they take longer than that one: by their minima, and by the
    median of the rounds' differences.
    """
    outcomes: Outcomes = {who: run for who, run in contenders.items() if isinstance(run, str)}
    runs: dict[str, tuple[Run, int]] = {}
    for who, run in contenders.items():
        if not isinstance(run, str):
            try:
                runs[who] = (run, _number(run, effort.seconds))
            except Exception as error:  # noqa: BLE001  # a peer's failure is a result
                outcomes[who] = problem(error)
    if beyond is not None and beyond not in runs:  # nothing to compare with
        return {who: outcomes.get(who, f"{beyond}: {outcomes[beyond]}") for who in contenders}
    taken = run_in_turns(runs, effort.rounds)
    for who, times in taken.items():
        base = [0.0] * len(times) if beyond in {None, who} else taken[beyond]
        outcomes[who] = Figures(min(times) - min(base), median(map(sub, times, base)))
    return {who: outcomes[who] for who in contenders}


def _number(run: Run, seconds: float) -> int:
    number, taken = 1, run(1)
    while taken < seconds / 4:
        number *= 4
        taken = run(number)
    return max(1, round(number * seconds / taken))


def run_in_turns(runs: Mapping[str, tuple[Run, int]], rounds: int) -> dict[str, list[float]]:
    """Return seconds per operation in each round for each contender, which comes with its number of operations."""
    taken: dict[str, list[float]] = {who: [] for who in runs}
    names = list(runs)
    gc.freeze()
    for turn in range(rounds if names else 0):
        start = turn % len(names)
        for who in names[start:] + names[:start]:
            run, number = runs[who]
            with _no_garbage():
                taken[who].append(run(number) / number)
    gc.unfreeze()
    return taken


@contextmanager
def _no_garbage() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
