"""A native histogram with one child: observations that change its stage, their model, and what must be true at the end.

The child has one bucket, and may have no more: an observation of another number halves the resolution, one near zero
widens the zero bucket. In a set-up whose resets are ``due``, both reset the child.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import fsum
from typing import Any, NamedTuple

from asyncmetrics import Histogram
from asyncmetrics.model.native import find_index
from asyncmetrics.model.samples import NativeHistogram
from tests.concurrency.explorer.operations import Operation, Step
from tests.concurrency.explorer.worlds import Clock, Problem, make_folder, make_registry, remove_folder

__all__ = ("NativeSetting",)

_AT_START = (1.0, 1.0, 1.0)
_CLASSIC_BOUNDS = (0.5, 1.5)


class NativeModel:
    """A child as the list of what was observed."""

    def __init__(self) -> None:
        self.amounts = list(_AT_START)
        self.named: dict[str, object] = {}

    def observe(self, amount: float) -> Step:
        self.amounts.append(amount)
        yield

    def remove(self) -> Step:
        yield

    def read(self) -> Step:
        yield

    def get_outcome(self) -> tuple[float, ...]:
        return tuple(sorted(self.amounts))


class NativeReading:
    """A reading of the child: the classic numbers first, as formats read them."""

    def __init__(self, world: NativeWorld) -> None:
        self._world = world
        self._counted = world.counted

    def step(self) -> bool:
        """Do nothing: a reading of one child is one step."""
        return False

    def is_waiting(self) -> bool:
        """Read, and return False."""
        self.finish()
        return False

    def finish(self) -> tuple[float, NativeHistogram]:
        """Read, judge, and return the classic count and the native histogram."""
        world = self._world
        classic, native = world.child.read_numbers()[-2], world.child.read_native()
        if not world.is_due and not self._counted <= classic <= native.count_value <= world.begun:
            problem = f"{classic} and {native.count_value}, expected {self._counted} to {world.begun}"
            world.problems.append(("wrong number in a reading", problem))
        return classic, native


class NativeWorld:
    """A registry with a native histogram; see `NativeModel` for the methods."""

    def __init__(self, storage: str, *, is_only: bool, is_due: bool) -> None:
        self.folder = make_folder() if storage == "shared" else ""
        self.registry = make_registry(storage, self.folder)
        self.is_due = is_due
        self.metric = Histogram(
            "m",
            "M.",
            ["key"],
            buckets=() if is_only else _CLASSIC_BOUNDS,
            native=8,
            max_buckets=1,
            max_zero_threshold=0.001,
            min_reset_seconds=1e-9 if is_due else 0.0,
            registry=self.registry,
        )
        self.child: Any = self.metric.labels("k")
        self.problems: list[Problem] = []
        self.named: dict[str, object] = {}
        self.most_empty_steps = 0
        self.counted = self.begun = len(_AT_START)
        for amount in _AT_START:
            self.child.observe(amount)

    def observe(self, amount: float) -> Step:
        self.begun += 1
        self.child.observe(amount)
        self.counted += 1
        return
        yield

    def remove(self) -> Step:
        self.metric.remove("k")
        return
        yield

    def read(self) -> Step:
        list(self.metric.collect())
        NativeReading(self).finish()
        return
        yield

    def in_handler(self) -> AbstractContextManager[None]:
        """Do what a signal handler does: a child promises the same there."""
        return nullcontext()

    def has_counted_failure(self) -> bool:
        """Return whether an exception was taken for one of a collector: there is none."""
        return False

    def check_end(self, allowed: frozenset[tuple[float, ...]]) -> None:
        """Compare the numbers with each other, and with each outcome that is allowed."""
        classic, native = NativeReading(self).finish()
        total = self.child.read_counts()[1]
        if (classic, total) != (native.count_value, native.sum_value):
            self.problems.append(("numbers that differ", f"{classic}, {total} and {native}"))
        if not self.is_due and not any(_has(native, amounts) for amounts in allowed):
            self.problems.append(("an outcome of no order", f"{native}; expected one of {sorted(allowed)}"))
        if native.count_value > self.begun:  # a reset may have been due at this reading, and leave nothing
            self.problems.append(("a wrong number after a reset", f"{native}"))
        for amount in (8.0, 16.0):
            self.child.observe(amount)
        if not self.is_due and self.child.read_native().count_value != native.count_value + 2:
            self.problems.append(("a new observation is not shown", f"{self.child.read_native()}"))

        self._check_workers()

    def _check_workers(self) -> None:
        """Compare what a scrape has, in shared storage, with the numbers of the child, unless it was removed."""
        if not self.folder:
            return
        points = [point for batch in self.metric.make_family().read_batches() for point in batch]
        exposed = [(*point.read_numbers(), point.read_native()) for point in points]
        expected = [(*self.child.read_numbers(), self.child.read_native())] if self.metric.label_values() else []
        if exposed != expected:
            self.problems.append(("a scrape has other numbers", f"{exposed}, not {expected}"))

    def close(self) -> None:
        """Give back files."""
        remove_folder(self.registry, self.folder)


def _has(native: NativeHistogram, amounts: Sequence[float]) -> bool:
    """Return whether a histogram has these observations, each in its bucket."""
    expected = Counts(find_index(amount, native.schema) for amount in amounts if amount > native.zero_threshold)
    zeros = sum(amount <= native.zero_threshold for amount in amounts)
    return (
        native.count_value == len(amounts)
        and native.sum_value == fsum(amounts)
        and native.zero_count == zeros
        and dict(_list_buckets(native)) == expected
    )


def _list_buckets(native: NativeHistogram) -> Iterator[tuple[int, int]]:
    index = count = 0
    deltas = iter(native.pos_deltas or ())
    for span in native.pos_spans or ():
        index += span.offset
        for at in range(index, index + span.length):
            count += next(deltas)
            if count:
                yield at, count
        index += span.length


def _observe(amount: float) -> Operation:
    def operate(subject: Any, name: str) -> Step:  # noqa: ARG001  # of an operation
        yield from subject.observe(amount)

    return operate


def _call(method: str) -> Operation:
    def operate(subject: Any, name: str) -> Step:  # noqa: ARG001  # of an operation
        yield from getattr(subject, method)()

    return operate


NATIVE_OPERATIONS: dict[str, Operation] = {
    "observe": _observe(1.0),
    "observe_zero": _observe(0.0),
    "coarsen": _observe(2.0),
    "coarsen_more": _observe(4.0),
    "widen": _observe(2.0**-12),
    "remove": _call("remove"),
    "read": _call("read"),
}


class NativeSetting(NamedTuple):
    """A set-up of a native histogram: whether it has no classic one, whether resets are due, and the operations."""

    name: str
    is_only: bool
    is_due: bool
    first: str
    second: str
    storages: tuple[str, ...] = ("memory", "locked")

    def make_world(self, storage: str, clock: Clock) -> NativeWorld:  # noqa: ARG002  # of a setting
        """Return a fresh world in the state of this set-up."""
        return NativeWorld(storage, is_only=self.is_only, is_due=self.is_due)

    def make_model(self, choices: Sequence[bool]) -> NativeModel:  # noqa: ARG002  # it has no choices
        """Return a model in the state of this set-up."""
        return NativeModel()

    def get_operation(self, name: str) -> Operation:
        """Return the operation called ``name``."""
        return NATIVE_OPERATIONS[name]

    def begin_reading(self, world: NativeWorld) -> NativeReading:
        """Return a reading that has begun."""
        return NativeReading(world)

    def check_end(self, world: NativeWorld, allowed: Any, elsewhere: Callable[[Callable[[], None]], None]) -> None:  # noqa: ARG002  # of a setting
        """See `NativeWorld.check_end`."""
        world.check_end(allowed)
