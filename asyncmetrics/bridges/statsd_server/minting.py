"""`Mint`: the metrics that lines bring into being.

*Rules.*

1. Leave the metrics of the application alone: a line whose name belongs to one of them is refused.
2. The first line of a metric decides its labels. A later line may lack some of them; they are empty then, and not
   exposed. It may not have others: the labels of a metric are fixed, so it is refused. ``tags`` names all of them in
   advance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, final
from weakref import WeakKeyDictionary, ref

from asyncmetrics.bridges.statsd_server.changes import Change, make_count, make_gauge, make_histogram, make_summary
from asyncmetrics.bridges.statsd_server.mapper import Mapped, Mapper
from asyncmetrics.bridges.statsd_server.outcomes import Refused
from asyncmetrics.bridges.statsd_server.protocol import Series
from asyncmetrics.bridges.statsd_server.rules import LineKind, Rule
from asyncmetrics.bridges.statsd_server.sets import Sets
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.metrics import Counter, Gauge, Histogram, Summary
from asyncmetrics.registry import CollectorRegistry

__all__ = ("Limits", "Mint")

_Metric: TypeAlias = Counter | Gauge | Histogram | Summary
_OWN = "asyncmetrics_"

# A second server of the registry, or one that starts again, goes on with the metrics of the first one. The registry
# keeps the metrics, which refer to it: strong references here would keep it as well.
_MINTED: WeakKeyDictionary[CollectorRegistry, dict[str, tuple[LineKind, ref[_Metric]]]] = WeakKeyDictionary()


@final
class Limits(NamedTuple):
    """What bounds a server: see `StatsDServer`, whose options these are."""

    max_names: int
    max_children: int
    max_set_members: int
    max_line_bytes: int
    max_queued_bytes: int


@final
class Mint:
    """Find the child that a line changes, and what the line does to it; make the metric if it is new."""

    def __init__(
        self,
        registry: CollectorRegistry,
        mapper: Mapper,
        sets: Sets,
        limits: Limits,
        namespace: str = "",
        tags: tuple[str, ...] | None = None,
    ) -> None:
        self._registry = registry
        self._mapper = mapper
        self._sets = sets
        self._limits = limits
        self._namespace = namespace
        self._tags = tags
        self._metrics = _MINTED.setdefault(registry, {})

    def find_change(self, series: Series) -> Change:
        """Return what a value of ``series`` does. Raises `Refused`."""
        mapped = self._mapper.find(series.name, series.kind)
        rule = mapped.rule
        if rule.is_dropped:
            raise Refused("dropped")
        labels = self._merge_labels(series, mapped)
        metric = self._find_metric(mapped, series.kind, labels)
        values = {name: labels.pop(name, "") for name in metric.descriptor.labelnames}
        if labels:
            raise Refused("labels")
        child: Any = metric.labels(**values)
        factor = series.factor * rule.scale
        match metric:
            case Counter():
                return make_count(child, factor, series.rate)
            case Histogram():
                return make_histogram(child, factor, series.rate, metric.descriptor.buckets)
            case Summary():
                return make_summary(child, factor, series.rate)
            case _ if series.kind == "set":
                return self._sets.make_change(child)
            case _:
                return make_gauge(child, factor, series.rate)

    def _merge_labels(self, series: Series, mapped: Mapped) -> dict[str, str]:
        tags = {name: value for name, value in series.tags.items() if self._tags is None or name in self._tags}
        return {**mapped.labels, **tags} if mapped.rule.honors_tags else {**tags, **mapped.labels}

    def _find_metric(self, mapped: Mapped, kind: LineKind, labels: dict[str, str]) -> _Metric:
        # A counter's family has no ``_total``, so ``a|c`` and ``a_total|c`` are one metric.
        name = mapped.name.removesuffix("_total") if kind == "counter" else mapped.name
        known_kind, find = self._metrics.get(name, (kind, None))
        metric = None if find is None else find()
        if metric is None:
            return self._make_metric(name, mapped.rule, kind, labels)
        if known_kind != kind:
            raise Refused("conflict")
        return metric

    def _make_metric(self, name: str, rule: Rule, kind: LineKind, labels: dict[str, str]) -> _Metric:
        if f"{self._namespace}_{name}".lstrip("_").startswith(_OWN):
            raise Refused("conflict")
        if len(self._metrics) >= self._limits.max_names:
            raise Refused("limit")
        labelnames = sorted({*labels, *(self._tags or ())})
        options: dict[str, Any] = {
            "namespace": self._namespace,
            "registry": self._registry,
            "omit_empty": True,
            "max_children": self._limits.max_children,
            "ttl": rule.ttl,
        }
        try:
            metric = _MAKERS[kind](name, rule, labelnames, options)
        except DuplicateMetricError:
            raise Refused("conflict") from None
        except DefinitionError:  # a label such as ``le``, or a name that only has ``_total``
            raise Refused("tags" if labels else "malformed") from None
        self._metrics[name] = kind, ref(metric)
        return metric


def _make_counter(name: str, rule: Rule, labelnames: list[str], options: dict[str, Any]) -> _Metric:
    return Counter(name, rule.help or "Counter of StatsD.", labelnames, **options)


def _make_gauge(name: str, rule: Rule, labelnames: list[str], options: dict[str, Any]) -> _Metric:
    # The worker that owns the port is the only one that sets it, so what was set last is right, also after its death.
    return Gauge(name, rule.help or "Gauge of StatsD.", labelnames, multiprocess_mode="mostrecent", **options)


def _make_set(name: str, rule: Rule, labelnames: list[str], options: dict[str, Any]) -> _Metric:
    documentation = rule.help or "Distinct members of a set of StatsD in the last interval."
    return Gauge(name, documentation, labelnames, multiprocess_mode="mostrecent", **options)


def _make_observer(name: str, rule: Rule, labelnames: list[str], options: dict[str, Any]) -> _Metric:
    documentation = rule.help or "Observations of StatsD."
    if rule.observer == "summary":
        return Summary(name, documentation, labelnames, **options)
    buckets = Histogram.DEFAULT_BUCKETS if rule.buckets is None else rule.buckets
    return Histogram(name, documentation, labelnames, buckets=buckets, **options)


_MAKERS: dict[LineKind, Callable[[str, Rule, list[str], dict[str, Any]], _Metric]] = {
    "counter": _make_counter,
    "gauge": _make_gauge,
    "observer": _make_observer,
    "set": _make_set,
}
