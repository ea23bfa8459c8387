"""Whether memory grows with the number of calls: objects are counted after rounds of equal work."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import pairwise

__all__ = ("count_objects", "find_growth")


def count_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def find_growth(counts: Iterable[int]) -> int:
    """Return the least growth between two counts.

    Something else may add objects in one round: a module is imported, another thread works. A leak adds in each round.
    """
    return min(after - before for before, after in pairwise(counts))
