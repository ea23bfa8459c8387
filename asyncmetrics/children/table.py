"""The storage protocol, and the table of one metric's children that every storage fills.

*Rules.* Nothing here takes a lock: children may be created and removed in signal handlers, finalisers and garbage
collector callbacks, while any other thread does the same.

*Theory of operation.* `ChildTable` finds a child by its label values in a dict and keeps them in segments of 256
for reading: a reading takes one slice after another and never sees a child twice, nor misses one that stays. A child
enters the dict first and a segment second; it leaves in the opposite order; whoever did the second step looks again at
the first, so that whatever interleaves, dict and segments agree in the end. Only the last segment grows, and one that
was the last when a child that is entering, as it said before, looked. A reading copies those before anything else: what
is created later is left to the next reading.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

from asyncmetrics.children.expiry import Expiry
from asyncmetrics.children.interfaces import GaugeChild, GaugeFunction, Labelled, Sampler
from asyncmetrics.errors import LabelError
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.label_blocks import make_block_writer
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar

__all__ = ("OVERFLOW", "Child", "ChildTable", "TableEvents")

OVERFLOW = "__overflow__"
_SEGMENT = 256
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}
_NO_DETAILS: Mapping[str, str] = {}


class TableEvents(Protocol):
    """What counts the events of a child table that must not be lost, by the name of the metric."""

    def count_dropped_observation(self, metric: str) -> None:
        """Count an observation of NaN."""
        ...

    def count_overflowed_label_set(self, metric: str) -> None:
        """Count a use of a new label set beyond ``max_children``."""
        ...

    def count_collector_error(self, collector: str) -> None:
        """Count a gauge function, or the number that it returned, that failed; its exception is being handled."""
        ...


class Child(Labelled):
    """What every storage's children have: their labels, and the place in the table that they came from."""

    __slots__ = ("__weakref__", "label_block", "labelvalues", "segment", "table")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        self.table = table
        self.labelvalues = labelvalues
        self.label_block: str | None = None
        self.segment: list[Any] = []

    @property
    def created(self) -> float:
        """When the child was made, as a Unix time; only counters, summaries and histograms keep it."""
        return 0.0

    @abstractmethod
    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading, a number for each row of the descriptor."""

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        return _NO_EXEMPLARS

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's."""
        return _NO_DETAILS

    def __repr__(self) -> str:
        descriptor = self.table.descriptor
        pairs = zip(descriptor.all_labelnames, self.labelvalues, strict=True)
        return f"{descriptor.name}{{{','.join(f'{name}={value!r}' for name, value in pairs)}}}"


C = TypeVar("C", bound=Child)


class ChildTable(Generic[C]):
    """The children of one metric: ``table`` finds one by its label values, `find` makes what it lacks.

    ``make`` makes a child. Past ``max_children`` all new label sets share the overflow child. A child whose numbers
    did not change for ``ttl`` seconds is left out of readings and, unless somebody holds it, forgotten.
    """

    __slots__ = (
        "_entering",
        "_events",
        "_make",
        "_max_children",
        "_sampler",
        "_segments",
        "_staleness",
        "_tail",
        "_write",
        "by_values",
        "descriptor",
        "failed",
        "functions",
    )

    def __init__(
        self,
        descriptor: Descriptor,
        make: Callable[[ChildTable[C], tuple[str, ...]], C],
        events: TableEvents,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        self.by_values: dict[tuple[str, ...], C] = {}
        self.descriptor = descriptor
        self.functions: dict[C, GaugeFunction] = {}
        self.failed: frozenset[C] = frozenset()
        self._make = make
        self._events = events
        self._sampler: Sampler | None = None
        self._max_children = max_children
        self._write = make_block_writer(descriptor.all_labelnames)
        self._staleness: Expiry[C] | None = None if ttl is None else Expiry(ttl)
        self._entering: dict[C, list[C]] = {}
        self._tail: list[C] = []
        self._segments: dict[int, list[C]] = {id(self._tail): self._tail}

    def find(self, values: tuple[object, ...]) -> C:
        """Return the child with these label values (written by ``str``), making it if it is new.

        Raises `LabelError` for too few or too many.
        """
        key = self.make_key(values)
        child = self.by_values.get(key)
        if child is not None:
            return child
        if key and self._is_full(key):
            self._events.count_overflowed_label_set(self.descriptor.name)
            key = (OVERFLOW,) * len(key)
        return self._create(key)

    def _is_full(self, key: tuple[str, ...]) -> bool:  # noqa: ARG002  # a storage may know some keys already
        return self._max_children is not None and len(self.by_values) >= self._max_children

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child."""
        return list(self.by_values)

    def make_key(self, values: tuple[object, ...]) -> tuple[str, ...]:
        """Return label values as they stand in ``table``. Raises `LabelError` for too few or too many."""
        names = self.descriptor.all_labelnames
        if len(values) != len(names):
            problem = f"has {len(names)} labels named {list(names)}, but the values {list(values)} were given"
            raise LabelError(self.descriptor.name, problem)
        return tuple(map(to_label_text, values))

    def count_dropped_observation(self) -> None:
        """Count an observation of NaN, which is dropped."""
        self._events.count_dropped_observation(self.descriptor.name)

    def collect_from(self, sampler: Sampler) -> None:
        """Take all children from ``sampler`` at every `refresh`."""
        self._sampler = sampler

    @property
    def is_refreshed(self) -> bool:
        """Whether there is anything for `refresh` to call."""
        return bool(self.functions) or self._sampler is not None

    def refresh(self) -> list[tuple[C, Awaitable[float]]]:
        """Call the gauge functions and keep their results; return the awaitables that async ones came back with."""
        self.failed = frozenset()
        if self._sampler is not None:
            self._sample(self._sampler)
        pending: list[tuple[C, Awaitable[float]]] = []
        for child, function in list(self.functions.items()):
            with self.guard(child):
                result = function()
                if isinstance(result, Awaitable):
                    pending.append((child, result))
                else:
                    cast("GaugeChild", child).set(result)
        return pending

    def _sample(self, sampler: Sampler) -> None:
        before = list(self.by_values)  # what comes meanwhile is of a sample taken later, in another thread
        told: set[tuple[str, ...]] = set()
        try:
            for values, number in sampler().items():
                child = self.find(values)
                cast("GaugeChild", child).set(number)
                told.add(child.labelvalues)
        except Exception:  # noqa: BLE001  # as in `guard`
            self._events.count_collector_error(self.descriptor.name)
            told.clear()
        self.remove_local([key for key in before if key not in told])

    @contextmanager
    def guard(self, child: C) -> Iterator[None]:
        """Leave ``child`` out of the next readings, and count it, if its function or the number from it fails."""
        try:
            yield
        except Exception:  # noqa: BLE001  # a callback of the application must not cost the scrape
            self.failed |= {child}
            self._events.count_collector_error(self.descriptor.name)

    def _create(self, key: tuple[str, ...]) -> C:
        dormant = self._staleness.wake(key) if self._staleness else None
        return self._add(self._made(key) if dormant is None else dormant)

    def _made(self, key: tuple[str, ...]) -> C:
        child = self._make(self, key)
        if self._write is not None:
            child.label_block = self._write(key)
        return child

    def _add(self, made: C) -> C:
        child = self.by_values.setdefault(made.labelvalues, made)
        if child is made:
            try:
                self._enrol(child)
                if self.by_values.get(child.labelvalues) is not child:
                    self._withdraw(child)
            finally:
                self._entering.pop(child, None)
        return child

    def _enrol(self, child: C) -> None:
        tail = self._entering[child] = self._tail
        while tail is not self._tail:  # a reading may have looked in between
            tail = self._entering[child] = self._tail
        if len(tail) >= _SEGMENT:
            tail = self._entering[child] = []
            self._tail = self._segments[id(tail)] = tail
        child.segment = tail
        tail.append(child)
        if id(tail) not in self._segments:
            self._segments[id(tail)] = tail

    def _withdraw(self, child: C) -> None:
        segment = child.segment
        try:
            segment.remove(child)
        except ValueError:
            return
        if not segment and segment is not self._tail:
            self._segments.pop(id(segment), None)
            if segment:
                self._segments[id(segment)] = segment

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove the child with these label values; one that is not there is no error."""
        self.remove_local((key,))

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this process with these label values."""
        for key in keys:
            child = self.by_values.get(key)
            if child is not None:
                self._leave(child)
                self.functions.pop(child, None)
            if self._staleness:
                self._staleness.forget(key, child)

    def _leave(self, child: C) -> None:
        key = child.labelvalues
        self._withdraw(child)
        gone = self.by_values.pop(key, None) if self.by_values.get(key) is child else None
        if gone is not None:  # another one, if others have removed the child and made that one in between
            self._withdraw(gone)

    def clear(self) -> None:
        """Remove every child."""
        self.remove_local(list(self.by_values))

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the children, or points that stand for them, in slices, in the order in which they were created.

        A slice is empty where a step has done other work.
        """
        if self._staleness:
            yield from self._take_back(self._staleness)
        for batch in self.slices():
            shown = [child for child in batch if child not in self.failed] if self.failed else batch
            yield self._without_stale(shown, self._staleness) if self._staleness else shown

    def slices(self) -> Iterator[list[C]]:
        """Yield all children of this process as they are, in slices."""
        segments = list(self._segments.values())
        growing = [self._tail, *self._entering.values()]  # after the segments: one that came since is not read
        copies = {id(segment): segment[:] for segment in growing}
        if len(growing) > 1 or self._entering:
            copies = {which: self._settled(copy) for which, copy in copies.items()}
        batches = (copies.get(id(segment), segment)[:] for segment in segments)
        return (batch for batch in batches if batch)

    def _settled(self, batch: list[C]) -> list[C]:
        """Leave out whoever was removed meanwhile: another may have its label values by now."""
        return [child for child in batch if self.by_values.get(child.labelvalues) is child]

    def _take_back(self, staleness: Expiry[C]) -> Iterator[tuple[()]]:
        for group in staleness.sleepers():
            with staleness.alone() as allowed:
                for child in staleness.awakened(group) if allowed else ():
                    self._add(child)
            yield ()

    def _without_stale(self, batch: list[C], staleness: Expiry[C]) -> list[C]:
        with staleness.alone() as allowed:
            if not allowed:
                return batch
            now = time.monotonic()
            batch = self._settled(batch)
            stale = {child for child in batch if staleness.is_stale(child, now)}
            for child in stale:
                staleness.put_to_sleep(child)
                self._leave(child)
        return [child for child in batch if child not in stale]
