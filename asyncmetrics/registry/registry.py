"""The registry: which collectors there are, whose names are whose, and the counts of what went wrong.

*Rules.* No lock is held, so registering works in any thread, in finalisers and after a fork: a name belongs to whoever
came first to ``dict.setdefault``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, final

from asyncmetrics.errors import CollectorError, DefinitionError, DuplicateMetricError, UnknownCollectorError
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.families import InfoMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import UNDERSCORES, escape_name
from asyncmetrics.registry.collection import Collection, Collector, Families, ask_families, claimed_names
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage.automatic import AutomaticStorage
from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage, choose_worker_label

__all__ = ("REGISTRY", "CollectorRegistry", "Registry", "RestrictedRegistry")

T = TypeVar("T")
_TARGET = "target_info"


class CollectorRegistry:
    """A set of collectors, collected together.

    ``auto_describe`` asks collectors without ``describe`` for their names by collecting them once. ``target_info`` are
    labels that describe the process as a whole. ``support_collectors_without_names`` keeps collectors whose names are
    not known in restricted registries. ``storage`` is where the metrics that register here keep their numbers.
    """

    def __init__(
        self,
        auto_describe: bool = False,  # prometheus_client's signature
        target_info: Mapping[str, str] | None = None,
        support_collectors_without_names: bool = False,  # prometheus_client's signature
        *,
        storage: Storage | None = None,
    ) -> None:
        self.storage: Storage = storage or MemoryStorage()
        self._collectors: dict[Collector, frozenset[str]] = {}
        self._claims: dict[str, object] = {}
        self._auto_describe = auto_describe
        self._support_collectors_without_names = support_collectors_without_names
        self._target_info: Mapping[str, str] | None = None
        self._self_metrics = SelfMetrics(self.storage)
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Add a collector. Raises `DuplicateMetricError` if a name it would use is taken, and then adds nothing."""
        names = self._names_of(collector)
        if collector in self._collectors:
            raise DuplicateMetricError(set(names), collector, collector)
        holders = {name: self._claims.setdefault(name, collector) for name in sorted(names)}
        duplicates = {name for name, holder in holders.items() if holder is not collector}
        if duplicates:
            self._release(collector, names)
            raise DuplicateMetricError(duplicates, holders[min(duplicates)], collector)
        self._collectors[collector] = names

    def unregister(self, collector: Collector) -> None:
        """Take a collector out. Raises `UnknownCollectorError` (a KeyError) if it is not in."""
        names = self._collectors.pop(collector, None)
        if names is None:
            raise UnknownCollectorError(collector)
        self._release(collector, names)

    def get_or_create(self, metric: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return the metric of this registry that these arguments would declare, making it if there is none.

        ``registry.get_or_create(Counter, "jobs", "Jobs run.", ["kind"])``. Raises `DuplicateMetricError` if there is
        one of that name whose kind, unit, labels, buckets or states differ.
        """
        return metric(*args, registry=self, exist_ok=True, **kwargs)

    def collect(self) -> Iterator[Metric]:
        """Yield every family once; collectors that are async run in a private loop meanwhile."""
        yield from _collected(self._begin())

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once, awaiting the collectors that are async.

        A collector that raises is left out and counted in ``asyncmetrics_collector_errors_total``; with
        ``on_error="fail"`` it raises `CollectorError` instead.
        """
        return await _collected_async(self._begin(on_error))

    def _begin(self, on_error: str = "skip") -> Collection:
        return self._collection(list(self._collectors), on_error, None)

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return a registry of the samples called one of ``names``; a family's own name stands for all of them."""
        return RestrictedRegistry(names, self)

    def set_target_info(self, labels: Mapping[str, str] | None) -> None:
        """Describe the process by labels, exposed as ``target_info``; None or nothing takes it away."""
        if labels and self._claims.setdefault(_TARGET, self) is not self:
            raise DuplicateMetricError({_TARGET}, self._claims[_TARGET], self)
        if not labels and self._claims.get(_TARGET) is self:
            self._claims.pop(_TARGET)
        self._target_info = dict(labels) if labels else None

    def get_target_info(self) -> Mapping[str, str] | None:
        """Return the labels given to `set_target_info`."""
        return self._target_info

    def worker_labels(self, labelnames: Sequence[str] = ()) -> dict[str, str]:
        """Return the label that tells this process from those that it shares its metrics with; none if it does not.

        Collectors put it on what they know of this process alone. ``labelnames`` are those that they have besides.
        """
        own = [worker for worker, pid in self.storage.list_processes().items() if pid == os.getpid()]
        return {choose_worker_label(labelnames): own[0]} if own else {}

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return the value of one sample, or None if there is none: meant for tests."""
        wanted = dict(labels or {})
        found = (s for family in self.collect() for s in family.samples if (s.name, s.labels) == (name, wanted))
        return next((sample.value for sample in found), None)

    def _names_of(self, collector: Collector) -> frozenset[str]:
        describe = getattr(collector, "describe", None)
        if describe is None and not self._auto_describe:
            return frozenset()
        families = Families()
        for family in ask_families(_Described(describe) if describe else collector):
            problem = families.add(family)
            if problem:
                raise ValueError(problem)
        return frozenset().union(*(claimed_names(family) for family in families.all()))

    def _release(self, collector: Collector, names: Iterable[str]) -> None:
        for name in names:
            if self._claims.get(name) is collector:
                self._claims.pop(name, None)

    def _failed(self, on_error: str) -> Callable[[Collector, BaseException], None]:
        if on_error not in {"skip", "fail"}:
            raise DefinitionError("on_error", f"expected 'skip' or 'fail', got {on_error!r}")

        def failed(collector: Collector, error: BaseException) -> None:
            name = _name_of(collector)
            if on_error == "fail":
                raise CollectorError(name, str(error)) from error
            self._self_metrics.count_collector_error(name, error)

        return failed

    def _collection(self, collectors: Iterable[Collector], on_error: str, names: frozenset[str] | None) -> Collection:
        collection = Collection(collectors, self._failed(on_error), self._self_metrics, names)
        if self._target_info:
            collection.add(self._self_metrics, InfoMetricFamily("target", "Target metadata", self._target_info))
        return collection


def _name_of(collector: Collector) -> str:
    descriptor = getattr(collector, "descriptor", None)  # one of the library's own metrics
    return descriptor.name if isinstance(descriptor, Descriptor) else type(collector).__name__


def _collected(collection: Collection) -> list[Metric]:
    for collector in collection.collectors:
        collection.ask(collector)
    return collection.families()


async def _collected_async(collection: Collection) -> list[Metric]:
    for collector in collection.collectors:
        await collection.ask_async(collector)
    return collection.families()


@final
class _Described:
    def __init__(self, describe: Callable[[], Iterable[Metric]]) -> None:
        self.collect = describe


Registry = CollectorRegistry


@final
class RestrictedRegistry:
    """The part of a registry that has certain sample names: only the collectors that have them are asked."""

    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        self._names = frozenset(names)
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield what is left of every family once."""
        yield from _collected(self._begin())

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return what is left of every family once."""
        return await _collected_async(self._begin(on_error))

    def _begin(self, on_error: str = "skip") -> Collection:
        return self._registry._collection(self._collectors(), on_error, self._names)

    @property
    def _self_metrics(self) -> SelfMetrics:
        return self._registry._self_metrics

    def _collectors(self) -> list[Collector]:
        wanted = {escape_name(name, UNDERSCORES) for name in self._names}
        keep_nameless = self._registry._support_collectors_without_names
        every = list(self._registry._collectors.items())
        return [c for c, names in every if names & wanted or (keep_nameless and not names)]


REGISTRY = CollectorRegistry(auto_describe=True, storage=AutomaticStorage())
"""The registry that metrics register in unless told otherwise."""
