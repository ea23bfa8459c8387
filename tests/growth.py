"""Whether memory grows with the number of calls: objects are counted after rounds of equal work."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import pairwise
from statistics import median

__all__ = ("count_objects", "find_growth")


def count_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def find_growth(counts: Iterable[int]) -> float:
    """Return the growth of a usual round, the median.

    In one round something else may add objects, or free some: a module is imported, a cache is emptied. A leak adds
    objects in each.
    """
    return median(after - before for before, after in pairwise(counts))
