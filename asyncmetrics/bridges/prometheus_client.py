"""prometheus_client beside asyncmetrics in one process: the metrics of either, exposed by the other.

A library that registers its metrics with prometheus_client goes on doing so, and one line exposes them with ours::

    PrometheusClientCollector()  # all that is in prometheus_client.REGISTRY, now and later

The other way round, a program that serves prometheus_client's registry serves ours with it::

    AsyncmetricsCollector()

Labels, values, timestamps, exemplars and ``_created`` samples come over as they are, documentation and units as well.

*Rules.* Both may be in use at once: what has come over one bridge is not sent back over the other. What both libraries
collect about the process by themselves stays where it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, final

from asyncmetrics.errors import DefinitionError, MissingExtraError
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import clean_text, to_label_text
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp
from asyncmetrics.registry import REGISTRY, Collectable, CollectorRegistry

__all__ = ("SHARED_FAMILIES", "AsyncmetricsCollector", "PrometheusClientCollector", "TheirCollector", "TheirRegistry")

SHARED_FAMILIES = frozenset(
    {
        *(f"process_{what}" for what in ("cpu_seconds", "max_fds", "open_fds", "start_time_seconds")),
        *(f"process_{what}_memory_bytes" for what in ("resident", "virtual")),
        *(f"python_gc_{what}" for what in ("collections", "objects_collected", "objects_uncollectable")),
        "python_info",
    }
)
"""The families that both libraries collect by themselves in their default registries."""

_EXEMPLARS_AT = {"counter": "_total", "histogram": "_bucket", "gaugehistogram": "_bucket"}

# The registries that a collection under way, here or further up, takes from or gives to.
_CROSSED: ContextVar[frozenset[int]] = ContextVar("asyncmetrics_crossed_registries", default=frozenset())

M = TypeVar("M")


class TheirCollector(Protocol):
    """A collector or a registry of prometheus_client: what has ``collect``."""

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
    """Collect what a registry or a collector of prometheus_client collects, and register with ``registry``.

    ``source`` is prometheus_client's default registry unless another, or a single collector, is given.
    ``registry=None`` registers nowhere. Families called one of ``leave_out`` stay behind, and so do native histograms
    and what has no name that can be written.

    Raises `DuplicateMetricError` if one of the families is in ``registry`` already, and `MissingExtraError` if
    prometheus_client is needed and not installed.
    """

    def __init__(
        self,
        source: TheirCollector | None = None,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        leave_out: Iterable[str] = SHARED_FAMILIES,
    ) -> None:
        self._source: TheirCollector = _prometheus_client().REGISTRY if source is None else source
        self._registry = registry
        self._leave_out = frozenset(leave_out)
        if registry is not None:
            registry.register(self)

    def collect(self) -> list[Metric]:
        """Return their families as ours."""
        return _crossing(self._source, self._registry, self._families)

    def describe(self) -> list[Metric]:
        """Return the families of this moment without samples."""
        return [Metric(found.name, found.documentation, found.type, found.unit) for found in self.collect()]

    def _families(self) -> Iterator[Metric]:
        for theirs in self._source.collect():
            if theirs.name not in self._leave_out and (ours := _ours(theirs)) is not None:
                yield ours


@final
class AsyncmetricsCollector:
    """A collector for prometheus_client that collects one of our registries, and registers with one of theirs.

    ``source`` is our default registry unless another is given, and ``registry`` is theirs. Families called one of
    ``leave_out`` stay behind. Collectors that are async run in a private loop.

    Raises prometheus_client's ``DuplicateTimeseries`` (a ValueError) if one of the families is in ``registry`` already,
    and `MissingExtraError` if prometheus_client is not installed.
    """

    def __init__(
        self,
        source: Collectable = REGISTRY,
        registry: TheirRegistry | None = None,
        *,
        leave_out: Iterable[str] = SHARED_FAMILIES,
    ) -> None:
        self._theirs = _prometheus_client()
        self._source = source
        self._registry: TheirRegistry = self._theirs.REGISTRY if registry is None else registry
        self._leave_out = frozenset(leave_out)
        self._registry.register(self)

    def collect(self) -> list[Any]:
        """Return our families as theirs."""
        return _crossing(self._source, self._registry, self._families)

    def describe(self) -> list[Any]:
        """Return the families of this moment without samples."""
        make = self._theirs.Metric
        return [make(found.name, found.documentation, found.type, found.unit) for found in self.collect()]

    def _families(self) -> Iterator[Any]:
        for ours in self._source.collect():
            if ours.name not in self._leave_out:
                family = self._theirs.Metric(clean_text(ours.name), clean_text(str(ours.documentation)), ours.type)
                family.unit = ours.unit
                family.samples = list(_theirs(ours, importlib.import_module("prometheus_client.samples")))
                yield family


def _prometheus_client() -> Any:
    try:
        return importlib.import_module("prometheus_client")
    except ImportError as error:
        raise MissingExtraError("this bridge", "prometheus_client", "prometheus-client") from error


def _crossing(source: object, target: object, families: Callable[[], Iterable[M]]) -> list[M]:
    """Return ``families()``, or nothing where this collection has come from ``source`` or gone through it already."""
    crossed = _CROSSED.get()
    if id(source) in crossed:
        return []
    token = _CROSSED.set(crossed | {id(source), id(target)})
    try:
        return list(families())
    finally:
        _CROSSED.reset(token)


def _ours(family: Any) -> Metric | None:
    try:
        ours = Metric(family.name, family.documentation, family.type, family.unit)
    except DefinitionError:
        return None
    ours.samples = [_our_sample(sample) for sample in family.samples if not getattr(sample, "native_histogram", None)]
    return ours


def _our_sample(sample: Any) -> Sample:
    exemplar = sample.exemplar and Exemplar(
        dict(sample.exemplar.labels), sample.exemplar.value, _time(Timestamp, sample.exemplar.timestamp)
    )
    return Sample(sample.name, dict(sample.labels), sample.value, _time(Timestamp, sample.timestamp), exemplar)


def _theirs(family: Metric, samples: Any) -> Iterator[Any]:
    """Yield samples as theirs: what could not be written there, and would cost the whole exposition, is left out."""
    where = _EXEMPLARS_AT.get(family.type)
    for sample in family.samples:
        try:
            exemplar = sample.exemplar if where and sample.name.endswith(where) else None
            yield samples.Sample(
                clean_text(sample.name),
                _texts(sample.labels),
                float(sample.value),
                _time(samples.Timestamp, sample.timestamp),
                exemplar
                and samples.Exemplar(
                    _texts(exemplar.labels), float(exemplar.value), _time(samples.Timestamp, exemplar.timestamp)
                ),
            )
        except Exception:  # noqa: BLE001, S112  # whatever a collector's own objects raise: a bad sample costs itself
            continue


def _texts(labels: Any) -> dict[str, str]:
    return {to_label_text(name): to_label_text(text) for name, text in labels.items()}


def _time(kind: Callable[[int, int], M], timestamp: Any) -> float | M | None:
    """Return a time as it is, but that one of the other library's becomes a ``kind``."""
    if timestamp is None or isinstance(timestamp, (int, float)):
        return timestamp
    return kind(timestamp.sec, abs(timestamp.nsec))
