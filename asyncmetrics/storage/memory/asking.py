"""The children of memory storage that ask for exemplars: see `asyncmetrics.children.exemplar_turns`.

They are classes of their own, so that the children of other metrics do not pay for them. Those for an interpreter with
a GIL keep the rules of `asyncmetrics.storage.memory.plain`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache
from sys import float_info
from typing import TypeVar, cast

from asyncmetrics.children.amounts import COUNTED, to_amount
from asyncmetrics.children.exemplar_turns import TURN_SLOTS, AskingCounter, AskingHistogram, make_asking_class
from asyncmetrics.children.interfaces import CounterChild
from asyncmetrics.children.table import Child
from asyncmetrics.errors import AmountError
from asyncmetrics.storage.memory.plain import MemoryCounter, MemoryHistogram

__all__ = ("MemoryAskingCounter", "MemoryAskingHistogram", "find_asking_class")

C = TypeVar("C", bound=Child)

_LARGEST = float_info.max
_ONE = 1.0


class MemoryAskingCounter(AskingCounter, MemoryCounter):
    """The child of a counter."""

    __slots__ = TURN_SLOTS

    def inc(self, amount: float = _ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative."""
        if exemplar is not None:
            MemoryCounter.inc(self, amount, exemplar)
            return
        if amount is not _ONE:  # see MemoryCounter.inc
            if type(amount) is not float:
                amount = to_amount(self, amount)
            if not (amount >= 0.0 and amount <= _LARGEST):
                raise AmountError(repr(self), amount, COUNTED)
        turn = self._turns[0]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[0] = turn + 1
            else:
                self.ask(0, amount)
        self.value += amount


class MemoryAskingHistogram(AskingHistogram, MemoryHistogram):
    """The child of a histogram."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to the first bucket whose upper bound is not below ``amount``."""
        if exemplar is not None:
            MemoryHistogram.observe(self, amount, exemplar)
            return
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        index = bisect_left(self._bounds, amount)
        if not index and amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        turn = self._turns[index]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[index] = turn + 1
            else:
                self.ask(index, amount)
        self._counts[index] += 1.0
        self._sum += amount

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds without any check: benchmarks/decorators.py."""
        bounds, counts, turns, scrapes = self._bounds, self._counts, self._turns, self._scrapes

        def record(seconds: float) -> None:
            index = bisect_left(bounds, seconds)
            turn = turns[index]
            if turn != scrapes[0]:
                if turn < 0:
                    turns[index] = turn + 1
                else:
                    self.ask(index, seconds)
            counts[index] += 1.0
            self._sum += seconds

        return record


_CLASSES: dict[type[Child], type[Child]] = {
    MemoryCounter: MemoryAskingCounter,
    MemoryHistogram: MemoryAskingHistogram,
}


@cache
def find_asking_class(kind: type[C]) -> type[C]:
    """Return the class of children that ask, and are otherwise those of ``kind``: a counter's or a histogram's."""
    if kind in _CLASSES:
        return cast("type[C]", _CLASSES[kind])
    if issubclass(kind, MemoryHistogram):
        return make_asking_class(kind, AskingHistogram)
    if issubclass(kind, CounterChild):
        return make_asking_class(kind, AskingCounter)
    from asyncmetrics.storage.memory.native_asking import find_asking_native_class  # few programs have one

    return find_asking_native_class(kind)
