"""Whether memory grows while A is interrupted again and again in one world."""

from __future__ import annotations

from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.engine import Run
from tests.concurrency.explorer.runner import Runner
from tests.concurrency.explorer.worlds import Problem
from tests.growth import count_objects

__all__ = ("find_growth",)

_ROUNDS_BEFORE, _ROUNDS = 20, 50
_MOST_OBJECTS = 25  # half an object a round


def find_growth(runner: Runner, case: Case, mode: str) -> list[Problem]:
    """Interrupt A at points all over it, tidy up after each time, and count the objects that are left."""
    points = runner.count_ways(case, mode)
    world = case.setting.make_world(case.storage, runner.clock)
    counts = []
    try:
        for rounds in (_ROUNDS_BEFORE, _ROUNDS):
            for number in range(rounds):
                Run(runner, case, mode, world).interrupt(number * points // rounds)
                world.tidy()
            counts.append(count_objects())
    finally:
        world.close()
    if counts[1] - counts[0] > _MOST_OBJECTS:
        return [("memory grows", f"by {counts[1] - counts[0]} objects in {_ROUNDS} rounds")]
    return []
