"""`ChildTable`, which holds the children of one metric, and `Child`, what the children of every storage have.

*Rules.*

- Take no lock. A metric may be declared and used in a signal handler, a finaliser or a callback of the garbage
  collector, so any operation here may interrupt any other one, while other threads do the same.
- Make each change one call of one dict or list, so that an interruption sees the state before or after it.

*Theory of operation.* A dict (``by_values``) finds a child by its label values. Segments, lists of up to 256 children,
are for reading: a reading copies one segment after another, never sees a child twice, and misses none that stays.

*Insert a child* (`_add`):

1. Set it in the dict by ``setdefault``. Before, neither dict nor segments have the child. After, `find` returns it;
   readings do not see it yet. If another child won, return that one and stop.
2. Write the tail (the last segment) into ``_inserting``, and again if the tail has changed since. After, every reading
   that begins copies this segment at once, though it may no longer be the tail when the child arrives.
3. Append it to that segment. After, readings see it.
4. Look at the dict again. If the child was removed since step 1, remove it from the segment as well.
5. Delete the entry of step 2.

*Remove a child* (`_remove_child`):

1. Remove it from its segment, if it is in it already. After, readings do not see it; `find` still returns it.
2. Remove it from the dict. After, neither has it. If an insertion of it is at step 2 or 3, its step 4 does the rest.
3. If the dict had another child by then, because others have removed and inserted in between, remove that one from its
   segment as well.

Whatever interleaves, dict and segments agree in the end.

*Read* (`read_slices`): list the segments, then copy those that can grow: the tail, and former tails that an unfinished
insertion still references. The other segments only shrink, and are copied when their turn comes. A child that is
created later is left to the next reading.
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
"""The value of every label of the child that label sets beyond ``max_children`` share."""
# Children: a reading copies a segment by one call (0.5 µs) and yields it as one step. Writing a segment of counters
# takes 0.05 ms, one of histograms with the default buckets 1.3 ms.
_SEGMENT = 256
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}
_NO_EXTRA_LABELS: Mapping[str, str] = {}


class TableEvents(Protocol):
    """Counts the events of a child table, by the name of the metric: the registry's self-metrics implement it."""

    def count_dropped_observation(self, metric: str) -> None:
        """Count an observation of NaN."""
        ...

    def count_overflowed_label_set(self, metric: str) -> None:
        """Count a use of a new label set beyond ``max_children``."""
        ...

    def count_collector_error(self, collector: str) -> None:
        """Count a failure of a gauge function, or of the number that it returned; its exception is being handled."""
        ...


class Child(Labelled):
    """A child of any storage: its label values, its table, and its segment in the table."""

    __slots__ = ("__weakref__", "label_block", "labelvalues", "segment", "table")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        self.table = table
        self.labelvalues = labelvalues
        self.label_block: str | None = None
        self.segment: list[Any] = []

    @property
    def created(self) -> float:
        """When the child was created, as a Unix time; 0.0 for kinds other than counter, summary and histogram."""
        return 0.0

    @abstractmethod
    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading: a number for each row of the descriptor."""

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        return _NO_EXEMPLARS

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's."""
        return _NO_EXTRA_LABELS

    def __repr__(self) -> str:
        descriptor = self.table.descriptor
        pairs = zip(descriptor.all_labelnames, self.labelvalues, strict=True)
        return f"{descriptor.name}{{{','.join(f'{name}={value!r}' for name, value in pairs)}}}"


C = TypeVar("C", bound=Child)


class ChildTable(Generic[C]):
    """The children of one metric: ``by_values`` has them by their label values, `find` creates one that is missing.

    ``make`` creates a child. With ``max_children`` children in the table, all new label sets share the overflow child.
    A child whose numbers did not change for ``ttl`` seconds is no longer read (`asyncmetrics.children.expiry`).
    """

    __slots__ = (
        "_events",
        "_expiry",
        "_inserting",
        "_make",
        "_max_children",
        "_sampler",
        "_segments",
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
        self._expiry: Expiry[C] | None = None if ttl is None else Expiry(ttl)
        self._inserting: dict[C, list[C]] = {}
        self._tail: list[C] = []
        self._segments: dict[int, list[C]] = {id(self._tail): self._tail}

    def find(self, values: tuple[object, ...]) -> C:
        """Return the child with these label values (converted by ``str``); create it if it is new.

        Raises `LabelError` for too few or too many values.
        """
        key = self.make_key(values)
        child = self.by_values.get(key)
        if child is not None:
            return child
        if key and self._is_full(key):
            self._events.count_overflowed_label_set(self.descriptor.name)
            key = (OVERFLOW,) * len(key)
        return self._create(key)

    def _is_full(self, key: tuple[str, ...]) -> bool:  # noqa: ARG002  # shared storage counts the keys of all workers
        return self._max_children is not None and len(self.by_values) >= self._max_children

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child."""
        return list(self.by_values)

    def make_key(self, values: tuple[object, ...]) -> tuple[str, ...]:
        """Return label values as ``by_values`` has them. Raises `LabelError` for too few or too many."""
        names = self.descriptor.all_labelnames
        if len(values) != len(names):
            problem = f"has {len(names)} labels named {list(names)}, but the values {list(values)} were given"
            raise LabelError(self.descriptor.name, problem)
        return tuple(map(to_label_text, values))

    def count_dropped_observation(self) -> None:
        """Count an observation of NaN, which the caller drops."""
        self._events.count_dropped_observation(self.descriptor.name)

    def collect_from(self, sampler: Sampler) -> None:
        """Replace all children by the result of ``sampler`` at every `refresh`."""
        self._sampler = sampler

    @property
    def is_refreshed(self) -> bool:
        """Whether `refresh` has anything to call."""
        return bool(self.functions) or self._sampler is not None

    def refresh(self) -> list[tuple[C, Awaitable[float]]]:
        """Call the gauge functions and set their results; return the awaitables that the async ones returned."""
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
        before = list(self.by_values)  # a child that is new since then is of a later sample, in another thread
        keys: set[tuple[str, ...]] = set()
        try:
            for values, number in sampler().items():
                child = self.find(values)
                cast("GaugeChild", child).set(number)
                keys.add(child.labelvalues)
        except Exception:  # noqa: BLE001  # as in `guard`
            self._events.count_collector_error(self.descriptor.name)
            keys.clear()
        self.remove_local([key for key in before if key not in keys])

    @contextmanager
    def guard(self, child: C) -> Iterator[None]:
        """Count an exception that the function of ``child`` raises.

        Do not expose ``child`` until the next `refresh`.
        """
        try:
            yield
        except Exception:  # noqa: BLE001  # a callback of the application must not fail the scrape
            self.failed |= {child}
            self._events.count_collector_error(self.descriptor.name)

    def _create(self, key: tuple[str, ...]) -> C:
        parked = self._expiry.unpark(key) if self._expiry else None
        return self._add(self._make_child(key) if parked is None else parked)

    def _make_child(self, key: tuple[str, ...]) -> C:
        child = self._make(self, key)
        if self._write is not None:
            child.label_block = self._write(key)
        return child

    def _add(self, new_child: C) -> C:
        """Insert ``new_child``, and return the child that has its label values then."""
        child = self.by_values.setdefault(new_child.labelvalues, new_child)
        if child is new_child:
            try:
                self._append_to_tail(child)
                if self.by_values.get(child.labelvalues) is not child:
                    self._remove_from_segment(child)
            finally:
                self._inserting.pop(child, None)
        return child

    def _append_to_tail(self, child: C) -> None:
        tail = self._inserting[child] = self._tail
        while tail is not self._tail:  # a reading may have begun in between, with the new tail
            tail = self._inserting[child] = self._tail
        if len(tail) >= _SEGMENT:
            tail = self._inserting[child] = []
            self._tail = self._segments[id(tail)] = tail
        child.segment = tail
        tail.append(child)
        if id(tail) not in self._segments:  # a removal has dropped it while it was empty
            self._segments[id(tail)] = tail

    def _remove_from_segment(self, child: C) -> None:
        segment = child.segment
        try:
            segment.remove(child)
        except ValueError:
            return
        if not segment and segment is not self._tail:
            self._segments.pop(id(segment), None)
            if segment:  # an insertion has appended to it in between
                self._segments[id(segment)] = segment

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove the child with these label values, if there is one."""
        self.remove_local((key,))

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this process with these label values."""
        for key in keys:
            child = self.by_values.get(key)
            if child is not None:
                self._remove_child(child)
                self.functions.pop(child, None)
            if self._expiry:
                self._expiry.forget(key, child)

    def _remove_child(self, child: C) -> None:
        key = child.labelvalues
        self._remove_from_segment(child)
        last = self.by_values.pop(key, None) if self.by_values.get(key) is child else None
        if last is not None:  # another child, if others have removed this one and inserted that one in between
            self._remove_from_segment(last)

    def clear(self) -> None:
        """Remove every child."""
        self.remove_local(list(self.by_values))

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the children, or points that stand for them, in slices, in the order of their creation.

        A step that does other work yields an empty slice.
        """
        if self._expiry:
            yield from self._unpark_changed(self._expiry)
        for batch in self.read_slices():
            visible = [child for child in batch if child not in self.failed] if self.failed else batch
            yield self._park_stale(visible, self._expiry) if self._expiry else visible

    def read_slices(self) -> Iterator[list[C]]:
        """Yield all children of this process, stale or not, in slices."""
        segments = list(self._segments.values())
        growing = [self._tail, *self._inserting.values()]  # read after the segments: a newer segment is not read
        # A child may be removed, and another one with its label values inserted, between the two lines above.
        copies = {id(segment): self._drop_removed(segment[:]) for segment in growing}
        batches = (copies.get(id(segment), segment)[:] for segment in segments)
        return (batch for batch in batches if batch)

    def _drop_removed(self, batch: list[C]) -> list[C]:
        """Return the children that are still in the dict: another child may have the label values of a removed one."""
        return [child for child in batch if self.by_values.get(child.labelvalues) is child]

    def _unpark_changed(self, expiry: Expiry[C]) -> Iterator[tuple[()]]:
        for entries in expiry.read_parked():
            with expiry.try_lock() as is_only_one:
                for child in expiry.unpark_changed(entries) if is_only_one else ():
                    self._add(child)
            yield ()

    def _park_stale(self, batch: list[C], expiry: Expiry[C]) -> list[C]:
        """Park the stale children of ``batch``, and return the others."""
        with expiry.try_lock() as is_only_one:
            if not is_only_one:
                return batch
            now = time.monotonic()
            batch = self._drop_removed(batch)
            stale = {child for child in batch if expiry.is_stale(child, now)}
            for child in stale:
                expiry.park(child)
                self._remove_child(child)
        return [child for child in batch if child not in stale]
