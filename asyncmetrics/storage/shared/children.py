"""The children of shared storage: each keeps its numbers in this process and writes every change through to its cells.

*Rules.* As in `asyncmetrics.storage.memory.plain`, nothing that could switch threads stands between the load of a number
and its last store, and what is stored here is stored before what is stored in the cells: the number here is the truth,
so cells may be changed for others at any time.

*Theory of operation.* Settling a child in its place adds what the place already holds: the counts of a worker that is
dead. For where children are before that see `asyncmetrics.storage.shared.attachment`.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from sys import float_info
from typing import Any

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.exemplars import make_exemplar
from asyncmetrics.children.facts import find_state
from asyncmetrics.children.interfaces import GaugeFunction, HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.errors import AmountError
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.storage.memory.locked import locking
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)
from asyncmetrics.storage.shared.attachment import FirstTouch, Placed
from asyncmetrics.storage.shared.files.layout import NEVER_SET, Doubles

__all__ = (
    "RecentGauge",
    "SharedCounter",
    "SharedEnum",
    "SharedGauge",
    "SharedHistogram",
    "SharedInfo",
    "SharedSummary",
    "child_class",
)

_LARGEST = float_info.max
_ONE = 1.0


class SharedCounter(Placed, MemoryCounter):
    """A counter's child."""

    __slots__ = ("cells", "index")

    def inc(self, amount: float = _ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Go up by ``amount``, which is finite and not negative."""
        if amount is _ONE and exemplar is None:  # nothing given, nothing to check: benchmarks/workers.py
            self.value = self.cells[self.index] = self.value + _ONE
            return
        if type(amount) is not float:
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        if not 0.0 <= amount <= _LARGEST:
            raise AmountError(repr(self), amount, "a finite amount that is not negative")
        if exemplar is None:
            self.value = self.cells[self.index] = self.value + amount
        else:
            found = make_exemplar(self, exemplar, amount)
            self.value = self.cells[self.index] = self.value + amount
            self.exemplar = found or self.exemplar
            _exemplary(self)

    def reset(self) -> None:
        """Go back to zero, from now on: this worker's part."""
        now = time.time()
        self.exemplar = None
        self._created = self.cells[self.index + 1] = now
        self.value = self.cells[self.index] = 0.0

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on, going on with what it holds."""
        self._created = cells[index + 1] or self._created
        self.value = self.value + cells[index]
        self.cells, self.index = cells, index
        cells[index] = self.value
        cells[index + 1] = self._created

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        self._created, self.exemplar = time.time(), None
        self.value, self.cells, self.index = 0.0, FirstTouch(self), 0


class SharedGauge(Placed, MemoryGauge):
    """A gauge's child; ``marked`` says when it was set, where that matters, or that there is no number (0)."""

    __slots__ = ("cells", "index", "marked")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.marked = NEVER_SET

    def inc(self, amount: float = 1.0) -> None:
        """Go up by ``amount``."""
        if type(amount) is not float:
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        self.value = self.cells[self.index] = self.value + amount

    def dec(self, amount: float = 1.0) -> None:
        """Go down by ``amount``."""
        if type(amount) is not float:
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        self.value = self.cells[self.index] = self.value - amount

    def set(self, value: float) -> None:
        """Become ``value``."""
        if type(value) is not float:
            try:
                value = value + 0.0 if type(value) is int else to_amount(self, value)
            except OverflowError:
                value = to_amount(self, value)
        self.value = self.cells[self.index] = value

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on: nobody else's number goes on in a gauge."""
        self.cells, self.index = cells, index
        cells[index] = self.value
        cells[index + 1] = self.marked

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        self.value, self.marked = 0.0, NEVER_SET
        self.cells, self.index = FirstTouch(self), 0

    def set_function(self, f: GaugeFunction) -> None:
        """Take the result of ``f`` at every collection, and once a second for those of other workers."""
        self.mark(0.0)  # until there is a result
        super().set_function(f)
        table: Any = self.table
        table.keep()

    def mark(self, at: float) -> None:
        """Say when the number was set; 0 says that there is none."""
        self.marked = self.cells[self.index + 1] = at


class RecentGauge(SharedGauge):
    """The child of a gauge of which the number that was set last is shown: it keeps when that was."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        """Go up by ``amount``."""
        super().inc(amount)
        self.mark(time.time())

    def dec(self, amount: float = 1.0) -> None:
        """Go down by ``amount``."""
        super().dec(amount)
        self.mark(time.time())

    def set(self, value: float) -> None:
        """Become ``value``."""
        super().set(value)
        self.mark(time.time())


class SharedSummary(Placed, MemorySummary):
    """A summary's child."""

    __slots__ = ("cells", "index")

    def observe(self, amount: float) -> None:
        """Take one observation."""
        if type(amount) is not float:
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        if amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        self._count = self._count + 1.0
        self._sum = self._sum + amount
        self.cells[self.index] = self._count
        self.cells[self.index + 1] = self._sum

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on, going on with what it holds."""
        self._created = cells[index + 2] or self._created
        self._count = self._count + cells[index]
        self._sum = self._sum + cells[index + 1]
        self.cells, self.index = cells, index
        cells[index], cells[index + 1], cells[index + 2] = self._count, self._sum, self._created

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        self._created = time.time()
        self._count, self._sum, self.cells, self.index = 0.0, 0.0, FirstTouch(self), 0


class SharedHistogram(Placed, MemoryHistogram):
    """A histogram's child; ``_after`` is where the sum is, counted from the first bucket."""

    __slots__ = ("_after", "cells", "index")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._after = len(self._bounds)

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Take one observation."""
        if type(amount) is not float:
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bucket = bisect_left(self._bounds, amount)
        if not bucket and amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        if exemplar is not None and (found := make_exemplar(self, exemplar, amount)):
            self._exemplars = {**(self._exemplars or {}), bucket: found}
            _exemplary(self)
        self._sum = self._sum + amount
        self._counts[bucket] = self._counts[bucket] + 1.0
        self.cells[self.index + bucket] = self._counts[bucket]
        self.cells[self.index + self._after] = self._sum

    def recorder(self) -> Callable[[float], None]:
        """Return what observes seconds with nothing to check: benchmarks/workers.py."""
        bounds, after = self._bounds, self._after

        def record(seconds: float) -> None:
            bucket = bisect_left(bounds, seconds)
            self._sum = self._sum + seconds
            self._counts[bucket] = self._counts[bucket] + 1.0
            self.cells[self.index + bucket] = self._counts[bucket]
            self.cells[self.index + after] = self._sum

        return record

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on, going on with what it holds."""
        # Others may observe between two steps, and a signal's handler may end all this: `index` tells, negated, how
        # many buckets are done, so that settling the child again goes on from there.
        sum_at = index + self._after
        for bucket in range(-self.index, self._after):
            self._counts[bucket] = cells[index + bucket] = self._counts[bucket] + cells[index + bucket]
            self.index = -bucket - 1
        self._created = cells[sum_at + 1] or self._created
        self._sum = self._sum + cells[sum_at]
        self.cells, self.index = cells, index
        cells[sum_at] = self._sum
        cells[sum_at + 1] = self._created
        for bucket in range(self._after):  # what was observed meanwhile
            cells[index + bucket] = self._counts[bucket]

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        self._created, self._exemplars = time.time(), None
        self._counts, self._sum = [0.0] * len(self._bounds), 0.0
        self.cells, self.index = FirstTouch(self), 0


class SharedInfo(Placed, MemoryInfo):
    """An info's child; its facts are told by the log of keys."""

    __slots__ = ("cells", "index")

    def info(self, val: Mapping[str, str]) -> None:
        """Replace the facts."""
        super().info(val)
        _tell(self)

    def facts(self) -> bytes:
        """Return the facts as they stand in the log."""
        return json.dumps(self._facts, ensure_ascii=False).encode()

    def settle(self, cells: Doubles, index: int) -> None:
        """Say that the series is there."""
        self.cells, self.index = cells, index
        cells[index + 1] = time.time()

    def restart(self) -> None:
        """Go on with the facts, which are those of the program, in a forked process."""
        self.cells, self.index = FirstTouch(self), 0


class SharedEnum(Placed, MemoryEnum):
    """A state set's child."""

    __slots__ = ("cells", "index")

    def state(self, state: str) -> None:
        """Change to ``state``."""
        found = find_state(self, state)
        self._state = found
        self.cells[self.index] = float(self._state)

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on."""
        self.cells, self.index = cells, index
        cells[index] = float(self._state)
        cells[index + 1] = time.time()

    def restart(self) -> None:
        """Go on in this state, in a forked process."""
        self.cells, self.index = FirstTouch(self), 0


def _exemplary(child: SharedCounter | SharedHistogram) -> None:
    table: Any = child.table
    table.exemplary = True


def _tell(child: SharedInfo) -> None:
    table: Any = child.table
    table.attach_soon(child)


_LOCKFREE: dict[DeclaredKind, type[Child]] = {
    "counter": SharedCounter,
    "gauge": SharedGauge,
    "summary": SharedSummary,
    "histogram": SharedHistogram,
    "info": SharedInfo,
    "stateset": SharedEnum,
}
_RECENT = frozenset({"mostrecent", "livemostrecent"})
_PLACING = ("settle", "leave")
_LOCKED: dict[type[Child], type[Child]] = {
    SharedCounter: locking(SharedCounter, "inc", "reset", *_PLACING),
    SharedGauge: locking(SharedGauge, "inc", "dec", "set", *_PLACING),
    RecentGauge: locking(RecentGauge, "inc", "dec", "set", *_PLACING),
    SharedSummary: locking(SharedSummary, "observe", "read_numbers", *_PLACING),
    SharedHistogram: locking(SharedHistogram, "observe", "snapshot", *_PLACING),
    SharedInfo: locking(SharedInfo, "info", *_PLACING),
    SharedEnum: locking(SharedEnum, "state", *_PLACING),
}
_LOCKED[SharedHistogram].recorder = HistogramChild.recorder  # type: ignore[attr-defined]  # through observe, which locks


def child_class(descriptor: Descriptor, *, locked: bool) -> type[Child]:
    """Return the class of a metric's children; with locks where there is no GIL."""
    plain = RecentGauge if descriptor.mode in _RECENT and descriptor.kind == "gauge" else _LOCKFREE[descriptor.kind]
    return _LOCKED[plain] if locked else plain
