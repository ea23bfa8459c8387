"""`MeterProvider`: OpenTelemetry's meters, whose numbers are in a registry of this library."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, final

from opentelemetry import metrics as api

from asyncmetrics.bridges.opentelemetry.family import InstrumentFamily, OtherWorkersInstruments
from asyncmetrics.bridges.opentelemetry.meter import InstrumentKind, Meter
from asyncmetrics.bridges.opentelemetry.naming import make_name, make_scope_labels, make_unit
from asyncmetrics.bridges.opentelemetry.recording import Attributes
from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Histogram
from asyncmetrics.model.checks import check_flag, check_limit
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import check_namespace, clean_text
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("MeterProvider",)

_log = logging.getLogger("asyncmetrics")
_SPACE = "opentelemetry"

# The default of OpenTelemetry's SDK ("Explicit Bucket Histogram Aggregation"), for units other than seconds.
_BUCKETS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
_INFINITY = float("inf")


@final
class MeterProvider(api.MeterProvider):
    """Let what libraries measure through OpenTelemetry's API land in ``registry``; its SDK is not needed.

    ``opentelemetry.metrics.set_meter_provider(MeterProvider())`` is enough, before or after the libraries have made
    their instruments. Names begin with ``namespace`` and follow OpenTelemetry's compatibility specification:
    ``http.server.request.duration`` in ``s`` becomes ``otel_http_server_request_duration_seconds``. With
    ``scope_labels``, each series has the labels ``otel_scope_name``, ``otel_scope_version`` and so on, of the library
    that measures. With ``max_children`` label sets of a name in a process, all new ones share the series with the label
    ``otel_metric_overflow="true"``. ``native`` makes each histogram a native one as well, of the default resolution
    (True) or of a schema. ``exemplars`` is where the exemplars of counters and histograms come from, as for `Counter`
    and `Histogram`.

    Raises `DefinitionError` for wrong options. What libraries do later raises nothing: see
    ``asyncmetrics_dropped_observations_total`` and ``asyncmetrics_internal_errors_total{where="opentelemetry"}``.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        namespace: str = "otel",
        scope_labels: bool = True,
        max_children: int | None = 2000,  # "Cardinality limits" of OpenTelemetry's Metrics SDK specification
        native: bool | int = False,
        exemplars: ExemplarSource | None = None,
    ) -> None:
        check_full_registry(registry)
        check_namespace(namespace)
        check_flag("scope_labels", scope_labels)
        if max_children is not None:
            check_limit("max_children", max_children)
        self._registry = registry
        self._namespace = namespace
        self._has_scope_labels = scope_labels
        self._max_children = max_children
        self._exemplars = find_provider(exemplars)
        self._native = Histogram("otel", "Checks native.", native=native, registry=None).descriptor.native
        self._events = get_self_metrics(registry)
        self._storage = registry.storage.named(_SPACE)
        self._others = OtherWorkersInstruments(self._storage, self._events)
        self._meters: dict[tuple[object, ...], Meter] = {}
        self._reported: set[str] = set()
        self._is_shut_down = False
        registry.register(self._others)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Meter:
        """Return the meter of an instrumentation scope: the same one for the same arguments."""
        try:
            scope = make_scope_labels(name, version, schema_url, attributes)
        except Exception as error:  # noqa: BLE001  # attributes may be anything
            pass_interruption(error)
            self._report(name, error)
            scope = make_scope_labels(show(name), None, None, None)
        key = tuple(scope.items())
        meter = self._meters.get(key)
        if meter is None:
            new = Meter(
                name,
                version,
                schema_url,
                scope=scope if self._has_scope_labels else {},
                open_family=self._open_family,
                report=self._report,
            )
            meter = self._meters.setdefault(key, new)
        return meter

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002  # the SDK's signature
        """Expose the instruments no longer; they keep working."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        for family in list(self._others.families.values()):
            self._others.families.pop(family.descriptor.name, None)
            self._registry.unregister(family)
        self._registry.unregister(self._others)

    def force_flush(self, timeout_millis: float = 30_000, **_: Any) -> bool:  # noqa: ARG002  # as above
        """Do nothing and return True: there is nothing to send."""
        return True

    def _open_family(
        self, kind: InstrumentKind, name: str, unit: str, description: str, buckets: Sequence[float] | None
    ) -> InstrumentFamily:
        """Return the family of an instrument; register it if it is new. Raises if it cannot be exposed."""
        if self._is_shut_down:
            raise DefinitionError("MeterProvider", "it is shut down")
        word = make_unit(unit or "", is_gauge=kind.has_ratio)
        family_name = make_name(kind.kind, name.strip(), word, self._namespace)
        known = self._others.families.get(family_name)
        if known is not None:
            descriptor = known.descriptor
            if (descriptor.kind, descriptor.mode) != (kind.kind, kind.mode):
                raise DefinitionError(descriptor.exposed_name, "another instrument of this name is of another kind")
            return known
        is_histogram = kind.kind == "histogram"
        descriptor = Descriptor(
            kind.kind,
            family_name,
            clean_text(description or ""),
            unit=word,
            buckets=_choose_buckets(buckets, word) if is_histogram else (),
            mode=kind.mode,
            native=self._native if is_histogram else None,
            exemplars=self._exemplars if KINDS[kind.kind].exemplars else None,
        )
        family = InstrumentFamily(
            descriptor, self._storage, self._events, self._others, max_children=self._max_children
        )
        return self._register(family)

    def _register(self, family: InstrumentFamily) -> InstrumentFamily:
        """Register a family; return the one of its name that another thread may have made meanwhile."""
        name = family.descriptor.name
        first = self._others.families.setdefault(name, family)
        if first is family:
            try:
                self._registry.register(family)
            except BaseException:
                self._others.families.pop(name, None)
                raise
        return first

    def _report(self, name: object, error: Exception) -> None:
        """Count an instrument that cannot be measured; log the first time for each name."""
        self._events.count_internal_error("opentelemetry", is_logged=False)
        text = show(name)
        if text not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(text)
            _log.warning("the instrument %s of OpenTelemetry is not measured: %s", text, error)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self._namespace!r})"


_MAX_REPORTED = 1000  # names of instruments


def _choose_buckets(advisory: Sequence[float] | None, unit: str) -> tuple[float, ...]:
    """Return the bounds that a library advises, if they are some, or the default ones for the unit."""
    default = Histogram.DEFAULT_BUCKETS if unit == "seconds" else (*_BUCKETS, _INFINITY)
    bounds = sorted({float(bound) for bound in advisory or ()})
    finite = [bound for bound in bounds if -_INFINITY < bound < _INFINITY]
    return (*finite, _INFINITY) if finite else default
