"""The family of the instruments of one name: its tables, and its exposition.

*Theory of operation.* `InstrumentFamily.find` returns the child for some labels. It opens a table, a *part*, for each
new set of label names (`asyncmetrics.bridges.opentelemetry.merging`). The tables are in a storage of the provider's own
(`Storage.named`), so that other workers do not expose parts as families. `OtherWorkersInstruments` exposes the families
and parts that only other workers have.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from asyncmetrics.asking import ask_now
from asyncmetrics.bridges.opentelemetry.merging import get_family_name, is_part, make_part, merge_parts
from asyncmetrics.children.callbacks import Callback
from asyncmetrics.children.table import ChildTable
from asyncmetrics.metrics.created import is_created_enabled
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.registry.plain import make_plain
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.registry.sources import CallbackCollector, LiveCollector
from asyncmetrics.storage.protocol import Storage

__all__ = ("InstrumentFamily", "Observer", "OtherWorkersInstruments")

_OVERFLOW = ("otel_metric_overflow",)  # "Overflow attribute" of OpenTelemetry's Metrics SDK specification

_MAX_PARTS = 100  # each is a table: a client that chooses the names of attributes must not mint tables without bound


class Observer(ABC):
    """The callback of an observable instrument, as its family sees it."""

    table: ChildTable[Any]

    @abstractmethod
    def forget_late(self) -> None:
        """Remove the numbers of a callback that has not ended for long."""


@final
class _PartEvents:
    """Counts the events of parts by the name of their family."""

    def __init__(self, name: str, events: SelfMetrics) -> None:
        self._name = name
        self._events = events

    def count_dropped_observation(self, metric: str) -> None:  # noqa: ARG002  # the part
        """Count an observation of NaN."""
        self._events.count_dropped_observation(self._name)

    def count_overflowed_label_set(self, metric: str) -> None:  # noqa: ARG002
        """Count a use of a new label set beyond the limit."""
        self._events.count_overflowed_label_set(self._name)

    def count_collector_error(self, collector: str, error: BaseException | None = None) -> None:  # noqa: ARG002
        """Count a failure of a callback."""
        self._events.count_collector_error(self._name, error)

    def count_exemplar_error(self, metric: str, error: BaseException) -> None:  # noqa: ARG002
        """Count a failure of a provider of exemplars."""
        self._events.count_exemplar_error(self._name, error)


@final
class InstrumentFamily(CallbackCollector):
    """The children of all instruments that have one name, and one kind, in one provider.

    With ``max_children`` children in this process, or `_MAX_PARTS` sets of label names, all new label sets share the
    child with the label ``otel_metric_overflow``.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        storage: Storage,
        events: SelfMetrics,
        others: OtherWorkersInstruments,
        *,
        max_children: int | None,
    ) -> None:
        self.descriptor = descriptor
        self.events = events
        self._storage = storage
        self._others = others
        self._max_children = max_children
        self.caches: list[dict[Any, Any]] = []
        """The caches of children, which are cleared when storage replaces a table."""
        self._part_events = _PartEvents(descriptor.name, events)
        self._tables: dict[tuple[str, ...], ChildTable[Any]] = {}
        self._observers: list[Observer] = []

    def find(self, labels: Mapping[str, str]) -> Any:
        """Return the child with these labels; create it if it is new. Raises `StorageError`."""
        names = tuple(sorted(labels))
        values = tuple(labels[name] for name in names)
        table = self._tables.get(names)
        child = None if table is None else table.by_values.get(values)
        if child is not None:
            return child
        if self._is_full(is_new_part=table is None):
            self.events.count_overflowed_label_set(self.descriptor.name)
            return self._open(_OVERFLOW).find(("true",))
        return self._open(names).find(values)

    def is_overflow(self, child: object) -> bool:
        """Return whether ``child`` is shared by the label sets beyond the limit."""
        table = self._tables.get(_OVERFLOW)
        return table is not None and child in table.by_values.values()

    def _is_full(self, *, is_new_part: bool) -> bool:
        if is_new_part and len(self._tables) >= _MAX_PARTS:
            return True
        if self._max_children is None:
            return False
        return sum(len(table.by_values) for table in list(self._tables.values())) >= self._max_children

    def _open(self, names: tuple[str, ...]) -> ChildTable[Any]:
        table = self._tables.get(names)
        if table is None:
            limit = self._max_children  # a worker's slot may have series of its former owner, which count there
            opened = self._storage.open(make_part(self.descriptor, names), self._part_events, max_children=limit)
            table = self._tables.setdefault(names, opened)  # another thread may have been faster
            if table is opened:
                table.on_replace(self._use_table)
        return table

    def _use_table(self, table: ChildTable[Any]) -> None:
        self._tables[table.descriptor.labelnames] = table
        for cache in list(self.caches):
            cache.clear()

    def remove(self, names: tuple[str, ...], values: tuple[str, ...]) -> None:
        """Remove the child with these labels from this process."""
        table = self._tables.get(names)
        if table is not None:
            table.remove_local([values])

    def add_observer(self, observer: Observer) -> None:
        """Ask ``observer`` at each collection."""
        self._observers.append(observer)

    def open_observer_table(self) -> ChildTable[Any]:
        """Return a table that stays empty: its function is asked at each collection, and once a second in a worker."""
        descriptor = Descriptor("gauge", f"{self.descriptor.name}:callback", "", ("callback",))
        return self._storage.open(descriptor, self._part_events)

    @property
    def blocking(self) -> bool:
        """Whether collecting may block: it calls the callbacks of observable instruments."""
        return bool(self._observers)

    @property
    def has_own_collect(self) -> bool:
        """Always False: the callbacks are asked, and then the family is made."""
        return False

    def list_callbacks(self) -> Sequence[Callback]:
        """Return the callbacks of observable instruments."""
        return [callback for one in list(self._observers) for callback in one.table.list_callbacks()]

    def collect(self) -> Iterable[Metric]:
        """Ask the callbacks, and return the family."""
        for callback in self.list_callbacks():
            problem = callback.take(ask_now(callback))
            if problem is not None:
                self.events.count_collector_error(self.descriptor.name, problem)
        return [make_plain(self.make_family())]

    def describe(self) -> Iterable[Metric]:
        """Return the family without samples."""
        return [self._describe()]

    def _describe(self) -> Metric:
        descriptor = self.descriptor
        return Metric(descriptor.name, descriptor.documentation, descriptor.kind, descriptor.unit)

    def make_family(self) -> Metric:
        """Return the family with the present numbers of all workers."""
        for observer in list(self._observers):
            observer.forget_late()
        now = time.time()
        own = [LiveFamily(table.descriptor, table.read, now=now) for table in list(self._tables.values())]
        return self._others.merge(self.descriptor, self._others.complete(self.descriptor.name, own), now)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.descriptor.name + KINDS[self.descriptor.kind].text_suffix!r})"


@final
class OtherWorkersInstruments(LiveCollector):
    """The families and parts that only other workers have, and which the provider's storage reads for a collection."""

    blocking = True  # it may follow the logs of all workers, for as long as the first scrape of a worker does

    def __init__(self, storage: Storage, events: SelfMetrics) -> None:
        self._storage = storage
        self._events = events
        self._parts: dict[str, LiveFamily] = {}
        self.families: dict[str, InstrumentFamily] = {}
        """The families of this process, by name."""

    @property
    def has_own_collect(self) -> bool:
        """Always False: a collection asks `collect_live`."""
        return False

    def complete(self, name: str, own: list[LiveFamily]) -> list[LiveFamily]:
        """Return the parts of the family ``name``: this process's ``own``, and those of the other workers."""
        known = {part.descriptor.name: part for part in own}
        for part in list(self._parts.values()):
            mine = known.get(part.descriptor.name)
            # A part that both have is listed if another definition counts (asyncmetrics.storage.shared.scrape.newest).
            is_other = mine is None or mine.descriptor.shape != part.descriptor.shape
            if is_other and get_family_name(part.descriptor.name) == name:
                known[part.descriptor.name] = part
        return list(known.values())

    def collect_live(self) -> Iterable[Metric]:
        """Return the families that this process has no instrument for."""
        now = time.time()
        found = self._storage.collect()
        self._parts = {family.descriptor.name: family for family in found if isinstance(family, LiveFamily)}
        return list(self._list_families(now))

    def _list_families(self, now: float) -> Iterator[LiveFamily]:
        names: dict[str, list[LiveFamily]] = {}
        for part in self._parts.values():
            name = get_family_name(part.descriptor.name)
            if name not in self.families:
                names.setdefault(name, []).append(part)
        for name, parts in names.items():
            yield self.merge(_rename(parts[0].descriptor, name), parts, now)

    def merge(self, family: Descriptor, parts: Sequence[LiveFamily], now: float) -> LiveFamily:
        """Return one family of all ``parts``; count that there are some of another kind, unit, mode or buckets."""
        same = [part for part in parts if is_part(part.descriptor, family)]
        if len(same) < len(parts):
            problem = ValueError(f"{family.name}: series are left out, because workers define it in different ways")
            self._events.count_collector_error(family.name, problem)
        return merge_parts(family, same, now=now, created=is_created_enabled())

    def collect(self) -> Iterable[Metric]:
        """Yield the same families as plain ones."""
        return map(make_plain, self.collect_live())


def _rename(part: Descriptor, name: str) -> Descriptor:
    return replace(part, name=name, labelnames=(), omit_empty=True)
