"""Measure several contenders in turns, so that other load on the machine affects all of them alike.

*Rules.*

- Run each contender once in every round, and start each round with a different one.
- Run many short rounds rather than few long ones, because processors change their speed.
- Collect garbage before a contender runs, and not while it runs. Freeze the objects that exist before the first round.
- Count the loop around a statement as part of its time. These nanoseconds are the same for all contenders, so they can
  only make ratios smaller.
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
    "describe_problem",
    "measure",
    "repeat_await",
    "repeat_iteration",
    "repeat_statement",
    "run_in_turns",
    "scale",
)

Run: TypeAlias = Callable[[int], float]
"""Repeat an operation a number of times and return the seconds that it took."""


@dataclass(frozen=True)
class Effort:
    """How much to measure: ``rounds`` of about ``seconds`` each; ``quick`` means data of a small size."""

    rounds: int
    seconds: float
    quick: bool = False

    def size(self, full: int) -> int:
        """Return the size of a data set whose full size is ``full``."""
        return max(full // 1000, 20) if self.quick else full


FULL = Effort(rounds=75, seconds=0.003)
QUICK = Effort(rounds=1, seconds=0.0001, quick=True)


@dataclass(frozen=True)
class Figures:
    """The minimum and the median of several rounds, per operation, in the unit of their row."""

    minimum: float
    median: float

    def scale(self, factor: float) -> Figures:
        """Return these figures in another unit."""
        return Figures(self.minimum * factor, self.median * factor)


Outcomes: TypeAlias = dict[str, Figures | str]
"""For each contender, its figures or the reason why there are none."""


def scale(outcomes: Outcomes, factor: float) -> Outcomes:
    """Return outcomes with their figures in another unit."""
    return {
        contender: value if isinstance(value, str) else value.scale(factor) for contender, value in outcomes.items()
    }


def repeat_statement(code: str, **names: Any) -> Run:
    """Return a function that runs a line of code in a loop, with ``names`` as its globals."""
    return timeit.Timer(code, globals=names).timeit


def repeat_await(function: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> Run:
    """Return a function that awaits ``function()`` in a loop on an event loop; ``clock`` returns seconds."""

    async def repeat(number: int) -> float:
        rounds = range(number)
        started = clock()
        for _ in rounds:
            await function()
        return clock() - started

    return lambda number: asyncio.run(repeat(number))


def repeat_iteration(function: Callable[[], Any]) -> Run:
    """Return a function that exhausts the async generator ``function()`` in a loop on an event loop."""

    async def repeat(number: int) -> float:
        rounds = range(number)
        started = perf_counter()
        for _ in rounds:
            async for _item in function():
                pass
        return perf_counter() - started

    return lambda number: asyncio.run(repeat(number))


def describe_problem(error: Exception) -> str:
    """Return in a few words why there are no figures."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"failed: {type(error).__name__}: {error}".splitlines()[0][:100]


def measure(contenders: Mapping[str, Run | str], effort: Effort, beyond: str | None = None) -> Outcomes:
    """Return seconds per operation for each contender, or its problem: the one that is passed in, or its error.

    With ``beyond``, the figures of the other contenders are the time that they need in addition to that one: the
    difference of the minima, and the median of the differences of the rounds.
    """
    outcomes: Outcomes = {contender: run for contender, run in contenders.items() if isinstance(run, str)}
    runs: dict[str, tuple[Run, int]] = {}
    for contender, run in contenders.items():
        if not isinstance(run, str):
            try:
                runs[contender] = (run, _choose_number(run, effort.seconds))
            except Exception as error:  # noqa: BLE001  # a peer's failure is a result
                outcomes[contender] = describe_problem(error)
    if beyond is not None and beyond not in runs:  # there is nothing to compare with
        return {contender: outcomes.get(contender, f"{beyond}: {outcomes[beyond]}") for contender in contenders}
    times_of = run_in_turns(runs, effort.rounds)
    for contender, times in times_of.items():
        base = [0.0] * len(times) if beyond in {None, contender} else times_of[beyond]
        outcomes[contender] = Figures(min(times) - min(base), median(map(sub, times, base)))
    return {contender: outcomes[contender] for contender in contenders}


def _choose_number(run: Run, seconds: float) -> int:
    """Return how often to repeat an operation so that a round takes about ``seconds``."""
    number, duration = 1, run(1)
    while duration < seconds / 4:
        number *= 4
        duration = run(number)
    return max(1, round(number * seconds / duration))


def run_in_turns(runs: Mapping[str, tuple[Run, int]], rounds: int) -> dict[str, list[float]]:
    """Return seconds per operation of each round for each contender, which is given with its number of operations."""
    times: dict[str, list[float]] = {contender: [] for contender in runs}
    names = list(runs)
    gc.freeze()
    for round_number in range(rounds if names else 0):
        start = round_number % len(names)
        for contender in names[start:] + names[:start]:
            run, number = runs[contender]
            with _without_collections():
                times[contender].append(run(number) / number)
    gc.unfreeze()
    return times


@contextmanager
def _without_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
