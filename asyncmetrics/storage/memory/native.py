"""The children of native histograms in memory storage: with a classic histogram beside it, or without.

`asyncmetrics.storage.memory.native_buckets` has their rules. The quick path of an observation ends where its bucket is
missing, with the `KeyError` of the dict of counts. A schema below 0 ends it as well: its scale is None, which
raises `TypeError`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import frexp
from sys import float_info
from typing import Any

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.native import MAX_EXEMPLARS, find_key
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.memory.native_buckets import Buckets, NativeBuckets, get_options
from asyncmetrics.storage.memory.plain import accumulate_counts

__all__ = ("MemoryDualHistogram", "MemoryNativeHistogram", "choose_native_class")

_LARGEST = float_info.max


class MemoryNativeHistogram(NativeBuckets):
    """The child of a native histogram without classic buckets. Exemplars have a place for each power of two."""

    __slots__ = ()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its bucket."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bounds, low, scale, counts, _ = self._stage
        if exemplar is not None or not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._observe_rare(amount, exemplar)
            return
        fraction, exponent = frexp(amount)
        place = bisect_left(bounds, fraction)
        try:  # no call in it: so no signal handler raises these errors here
            counts[place + exponent * scale] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._sum += amount

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds, which are floats and need no check: benchmarks/decorators.py."""
        rare = self._observe_rare

        def record(seconds: float) -> None:
            bounds, low, scale, counts, _ = self._stage
            if not (seconds > low and seconds <= _LARGEST):
                rare(seconds, None)
                return
            fraction, exponent = frexp(seconds)
            place = bisect_left(bounds, fraction)
            try:
                counts[place + exponent * scale] += 1.0
            except (KeyError, TypeError):
                rare(seconds, None)
                return
            self._sum += seconds

        return record

    def _count(self, counts: dict[int, float], key: int, amount: float) -> None:
        counts[key] += 1.0
        self._sum += amount

    def _restart(self, stage: Buckets, clearings: Iterator[None]) -> None:
        self.created, self._exemplars = time.time(), None
        self._stage, self._sum, _ = stage, 0.0, [*clearings]

    def choose_exemplar_place(self, amount: float) -> int:
        """Return the place of an exemplar: that of its power of two."""
        return find_key(amount, 0, self._stage[1])

    def _add_exemplar(self, exemplar: Exemplar) -> None:
        place = self.choose_exemplar_place(exemplar.value)
        exemplars = {**(self._exemplars or {})}
        exemplars.pop(place, None)  # so that the dict has the order of the times
        exemplars[place] = exemplar
        if len(exemplars) > MAX_EXEMPLARS:
            del exemplars[next(iter(exemplars))]
        self._exemplars = exemplars

    def read_counts(self) -> tuple[Sequence[float], float]:
        """Return the count of all observations, as that of the bucket ``+Inf``, and the sum of the same moment."""
        stages, total = self._copy_stages()
        return [float(sum(sum(counts.values()) for _, _, counts in stages))], total

    def read_numbers(self) -> Sequence[float]:
        """Return the bucket ``+Inf``, the count and the sum."""
        self._reset_if_due(get_options(self.table))
        (count,), total = self.read_counts()
        return (count, count, total)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the latest exemplar, as that of the bucket ``+Inf``."""
        exemplars = self._exemplars
        return {0: next(reversed(exemplars.values()))} if exemplars else {}


class MemoryDualHistogram(NativeBuckets):
    """The child of a native histogram with a classic one beside it, whose buckets are the places of exemplars."""

    __slots__ = ("_bounds", "_counts")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._bounds = table.descriptor.buckets
        self._counts = [0.0] * len(self._bounds)

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its buckets."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bounds, low, scale, counts, _ = self._stage
        if exemplar is not None or not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._observe_rare(amount, exemplar)
            return
        fraction, exponent = frexp(amount)
        place = bisect_left(bounds, fraction)
        index = bisect_left(self._bounds, amount)
        try:  # see MemoryNativeHistogram.observe
            counts[place + exponent * scale] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._counts[index] += 1.0
        self._sum += amount

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds; see `MemoryNativeHistogram.recorder`."""
        classic_bounds, rare = self._bounds, self._observe_rare

        def record(seconds: float) -> None:
            bounds, low, scale, counts, _ = self._stage
            if not (seconds > low and seconds <= _LARGEST):
                rare(seconds, None)
                return
            fraction, exponent = frexp(seconds)
            place = bisect_left(bounds, fraction)
            index = bisect_left(classic_bounds, seconds)
            try:
                counts[place + exponent * scale] += 1.0
            except (KeyError, TypeError):
                rare(seconds, None)
                return
            self._counts[index] += 1.0
            self._sum += seconds

        return record

    def _count(self, counts: dict[int, float], key: int, amount: float) -> None:
        index = bisect_left(self._bounds, amount)
        counts[key] += 1.0
        self._counts[index] += 1.0
        self._sum += amount

    def _restart(self, stage: Buckets, clearings: Iterator[None]) -> None:
        zeros = [0.0] * len(self._bounds)
        self.created, self._exemplars = time.time(), None
        self._stage, self._counts[:], self._sum, _ = stage, zeros, 0.0, [*clearings]

    def choose_exemplar_place(self, amount: float) -> int:
        """Return the place of an exemplar: the index of its classic bucket."""
        return bisect_left(self._bounds, amount)

    def _add_exemplar(self, exemplar: Exemplar) -> None:
        self._exemplars = {**(self._exemplars or {}), self.choose_exemplar_place(exemplar.value): exemplar}

    def read_counts(self) -> tuple[Sequence[float], float]:
        """Return the counts of the classic buckets and the sum of the same moment."""
        return self._counts[:], self._sum

    def read_numbers(self) -> Sequence[float]:
        """Return the cumulative buckets, and the count and the sum where the descriptor has rows for them."""
        self._reset_if_due(get_options(self.table))
        counts, total = self.read_counts()
        return accumulate_counts(self._bounds, counts, total)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the latest exemplar of each bucket that has one, by the index of the bucket."""
        return self._exemplars or {}


def choose_native_class(descriptor: Descriptor) -> type[Child]:
    """Return the class of the children of a native histogram, without locks."""
    return MemoryNativeHistogram if descriptor.is_native_only else MemoryDualHistogram
