"""The children of shared storage: each holds its numbers and writes every change through to its cells.

*Rules.* Keep the rules of `asyncmetrics.storage.memory.plain`: put nothing that could switch threads between the load
of a number and its last store. Store a number in the child first and in the cells second: the child's number is the
truth, and the cells only show it to other processes. So ``cells`` may change at any time, even to `DETACHED_CELLS`.

*Theory of operation.* `asyncmetrics.storage.shared.attachment` lists the states of a child. This is what each kind does
when its state changes:

============================ ========================================== =========================================
kind                         `take_over`                                `reset_after_fork`
============================ ========================================== =========================================
counter, summary, histogram  adds a dead worker's counts, which the     sets counts to zero
                             cells hold, to the child's counts; keeps
                             the dead worker's time of creation
gauge                        nothing: it keeps its own number           sets the number to zero, as never set
info, state set              nothing: it keeps its own                  keeps its facts or its state
============================ ========================================== =========================================

From its first sum to its last store, `take_over` makes no call at which CPython could switch threads or run a signal
handler, so that no count is added twice or lost. `store` may be interrupted and repeated: it copies the present
numbers.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from sys import float_info
from typing import Any, NoReturn

from asyncmetrics.children.amounts import COUNTED, to_amount, to_value
from asyncmetrics.children.exemplars import make_exemplar
from asyncmetrics.children.facts import NO_FACTS, find_state
from asyncmetrics.children.interfaces import GaugeFunction
from asyncmetrics.children.table import ChildTable
from asyncmetrics.errors import AmountError
from asyncmetrics.loops import RUNNING
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.storage.memory.locked import add_locks
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)
from asyncmetrics.storage.shared.attachment import ClassicBuckets, SharedChild, get_shared_table
from asyncmetrics.storage.shared.files.layout import NEVER_SET, Doubles

__all__ = (
    "RecentGauge",
    "SharedCounter",
    "SharedEnum",
    "SharedGauge",
    "SharedHistogram",
    "SharedInfo",
    "SharedSummary",
    "choose_child_class",
)

_LARGEST = float_info.max
_ONE = 1.0


class SharedCounter(SharedChild, MemoryCounter):
    """A counter's child."""

    __slots__ = ("cells", "index")

    def inc(self, amount: float = _ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative."""
        if amount is _ONE and exemplar is None:  # see MemoryCounter.inc; benchmarks/workers.py
            self.value = self.cells[self.index] = self.value + _ONE
            return
        if type(amount) is int and amount >= 0 and exemplar is None:  # see MemoryCounter.inc
            try:
                self.value = self.cells[self.index] = self.value + amount
            except OverflowError:
                to_amount(self, amount)  # raises an error that names the metric
                raise  # an error of attaching the child: the amount is counted already
            return
        if type(amount) is not float:
            amount = to_amount(self, amount)
        if not (amount >= 0.0 and amount <= _LARGEST):  # see MemoryCounter.inc
            raise AmountError(repr(self), amount, COUNTED)
        if exemplar is None:
            self.value = self.cells[self.index] = self.value + amount
        else:
            latest = make_exemplar(self, exemplar, amount)
            self.value = self.cells[self.index] = self.value + amount
            if latest is not None:
                self.exemplar = latest
                get_shared_table(self).exemplars.share(self, 0, latest)

    def reset(self) -> None:
        """Set the counts of this worker's slot to zero; those of other slots stay."""
        now = time.time()
        self.exemplar = None
        get_shared_table(self).exemplars.drop(self)
        self.created = self.cells[self.index + 1] = now
        self.value = self.cells[self.index] = 0.0

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the numbers of the child to cells."""
        cells[index] = self.value
        cells[index + 1] = self.created

    def take_over(self, cells: Doubles, index: int) -> None:
        """Write to these cells from now on, starting with the sum of their counts and the child's own."""
        self.created = cells[index + 1] or self.created
        self.value = self.value + cells[index]
        self.cells, self.index = cells, index

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self.created, self.exemplar = time.time(), None
        self.value = 0.0
        self.wait()


class SharedGauge(SharedChild, MemoryGauge):
    """A gauge's child.

    ``set_at`` is the Unix time at which it was set, 0 if it has no number now, or `NEVER_SET`. Only a `RecentGauge` and
    a gauge with a function record it: for other gauges it does not matter.
    """

    __slots__ = ("cells", "index", "set_at")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.set_at = NEVER_SET

    def inc(self, amount: float = 1.0) -> None:
        """Increase the gauge by ``amount``."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        self.value = self.cells[self.index] = self.value + amount

    def dec(self, amount: float = 1.0) -> None:
        """Decrease the gauge by ``amount``."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        self.value = self.cells[self.index] = self.value - amount

    def set(self, value: float) -> None:
        """Set the gauge to ``value``."""
        if type(value) is not float:  # see MemoryGauge.set
            try:
                value = value + 0.0 if type(value) is int else to_value(self, value)
            except OverflowError:
                value = to_value(self, value)
        self.value = self.cells[self.index] = value

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the number of the gauge to cells, and when it was set."""
        cells[index] = self.value
        cells[index + 1] = self.set_at

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self.value, self.set_at = 0.0, NEVER_SET
        self.wait()

    def set_function(self, f: GaugeFunction, *, loop: object = RUNNING) -> None:
        """Call ``f`` at every collection here, and once a second for the collections of other workers."""
        super().set_function(
            f, loop=loop
        )  # first: an exception after the next line would leave a gauge that is never exposed
        self.record_set_at(0.0)  # until ``f`` has returned a number
        get_shared_table(self).start_chore()

    def record_set_at(self, at: float) -> None:
        """Record the Unix time at which the number was set; 0 leaves the series out of readings."""
        self.set_at = self.cells[self.index + 1] = at


class RecentGauge(SharedGauge):
    """The child of a gauge of mode ``mostrecent``, which exposes the number that a worker set last."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        """Increase the gauge by ``amount``."""
        super().inc(amount)
        self.record_set_at(time.time())

    def dec(self, amount: float = 1.0) -> None:
        """Decrease the gauge by ``amount``."""
        super().dec(amount)
        self.record_set_at(time.time())

    def set(self, value: float) -> None:
        """Set the gauge to ``value``."""
        super().set(value)
        self.record_set_at(time.time())


class SharedSummary(SharedChild, MemorySummary):
    """A summary's child."""

    __slots__ = ("cells", "index")

    def observe(self, amount: float) -> None:
        """Add one observation."""
        if type(amount) is not float:  # see MemoryGauge.set
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

    def add_number(self, index: int, amount: float) -> None:
        """Add to the count (index 0) or to the sum alone."""
        super().add_number(index, amount)
        self.cells[self.index + index] = self._sum if index else self._count

    def set_number(self, index: int, value: float) -> None:
        """Replace the count (index 0) or the sum."""
        super().set_number(index, value)
        self.cells[self.index + index] = value

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the numbers of the child to cells."""
        cells[index], cells[index + 1], cells[index + 2] = self._count, self._sum, self.created

    def take_over(self, cells: Doubles, index: int) -> None:
        """Write to these cells from now on, starting with the sum of their counts and the child's own."""
        self.created = cells[index + 2] or self.created
        self._count = self._count + cells[index]
        self._sum = self._sum + cells[index + 1]
        self.cells, self.index = cells, index

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self.created = time.time()
        self._count, self._sum = 0.0, 0.0
        self.wait()


class SharedHistogram(ClassicBuckets, MemoryHistogram):
    """A histogram's child."""

    __slots__ = ("_sum_offset", "cells", "index")

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bucket = bisect_left(self._bounds, amount)
        if not bucket and amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        if exemplar is not None and (latest := make_exemplar(self, exemplar, amount)):
            self._exemplars = {**(self._exemplars or {}), bucket: latest}
            get_shared_table(self).exemplars.share(self, bucket, latest)
        self._sum = self._sum + amount
        self._counts[bucket] = self._counts[bucket] + 1.0
        self.cells[self.index + bucket] = self._counts[bucket]
        self.cells[self.index + self._sum_offset] = self._sum

    def add_number(self, index: int, amount: float) -> None:
        """Add to one bucket alone, or to the sum."""
        super().add_number(index, amount)
        self.cells[self.index + index] = self._counts[index] if index < self._sum_offset else self._sum

    def set_number(self, index: int, value: float) -> None:
        """Replace one bucket, or the sum."""
        super().set_number(index, value)
        self.cells[self.index + index] = value

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds, which are floats and need no check: benchmarks/workers.py."""
        bounds, sum_offset = self._bounds, self._sum_offset

        def record(seconds: float) -> None:
            bucket = bisect_left(bounds, seconds)
            self._sum = self._sum + seconds
            self._counts[bucket] = self._counts[bucket] + 1.0
            self.cells[self.index + bucket] = self._counts[bucket]
            self.cells[self.index + sum_offset] = self._sum

        return record

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self.created, self._exemplars = time.time(), None
        self._counts, self._sum = [0.0] * len(self._bounds), 0.0
        self.wait()


class SharedInfo(SharedChild, MemoryInfo):
    """An info's child; the log of keys holds its facts, because cells hold numbers only."""

    __slots__ = ("cells", "index")

    def info(self, val: Mapping[str, str] = NO_FACTS, **named: NoReturn) -> None:
        """Replace the facts."""
        super().info(val, **named)
        get_shared_table(self).attach_soon(self)  # which appends the facts to the log

    def pack_facts(self) -> bytes:
        """Return the facts in the form that they have in the log."""
        return json.dumps(self._facts, ensure_ascii=False).encode()

    def store(self, cells: Doubles, index: int) -> None:
        """Mark the series as present in these cells."""
        cells[index + 1] = time.time()

    def reset_after_fork(self) -> None:
        """Keep the facts, which describe the program and not the process; attach when they are replaced."""
        self.wait()


class SharedEnum(SharedChild, MemoryEnum):
    """A state set's child."""

    __slots__ = ("cells", "index")

    def state(self, state: str) -> None:
        """Change to ``state``."""
        index = find_state(self, state)
        self._state = index
        self.cells[self.index] = float(self._state)

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the state to cells."""
        cells[index] = float(self._state)
        cells[index + 1] = time.time()

    def reset_after_fork(self) -> None:
        """Keep the state; attach at the first write."""
        self.wait()


_PLAIN: dict[DeclaredKind, type[SharedChild]] = {
    "counter": SharedCounter,
    "gauge": SharedGauge,
    "summary": SharedSummary,
    "histogram": SharedHistogram,
    "info": SharedInfo,
    "stateset": SharedEnum,
}
_RECENT_MODES = frozenset({"mostrecent", "livemostrecent"})
_CLASSES: tuple[type[SharedChild], ...] = (*_PLAIN.values(), RecentGauge)
_LOCKED = {plain: add_locks(plain, "store", "attach", "take_over", "detach") for plain in _CLASSES}


def choose_child_class(descriptor: Descriptor, *, locked: bool) -> type[SharedChild]:
    """Return the class of a metric's children; ``locked`` asks for one that locks, for use without a GIL."""
    if descriptor.native is not None:
        from asyncmetrics.storage.shared.native import choose_native_class  # few programs have one

        return choose_native_class(descriptor, locked=locked)
    is_recent = descriptor.kind == "gauge" and descriptor.mode in _RECENT_MODES
    plain = RecentGauge if is_recent else _PLAIN[descriptor.kind]
    return _LOCKED[plain] if locked else plain
