"""The children of shared storage that ask for exemplars: see `asyncmetrics.children.exemplar_turns`.

*Rules.* Those of `asyncmetrics.storage.shared.children`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache
from sys import float_info

from asyncmetrics.children.amounts import COUNTED, to_amount
from asyncmetrics.children.exemplar_turns import (
    TURN_SLOTS,
    AskingChild,
    AskingCounter,
    AskingHistogram,
    make_asking_class,
)
from asyncmetrics.children.interfaces import CounterChild
from asyncmetrics.errors import AmountError
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.shared.attachment import SharedChild, get_shared_table
from asyncmetrics.storage.shared.children import SharedCounter, SharedHistogram

__all__ = ("SharedAsking", "SharedAskingCounter", "SharedAskingHistogram", "find_shared_asking_class")

_LARGEST = float_info.max
_ONE = 1.0


class SharedAsking(AskingChild, SharedChild):
    """What goes before the methods of a shared child that asks and shares its exemplars itself."""

    __slots__ = ()

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and ask for exemplars of its own."""
        super().reset_after_fork()  # type: ignore[safe-super]  # of the kind
        self.reset_turns()


class _SharedAsking(SharedAsking):
    __slots__ = ()

    def keep_exemplar(self, place: int, exemplar: Exemplar) -> None:
        """Replace the exemplar of a place, for the scrapes of all workers."""
        super().keep_exemplar(place, exemplar)  # type: ignore[safe-super]  # of the kind
        get_shared_table(self).exemplars.share(self, place, exemplar)


class _SharedAskingCounter(_SharedAsking, AskingCounter):
    __slots__ = ()


class _SharedAskingHistogram(_SharedAsking, AskingHistogram):
    __slots__ = ()


class SharedAskingCounter(_SharedAskingCounter, SharedCounter):
    """A counter's child."""

    __slots__ = TURN_SLOTS

    def inc(self, amount: float = _ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative."""
        if exemplar is not None:
            SharedCounter.inc(self, amount, exemplar)
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
        self.value = self.cells[self.index] = self.value + amount


class SharedAskingHistogram(_SharedAskingHistogram, SharedHistogram):
    """A histogram's child."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation."""
        if exemplar is not None:
            SharedHistogram.observe(self, amount, exemplar)
            return
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        bucket = bisect_left(self._bounds, amount)
        if not bucket and amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        turn = self._turns[bucket]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[bucket] = turn + 1
            else:
                self.ask(bucket, amount)
        self._sum = self._sum + amount
        self._counts[bucket] = self._counts[bucket] + 1.0
        self.cells[self.index + bucket] = self._counts[bucket]
        self.cells[self.index + self._sum_offset] = self._sum

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds, which are floats and need no check: benchmarks/workers.py."""
        bounds, sum_offset, turns, scrapes = self._bounds, self._sum_offset, self._turns, self._scrapes

        def record(seconds: float) -> None:
            bucket = bisect_left(bounds, seconds)
            turn = turns[bucket]
            if turn != scrapes[0]:
                if turn < 0:
                    turns[bucket] = turn + 1
                else:
                    self.ask(bucket, seconds)
            self._sum = self._sum + seconds
            self._counts[bucket] = self._counts[bucket] + 1.0
            self.cells[self.index + bucket] = self._counts[bucket]
            self.cells[self.index + sum_offset] = self._sum

        return record


_CLASSES: dict[type[SharedChild], type[SharedChild]] = {
    SharedCounter: SharedAskingCounter,
    SharedHistogram: SharedAskingHistogram,
}


@cache
def find_shared_asking_class(kind: type[SharedChild]) -> type[SharedChild]:
    """Return the class of children that ask, and are otherwise those of ``kind``: not of native histograms."""
    if kind in _CLASSES:
        return _CLASSES[kind]
    return make_asking_class(kind, _SharedAskingCounter if issubclass(kind, CounterChild) else _SharedAskingHistogram)
