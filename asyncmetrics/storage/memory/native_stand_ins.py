"""The stand-ins of native histograms: see `asyncmetrics.storage.memory.stand_ins`."""

from __future__ import annotations

from typing import Any

from asyncmetrics.storage.memory.hidden_slots import HIDDEN_HISTOGRAM, Change, Hidden, Number, store_nothing
from asyncmetrics.storage.memory.native import MemoryDualHistogram, MemoryNativeHistogram
from asyncmetrics.storage.memory.native_buckets import Buckets

__all__ = ("HIDDEN_NATIVE", "replace_buckets")


class _Pit(dict[int, float]):
    """Counts of which each is 0, and which keep none: the observation is passed on by the sum."""

    __slots__ = ()

    def __missing__(self, key: int) -> float:
        return 0.0

    def __setitem__(self, key: int, count: float) -> None: ...

    def setdefault(self, key: int, default: Any = 0.0) -> Any:  # noqa: ARG002  # of a dict
        return default


def _hide_stage(stage: Buckets) -> Buckets:
    bounds, low, scale, _, schema = stage[:5]
    return bounds, low, scale, _Pit(), schema


def _return_none(_value: Any) -> None:
    """Return None: a stand-in has no stages."""


def replace_buckets(child: Any, stand_in: type[Any]) -> None:
    """Change the class of a native histogram, and replace its dicts of counts, in which other threads go on to count.

    A count that comes later is passed on by the sum, and must not be in the dict that the successor gets as well.
    """
    while type(child) is not stand_in:
        stage, stages = child._stage, child._stages
        before = [stage[3]] if stages is None else [*stages.values()]
        after: list[dict[int, float]] = [{} for _ in before]
        new_counts = dict(zip(map(id, before), after, strict=True))[id(stage[3])]
        new_stage = (*stage[:3], new_counts, stage[4])
        new_stages = None if stages is None else dict(zip([*stages], after, strict=True))
        copying = map(dict.update, after, before)
        if child._stage is stage:  # or another thread has changed the stage; from here on, no call
            _, child._stage, child._stages, child.__class__ = [*copying], new_stage, new_stages, stand_in


def _store_sum(successor: Any, value: float) -> None:
    if type(value) is Change:  # another number is that of a reset which began before
        successor.observe(float(value))


_BUCKETS = {
    "_stage": Hidden(_hide_stage, store_nothing),
    "_stages": Hidden(_return_none, store_nothing),
    "_sum": Hidden(lambda _: Number(), _store_sum),
}
HIDDEN_NATIVE: dict[type[Any], dict[str, Hidden]] = {
    MemoryNativeHistogram: {"_exemplars": HIDDEN_HISTOGRAM["_exemplars"], **_BUCKETS},
    MemoryDualHistogram: {**HIDDEN_HISTOGRAM, **_BUCKETS},
}
"""How a stand-in hides each slot, by the class of the child."""
