"""The children of native histograms that ask for exemplars: see `asyncmetrics.children.exemplar_turns`.

*Rules.* Those of `asyncmetrics.storage.memory.native_buckets`, and: load the stage again after asking, since the
provider may observe too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from math import frexp
from sys import float_info
from typing import Any, TypeVar, cast

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.exemplar_turns import TURN_SLOTS, AskingHistogram, make_asking_class
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.memory.native import MemoryDualHistogram, MemoryNativeHistogram
from asyncmetrics.storage.memory.native_buckets import Buckets, NativeBuckets

__all__ = (
    "LAST_PLACE",
    "AskingDual",
    "AskingNative",
    "MemoryAskingDual",
    "MemoryAskingNative",
    "find_asking_native_class",
)

C = TypeVar("C", bound=Child)

_LARGEST = float_info.max
_PLACES = 32  # numbers that are 2 ** 32 times apart share one
LAST_PLACE = _PLACES - 1


class _AskingBuckets(AskingHistogram, NativeBuckets):
    __slots__ = ()

    def keep_exemplar(self, place: int, exemplar: Exemplar) -> None:  # noqa: ARG002  # that of its value
        """Keep ``exemplar`` as the latest one of its place."""
        self._add_exemplar(exemplar)

    def _restart(self, stage: Buckets, clearings: Iterator[None]) -> None:
        super()._restart(stage, clearings)  # type: ignore[safe-super]  # of the storage
        self.reset_turns()


class AskingDual(_AskingBuckets):
    """What goes before the methods of a native histogram with classic buckets, which are the places."""

    __slots__ = ()


class AskingNative(_AskingBuckets):
    """What goes before the methods of a native histogram without classic buckets: each power of two is a place."""

    __slots__ = ()

    def count_places(self, table: ChildTable[Any]) -> int:  # noqa: ARG002  # the same for all
        """Return how many places there are."""
        return _PLACES

    def find_place(self, amount: float) -> int:
        """Return the place of an amount."""
        return frexp(amount)[1] & LAST_PLACE


class MemoryAskingNative(AskingNative, MemoryNativeHistogram):
    """The child of a native histogram without classic buckets."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its bucket."""
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        bounds, low, scale, counts, _ = self._stage
        if exemplar is not None or not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._ask_rare(amount, exemplar)
            return
        fraction, exponent = frexp(amount)
        turn = self._turns[exponent & LAST_PLACE]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[exponent & LAST_PLACE] = turn + 1
            else:
                self.ask(exponent & LAST_PLACE, amount)
                bounds, low, scale, counts, _ = self._stage
        place = bisect_left(bounds, fraction)
        try:  # see MemoryNativeHistogram.observe
            counts[place + exponent * scale] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._sum += amount

    def _ask_rare(self, amount: float, exemplar: Mapping[str, str] | None) -> None:
        """Ask about an observation that the quick path leaves, and add it."""
        if exemplar is None and amount == amount:  # noqa: PLR0124  # no NaN
            self.take_turn(self.find_place(amount), amount)
        self._observe_rare(amount, exemplar)


class MemoryAskingDual(AskingDual, MemoryDualHistogram):
    """The child of a native histogram with a classic one beside it."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its buckets."""
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        if exemplar is not None or amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self._observe_rare(amount, exemplar)
            return
        index = bisect_left(self._bounds, amount)
        turn = self._turns[index]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[index] = turn + 1
            else:
                self.ask(index, amount)
        bounds, low, scale, counts, _ = self._stage
        if not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._observe_rare(amount, None)
            return
        fraction, exponent = frexp(amount)
        place = bisect_left(bounds, fraction)
        try:  # see MemoryNativeHistogram.observe
            counts[place + exponent * scale] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._counts[index] += 1.0
        self._sum += amount


_CLASSES: dict[type[Child], type[Child]] = {
    MemoryNativeHistogram: MemoryAskingNative,
    MemoryDualHistogram: MemoryAskingDual,
}


def find_asking_native_class(kind: type[C]) -> type[C]:
    """Return the class of children that ask, and are otherwise those of ``kind``, a native histogram's."""
    if kind in _CLASSES:
        return cast("type[C]", _CLASSES[kind])
    return make_asking_class(kind, AskingDual if issubclass(kind, MemoryDualHistogram) else AskingNative)
