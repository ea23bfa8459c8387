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
from typing import Any, Generic, TypeAlias, TypeVar, cast

from asyncmetrics.children.expiry import Expiry
from asyncmetrics.children.interfaces import GaugeChild, GaugeFunction, Labelled, Sampler
from asyncmetrics.errors import LabelError
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.label_blocks import make_block_writer
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar

__all__ = ("OVERFLOW", "Child", "ChildTable", "Report")

OVERFLOW = "__overflow__"
_SEGMENT = 256
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}
_NO_DETAILS: Mapping[str, str] = {}

Report: TypeAlias = Callable[[str, str], None]
"""Count an event that must not be lost: its name (a self-metric) and what it happened to."""


class Child(Labelled):
    """What every storage's children have: their labels, and the place in the table that they came from."""

    __slots__ = ("__weakref__", "family", "labelvalues", "segment", "text")

    def __init__(self, family: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        self.family = family
        self.labelvalues = labelvalues
        self.text: str | None = None
        self.segment: list[Any] = []

    @property
    def created(self) -> float:
        """When the child was made, as a Unix time; only counters, summaries and histograms keep it."""
        return 0.0

    @abstractmethod
    def numbers(self) -> Sequence[float]:
        """Return one consistent reading, a number for each row of the descriptor."""

    def exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        return _NO_EXEMPLARS

    def details(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's."""
        return _NO_DETAILS

    def __repr__(self) -> str:
        descriptor = self.family.descriptor
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
        "_make",
        "_max_children",
        "_report",
        "_sampler",
        "_segments",
        "_staleness",
        "_tail",
        "_write",
        "descriptor",
        "failed",
        "functions",
        "table",
    )

    def __init__(
        self,
        descriptor: Descriptor,
        make: Callable[[ChildTable[C], tuple[str, ...]], C],
        report: Report,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        self.table: dict[tuple[str, ...], C] = {}
        self.descriptor = descriptor
        self.functions: dict[C, GaugeFunction] = {}
        self.failed: frozenset[C] = frozenset()
        self._make = make
        self._report = report
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
        key = self.key(values)
        child = self.table.get(key)
        if child is not None:
            return child
        if key and self._is_full(key):
            self.report("overflowed_label_sets")
            key = (OVERFLOW,) * len(key)
        return self._create(key)

    def _is_full(self, key: tuple[str, ...]) -> bool:  # noqa: ARG002  # a storage may know some keys already
        return self._max_children is not None and len(self.table) >= self._max_children

    def keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child."""
        return list(self.table)

    def key(self, values: tuple[object, ...]) -> tuple[str, ...]:
        """Return label values as they stand in ``table``. Raises `LabelError` for too few or too many."""
        names = self.descriptor.all_labelnames
        if len(values) != len(names):
            problem = f"has {len(names)} labels named {list(names)}, but the values {list(values)} were given"
            raise LabelError(self.descriptor.name, problem)
        return tuple(map(to_label_text, values))

    def report(self, event: str) -> None:
        """Count ``event`` of this metric in the registry's self-metrics."""
        self._report(event, self.descriptor.name)

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
            with self.taking(child):
                result = function()
                if isinstance(result, Awaitable):
                    pending.append((child, result))
                else:
                    cast("GaugeChild", child).set(result)
        return pending

    def _sample(self, sampler: Sampler) -> None:
        before = list(self.table)  # what comes meanwhile is of a sample taken later, in another thread
        told: set[tuple[str, ...]] = set()
        try:
            for values, number in sampler().items():
                child = self.find(values)
                cast("GaugeChild", child).set(number)
                told.add(child.labelvalues)
        except Exception:  # noqa: BLE001  # as in `taking`
            self.report("collector_errors")
            told.clear()
        self.take_out([key for key in before if key not in told])

    @contextmanager
    def taking(self, child: C) -> Iterator[None]:
        """Leave ``child`` out of the next readings, and count it, if its function or the number from it fails."""
        try:
            yield
        except Exception:  # noqa: BLE001  # a callback of the application must not cost the scrape
            self.failed |= {child}
            self.report("collector_errors")

    def _create(self, key: tuple[str, ...]) -> C:
        dormant = self._staleness.wake(key) if self._staleness else None
        return self._add(self._made(key) if dormant is None else dormant)

    def _made(self, key: tuple[str, ...]) -> C:
        child = self._make(self, key)
        if self._write is not None:
            child.text = self._write(key)
        return child

    def _add(self, made: C) -> C:
        child = self.table.setdefault(made.labelvalues, made)
        if child is made:
            try:
                self._enrol(child)
                if self.table.get(child.labelvalues) is not child:
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

    def discard(self, key: tuple[str, ...]) -> None:
        """Remove the child with these label values; one that is not there is no error."""
        self.take_out((key,))

    def take_out(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this process with these label values."""
        for key in keys:
            child = self.table.get(key)
            if child is not None:
                self._leave(child)
                self.functions.pop(child, None)
            if self._staleness:
                self._staleness.forget(key, child)

    def _leave(self, child: C) -> None:
        key = child.labelvalues
        self._withdraw(child)
        gone = self.table.pop(key, None) if self.table.get(key) is child else None
        if gone is not None:  # another one, if others have removed the child and made that one in between
            self._withdraw(gone)

    def discard_all(self) -> None:
        """Remove every child."""
        self.take_out(list(self.table))

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
        return [child for child in batch if self.table.get(child.labelvalues) is child]

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
