"""prometheus_client beside asyncmetrics in one process: the metrics of either, exposed by the other.

A library registers its metrics with prometheus_client, and one line exposes them with ours::

    PrometheusClientCollector()  # every metric of prometheus_client.REGISTRY, now and later

The other way round, a program that serves prometheus_client's registry serves ours with it::

    AsyncmetricsCollector()

Labels, values, timestamps, exemplars, ``_created`` samples, documentation and units are converted without a change.

*Rules.*

1. Send no family back over one bridge that has come over the other: both may be in use at once.
2. Leave the families that both libraries collect about the process (`SHARED_FAMILIES`) where they are.
3. Leave out a family or a sample that the other library cannot write: it must not cost the whole exposition.
4. Show no numbers of one worker as those of all: read prometheus_client's multiprocess mode if it is on, else warn.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, final

from asyncmetrics.errors import DefinitionError, MissingExtraError
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import clean_text, to_label_text
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp
from asyncmetrics.registry import REGISTRY, Collectable, CollectorRegistry, check_registry
from asyncmetrics.registry.checking import find_family_problem
from asyncmetrics.registry.collectables import begin_collection, collect_within
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("SHARED_FAMILIES", "AsyncmetricsCollector", "PrometheusClientCollector", "TheirCollector", "TheirRegistry")

SHARED_FAMILIES = frozenset(
    {
        *(f"process_{name}" for name in ("cpu_seconds", "max_fds", "open_fds", "start_time_seconds")),
        *(f"process_{name}_memory_bytes" for name in ("resident", "virtual")),
        *(f"python_gc_{name}" for name in ("collections", "objects_collected", "objects_uncollectable")),
        "python_info",
    }
)
"""The families that both libraries collect in their default registries."""

# The ids of the registries that the current collection has come from or goes to, over this and all outer bridges.
_CROSSED: ContextVar[frozenset[int]] = ContextVar("asyncmetrics_crossed_registries", default=frozenset())

_ADVICE = (
    "set PROMETHEUS_MULTIPROC_DIR before prometheus_client is imported, or use asyncmetrics.prometheus_client instead"
)

T = TypeVar("T")


class TheirCollector(Protocol):
    """A collector or a registry of prometheus_client."""

    def collect(self) -> Iterable[Any]:
        """Yield prometheus_client's families."""
        ...


class TheirRegistry(TheirCollector, Protocol):
    """A registry of prometheus_client."""

    def register(self, collector: Any) -> None:
        """Add a collector."""
        ...


@final
class PrometheusClientCollector:
    """Collect the families of a registry or a collector of prometheus_client, and register with ``registry``.

    ``source`` is prometheus_client's default registry unless another, or a single collector, is given.
    ``registry=None`` registers nowhere. Families with a name of ``leave_out`` are left out, and so are native
    histograms and families whose names cannot be written.

    If ``PROMETHEUS_MULTIPROC_DIR`` was set when prometheus_client was imported, its metrics have the numbers of all
    workers, and the default source has those of all its registries. Otherwise they have the numbers of the worker that
    answers. If ``registry`` is shared by several workers, this is logged once, and counted in
    ``asyncmetrics_single_worker_collections_total``.

    Raises `DefinitionError` (a ValueError) while `asyncmetrics.prometheus_client.install` is in force,
    `DuplicateMetricError` if one of the families is in ``registry`` already, and `MissingExtraError` if
    prometheus_client is needed and not installed.
    """

    def __init__(
        self,
        source: TheirCollector | None = None,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        leave_out: Iterable[str] = SHARED_FAMILIES,
    ) -> None:
        self._source: TheirCollector = _import_prometheus_client().REGISTRY if source is None else source
        self._registry = registry
        self._leave_out = frozenset(leave_out)
        if registry is not None:
            registry.register(self)

    def collect(self) -> list[Metric]:
        """Return prometheus_client's families as ours."""
        return _collect_once(self._source, self._registry, self._families)

    def describe(self) -> list[Metric]:
        """Return the current families without samples."""
        return [Metric(family.name, family.documentation, family.type, family.unit) for family in self.collect()]

    def _families(self) -> Iterator[Metric]:
        for family in self._collect_source():
            if family.name not in self._leave_out and (ours := _to_our_family(family)) is not None:
                yield ours

    def _collect_source(self) -> Iterator[Any]:
        """Yield the families of the source, those of metrics with the numbers of all workers if there are any."""
        values = sys.modules.get("prometheus_client.values")
        if values is None or not _has_metrics(self._source):
            yield from self._source.collect()
        elif values.ValueClass._multiprocess:
            yield from self._collect_all_workers()
        else:
            if self._registry is not None and len(self._registry.storage.list_processes()) > 1:
                get_self_metrics(self._registry).count_single_worker(type(self).__name__, _ADVICE)
            yield from self._source.collect()

    def _collect_all_workers(self) -> Iterator[Any]:
        library = importlib.import_module("prometheus_client.multiprocess")
        merged = {family.name: family for family in library.MultiProcessCollector(None).collect()}
        for family in self._source.collect():
            yield merged.pop(family.name, family)
        if self._source is _import_prometheus_client().REGISTRY:
            yield from merged.values()  # what this worker has not declared


@final
class AsyncmetricsCollector:
    """A collector for prometheus_client that collects one of our registries, and registers with one of the library's.

    ``source`` is our default registry unless another is given, and ``registry`` is prometheus_client's. Families with a
    name of ``leave_out`` are left out. Async collectors run on their home loops, see `CollectorRegistry.register`.

    Raises prometheus_client's ``DuplicateTimeseries`` (a ValueError) if one of the families is in ``registry`` already,
    `DefinitionError` while `asyncmetrics.prometheus_client.install` is in force, and `MissingExtraError`
    if prometheus_client is not installed.
    """

    def __init__(
        self,
        source: Collectable = REGISTRY,
        registry: TheirRegistry | None = None,
        *,
        leave_out: Iterable[str] = SHARED_FAMILIES,
    ) -> None:
        check_registry(source)
        self._library = _import_prometheus_client()
        self._source = source
        self._registry: TheirRegistry = self._library.REGISTRY if registry is None else registry
        self._leave_out = frozenset(leave_out)
        self._registry.register(self)

    def collect(self) -> list[Any]:
        """Return our families as prometheus_client's."""
        return _collect_once(self._source, self._registry, self._families)

    def describe(self) -> list[Any]:
        """Return the families that our collectors describe, without samples; nothing is collected for that."""
        return _collect_once(self._source, self._registry, self._described)

    def _described(self) -> Iterator[Any]:
        for collector in begin_collection(self._source).collectors:
            describe: Callable[[], Iterable[Metric]] | None = getattr(collector, "describe", None)
            for family in () if describe is None else describe():
                if family.name not in self._leave_out:
                    yield self._library.Metric(family.name, family.documentation, family.type, family.unit)

    def _families(self) -> Iterator[Any]:
        samples = importlib.import_module("prometheus_client.samples")
        for family in collect_within(self._source):
            if family.name not in self._leave_out:
                name, documentation = clean_text(family.name), clean_text(str(family.documentation))
                theirs = self._library.Metric(name, documentation, family.type)
                theirs.unit = family.unit
                theirs.samples = list(_to_their_samples(family, samples))
                yield theirs


def _import_prometheus_client() -> Any:
    try:
        library = importlib.import_module("prometheus_client")
    except ImportError as error:
        raise MissingExtraError("this bridge", "prometheus_client", "prometheus-client") from error
    if library.__name__ != "prometheus_client":
        problem = "asyncmetrics.prometheus_client is installed in its place, so there is nothing to bridge: remove this"
        raise DefinitionError("prometheus_client", problem)
    return library


def _has_metrics(source: TheirCollector) -> bool:
    """Return whether ``source`` is a metric of prometheus_client, or a registry with one."""
    kind = importlib.import_module("prometheus_client.metrics").MetricWrapperBase
    collectors = list(getattr(source, "_collector_to_names", (source,)))
    return any(isinstance(collector, kind) for collector in collectors)


def _collect_once(source: object, target: object, families: Callable[[], Iterable[T]]) -> list[T]:
    """Return ``families()``, or nothing if the current collection has gone through ``source`` already."""
    crossed = _CROSSED.get()
    if id(source) in crossed:
        return []
    token = _CROSSED.set(crossed | {id(source), id(target)})
    try:
        return list(families())
    finally:
        _CROSSED.reset(token)


def _to_our_family(family: Any) -> Metric | None:
    """Return a family of prometheus_client as ours, or None if it cannot be exposed."""
    try:
        ours = Metric(family.name, family.documentation, family.type, family.unit)
    except DefinitionError:
        return None
    if find_family_problem(ours):
        return None
    samples = (sample for sample in family.samples if not getattr(sample, "native_histogram", None))
    ours.samples = [_to_our_sample(sample) for sample in samples]
    return ours


def _to_our_sample(sample: Any) -> Sample:
    exemplar = sample.exemplar and Exemplar(
        dict(sample.exemplar.labels), sample.exemplar.value, _convert_time(Timestamp, sample.exemplar.timestamp)
    )
    return Sample(sample.name, dict(sample.labels), sample.value, _convert_time(Timestamp, sample.timestamp), exemplar)


def _to_their_samples(family: Metric, samples: Any) -> Iterator[Any]:
    """Yield the samples of ``family`` as prometheus_client's, without those that it could not write."""
    # prometheus_client refuses the whole exposition for an exemplar on any other sample.
    suffixes = tuple(KINDS[family.type].exemplars) if family.type in KINDS else ()
    for sample in family.samples:
        if getattr(sample, "native_histogram", None) is not None:
            continue  # prometheus_client would write its count as a line of a text
        try:
            exemplar = sample.exemplar if sample.name.endswith(suffixes) else None
            yield samples.Sample(
                clean_text(sample.name),
                _to_label_texts(sample.labels),
                float(sample.value),
                _convert_time(samples.Timestamp, sample.timestamp),
                exemplar
                and samples.Exemplar(
                    _to_label_texts(exemplar.labels),
                    float(exemplar.value),
                    _convert_time(samples.Timestamp, exemplar.timestamp),
                ),
            )
        except Exception:  # noqa: BLE001, S112  # a collector's own objects may raise anything: leave out the sample
            continue


def _to_label_texts(labels: Any) -> dict[str, str]:
    return {to_label_text(name): to_label_text(text) for name, text in labels.items()}


def _convert_time(kind: Callable[[int, int], T], timestamp: Any) -> float | T | None:
    """Return a number or None unchanged, and a timestamp of the other library as a ``kind``."""
    if timestamp is None or isinstance(timestamp, (int, float)):
        return timestamp
    return kind(timestamp.sec, abs(timestamp.nsec))
