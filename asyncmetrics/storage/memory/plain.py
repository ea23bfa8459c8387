"""The children of memory storage for an interpreter with a GIL: plain numbers, without locks.

*Rules.*

- Take no lock. Between the load and the store of ``self.value += amount``, CPython (from 3.10 on) neither switches
  threads nor runs a signal handler, as long as the value is an exact float and the amount an exact float or int.
- Convert every other amount to an exact float before the load (see `MemoryCounter.inc`).
- Convert an exact int too where it is not added at once (see `MemoryGauge.set`): a child's numbers are exact floats.
- Make no call between a load and its store. ``tests/concurrency`` disassembles these methods and fails if there is one.

Without a GIL, the storage creates the children of `asyncmetrics.storage.memory.locked`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from sys import float_info
from typing import Any, NoReturn

from asyncmetrics.children.amounts import COUNTED, to_amount, to_value
from asyncmetrics.children.callbacks import FunctionCallback
from asyncmetrics.children.exemplars import make_exemplar
from asyncmetrics.children.facts import NO_FACTS, check_facts, find_state
from asyncmetrics.children.interfaces import (
    CounterChild,
    EnumChild,
    GaugeChild,
    GaugeFunction,
    HistogramChild,
    InfoChild,
    SummaryChild,
)
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.errors import AmountError
from asyncmetrics.loops import RUNNING
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.model.samples import Exemplar

__all__ = (
    "PLAIN_CHILDREN",
    "MemoryCounter",
    "MemoryEnum",
    "MemoryGauge",
    "MemoryHistogram",
    "MemoryInfo",
    "MemorySummary",
    "accumulate_counts",
)

_LARGEST = float_info.max
_ONE = 1.0  # the default amount: `inc()` is recognised by identity, which is faster than a comparison


class MemoryCounter(Child, CounterChild):
    """The child of a counter."""

    __slots__ = ("created", "exemplar", "value")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.value = 0.0
        self.exemplar: Exemplar | None = None
        self.created = time.time()

    def inc(self, amount: float = _ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative."""
        if amount is _ONE and exemplar is None:  # inc() without arguments has nothing to check: benchmarks/hot_path.py
            self.value += _ONE
            return
        # An exact int is added as it is, by C code that gives a float: a quarter faster than to convert it first.
        if type(amount) is int and amount >= 0 and exemplar is None:
            try:
                self.value += amount
            except OverflowError:  # no double can hold this int
                to_amount(self, amount)  # raises an error that names the metric
            return
        # Other amounts become exact floats first, since another type may run Python code in its `__radd__`, between the
        # load and the store below.
        if type(amount) is not float:
            amount = to_amount(self, amount)
        if not (amount >= 0.0 and amount <= _LARGEST):  # 9 ns less than a chain on CPython 3.11
            raise AmountError(repr(self), amount, COUNTED)
        if exemplar is None:
            self.value += amount
        else:
            latest = make_exemplar(self, exemplar, amount)
            self.value += amount
            self.exemplar = latest or self.exemplar

    def reset(self) -> None:
        """Set the counter to zero; it counts as created now."""
        self.created = time.time()
        self.exemplar = None
        self.value = 0.0

    def read_numbers(self) -> Sequence[float]:
        """Return the value."""
        return (self.value,)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the latest exemplar."""
        return {} if self.exemplar is None else {0: self.exemplar}


class MemoryGauge(Child, GaugeChild):
    """The child of a gauge."""

    __slots__ = ("value",)

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Increase the gauge by ``amount``."""
        if type(amount) is float:
            self.value += amount
            return
        if type(amount) is int:  # see MemoryCounter.inc
            try:
                self.value += amount
            except OverflowError:
                to_amount(self, amount)
            return
        amount = to_amount(self, amount)
        self.value += amount

    def dec(self, amount: float = 1.0) -> None:
        """Decrease the gauge by ``amount``."""
        if type(amount) is float:
            self.value -= amount
            return
        if type(amount) is int:  # see MemoryCounter.inc
            try:
                self.value -= amount
            except OverflowError:
                to_amount(self, amount)
            return
        amount = to_amount(self, amount)
        self.value -= amount

    def set(self, value: float) -> None:
        """Set the gauge to ``value``."""
        # A number that is stored, and not added, becomes an exact float here. An int beyond all doubles raises
        # OverflowError; to_value() then raises an error that names the metric.
        if type(value) is not float:
            try:
                value = value + 0.0 if type(value) is int else to_value(self, value)
            except OverflowError:
                value = to_value(self, value)
        self.value = value

    def set_function(self, f: GaugeFunction, *, loop: object = RUNNING) -> None:
        """Set the gauge to the result of ``f`` at every collection."""
        self.table.functions[self] = FunctionCallback(self, f, loop)

    def read_numbers(self) -> Sequence[float]:
        """Return the value."""
        return (self.value,)


class MemorySummary(Child, SummaryChild):
    """The child of a summary."""

    __slots__ = ("_count", "_sum", "created")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._count = 0.0
        self._sum = 0.0
        self.created = time.time()

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
        self._count += 1.0  # no call between these two updates: a reading sees both or neither
        self._sum += amount

    def read_numbers(self) -> Sequence[float]:
        """Return the count and the sum of the same moment."""
        return (self._count, self._sum)

    def add_number(self, index: int, amount: float) -> None:
        """Add to the count (index 0) or to the sum alone."""
        if index:
            self._sum += amount
        else:
            self._count += amount

    def set_number(self, index: int, value: float) -> None:
        """Replace the count (index 0) or the sum."""
        if index:
            self._sum = value
        else:
            self._count = value


class MemoryHistogram(Child, HistogramChild):
    """The child of a histogram; ``_counts`` has a count for each bucket, not cumulative, that of ``+Inf`` last."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum", "created")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._bounds = table.descriptor.buckets
        self._counts = [0.0] * len(self._bounds)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] | None = None
        self.created = time.time()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to the first bucket whose upper bound is not below ``amount``."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        index = bisect_left(self._bounds, amount)  # a bound belongs to its bucket; NaN gives index 0
        if not index and amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        if exemplar is not None and (latest := make_exemplar(self, exemplar, amount)):
            # A new dict: a reading may iterate over the old one.
            self._exemplars = {**(self._exemplars or {}), index: latest}
        self._counts[index] += 1.0
        self._sum += amount

    def add_number(self, index: int, amount: float) -> None:
        """Add to one bucket alone, or to the sum, whose index follows that of the last bucket."""
        if index < len(self._counts):
            self._counts[index] += amount
        else:
            self._sum += amount

    def set_number(self, index: int, value: float) -> None:
        """Replace one bucket, or the sum, as `add_number`."""
        if index < len(self._counts):
            self._counts[index] = value
        else:
            self._sum = value

    def recorder(self) -> Callable[[float], None]:
        """Return a function that observes seconds without any check: benchmarks/decorators.py."""
        bounds, counts = self._bounds, self._counts

        def record(seconds: float) -> None:
            counts[bisect_left(bounds, seconds)] += 1.0
            self._sum += seconds

        return record

    def read_counts(self) -> tuple[Sequence[float], float]:
        """Return the counts of the buckets and the sum of the same moment."""
        return self._counts[:], self._sum

    def read_numbers(self) -> Sequence[float]:
        """Return the cumulative buckets, and the count and the sum where the descriptor has rows for them."""
        counts, total = self.read_counts()
        return accumulate_counts(self._bounds, counts, total)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the latest exemplar of each bucket that has one, by the index of the bucket."""
        return self._exemplars or {}


def accumulate_counts(bounds: Sequence[float], counts: Iterable[float], total: float) -> Sequence[float]:
    """Return the numbers of a classic histogram for the rows of its descriptor."""
    cumulative = [*accumulate(counts)]
    # OpenMetrics 1.0, "Histogram": with a negative bound there is no sum.
    return [*cumulative, cumulative[-1]] if bounds[0] < 0 else [*cumulative, cumulative[-1], total]


class MemoryInfo(Child, InfoChild):
    """The child of an info."""

    __slots__ = ("_facts",)

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._facts: dict[str, str] = {}

    def info(self, val: Mapping[str, str] = NO_FACTS, **named: NoReturn) -> None:
        """Replace the facts."""
        self._facts = check_facts(self, val, named)

    def read_numbers(self) -> Sequence[float]:
        """Return 1."""
        return (1.0,)

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the facts."""
        return self._facts


class MemoryEnum(Child, EnumChild):
    """The child of an enum."""

    __slots__ = ("_state",)

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._state = 0

    def state(self, state: str) -> None:
        """Change to ``state``."""
        self._state = find_state(self, state)

    def read_numbers(self) -> Sequence[float]:
        """Return 1 for the present state and 0 for the others."""
        return [float(index == self._state) for index in range(len(self.table.descriptor.states))]


PLAIN_CHILDREN: dict[DeclaredKind, type[Child]] = {
    "counter": MemoryCounter,
    "gauge": MemoryGauge,
    "summary": MemorySummary,
    "histogram": MemoryHistogram,
    "info": MemoryInfo,
    "stateset": MemoryEnum,
}
"""The child classes by the kind of their metric."""
