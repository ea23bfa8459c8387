"""Panels for the metrics of the user's own, by their kind and unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asyncmetrics.dashboards.declared import Declared
from asyncmetrics.dashboards.panels.table import Panel, Query, Row
from asyncmetrics.dashboards.promql import Dialect, escape_text, select_metric, write_labels

__all__ = ("AUTO", "make_own_rows")

AUTO = "__auto"
"""The legend with which Grafana names series by the labels in which they differ."""

_QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
_OF_THE_TARGET = frozenset({"instance", "job"})  # a sum is over the targets that are chosen

_POINTS_IN_TIME = ("_timestamp_seconds", "_start_time_seconds", "_boot_time_seconds")

# Grafana's units of a value by the end of a metric's name, and of the rate of such values.
_UNITS = {
    "seconds": ("s", "percentunit"),
    "milliseconds": ("ms", "short"),
    "ms": ("ms", "short"),
    "minutes": ("m", "short"),
    "hours": ("h", "short"),
    "bytes": ("bytes", "Bps"),
    "ratio": ("percentunit", "short"),
    "percent": ("percent", "short"),
    "celsius": ("celsius", "short"),
    "meters": ("lengthm", "velocityms"),
    "volts": ("volt", "short"),
    "amperes": ("amp", "short"),
    "joules": ("joule", "watt"),
    "grams": ("massg", "short"),
}


def make_own_rows(metrics: Sequence[Declared], dialect: Dialect) -> list[Row]:
    """Return a row for each kind of metric in ``metrics``, with at least one panel for each metric."""
    rows = []
    for title, kinds in _ROWS.items():
        panels = [panel for one in metrics if one.kind in kinds for panel in _MAKERS[one.kind](one, dialect)]
        if panels:
            rows.append(Row(title, tuple(panels)))
    return rows


def _find_unit(metric: Declared, *, is_rate: bool = False) -> str:
    ends = (metric.unit, metric.name.removesuffix("_total").rpartition("_")[2])
    units = next((_UNITS[end] for end in ends if end in _UNITS), ("short", "cps"))
    return units[is_rate]


def _title(name: str, what: str = "") -> str:
    return escape_text(f"{name}: {what}" if what else name)


def _by(metric: Declared) -> str:
    """Return the clause that keeps the labels of the metric; all but the instance if they are unknown."""
    if metric.labels is None:
        return " without (instance) "
    labels = write_labels(metric.labels - _OF_THE_TARGET)
    return f" by ({labels}) " if labels else ""


def _sum_rate(metric: Declared, sample: str, dialect: Dialect) -> str:
    return f"sum{_by(metric)}(rate({select_metric(metric, sample, dialect)}[{dialect.window}]))"


def _make_counter(metric: Declared, dialect: Dialect) -> list[Panel]:
    sample = metric.find("_total", "")
    query = Query(_sum_rate(metric, sample, dialect), AUTO)
    return [Panel(_title(sample, "rate"), _find_unit(metric, is_rate=True), (query,), metric.help)]


def _make_gauge(metric: Declared, dialect: Dialect) -> list[Panel]:
    selector = select_metric(metric, metric.name, dialect)
    if metric.name.endswith(_POINTS_IN_TIME):
        return [Panel(_title(metric.name, "time since"), "s", (Query(f"time() - {selector}", AUTO),), metric.help)]
    return [Panel(_title(metric.name), _find_unit(metric), (Query(selector, AUTO),), metric.help)]


def _make_unknown(metric: Declared, dialect: Dialect) -> list[Panel]:
    return _make_counter(metric, dialect) if metric.name.endswith("_total") else _make_gauge(metric, dialect)


def _make_histogram(metric: Declared, dialect: Dialect) -> list[Panel]:
    return _make_distribution(metric, dialect, lambda selector: f"rate({selector}[{dialect.window}])")


def _make_gauge_histogram(metric: Declared, dialect: Dialect) -> list[Panel]:
    return _make_distribution(metric, dialect, str)


def _make_distribution(metric: Declared, dialect: Dialect, read: Callable[[str], str]) -> list[Panel]:
    """Return the quantiles, the heatmap and the rate of a histogram; ``read`` makes the values of a selector."""
    panels: list[Panel] = []
    if metric.is_native:
        rate = read(select_metric(metric, metric.name, dialect))
        panels += _make_shape(metric, f"sum({rate})", "")
        return [*panels, _make_observations(metric, f"sum{_by(metric)}(histogram_count({rate}))")]
    if bucket := metric.find("_bucket"):
        panels += _make_shape(metric, f"sum by (le) ({read(select_metric(metric, bucket, dialect))})", "{{le}}")
    if metric.kind == "histogram" and (count := metric.find("_count")):
        panels.append(_make_observations(metric, _sum_rate(metric, count, dialect)))
    return panels or _make_values(metric, dialect)


def _make_shape(metric: Declared, buckets: str, legend: str) -> tuple[Panel, Panel]:
    """Return the quantiles and the heatmap of the ``buckets`` of a histogram."""
    unit = _find_unit(metric)
    counts = buckets.replace("rate(", "increase(", 1)
    quantiles = tuple(Query(f"histogram_quantile({share}, {buckets})", name) for share, name in _QUANTILES)
    return (
        Panel(_title(metric.name, "p50, p95, p99"), unit, quantiles, metric.help),
        Panel(_title(metric.name, "heatmap"), unit, (Query(counts, legend),), metric.help, "heatmap"),
    )


def _make_observations(metric: Declared, rate: str) -> Panel:
    return Panel(_title(metric.name, "observations"), "cps", (Query(rate, AUTO),), metric.help)


def _make_summary(metric: Declared, dialect: Dialect) -> list[Panel]:
    unit, panels = _find_unit(metric), []
    total, count = metric.find("_sum"), metric.find("_count")
    if total and count:
        rates = [_sum_rate(metric, sample, dialect) for sample in (total, count)]
        mean = Query(f"{rates[0]} / ({rates[1]} > 0)", AUTO)
        panels.append(Panel(_title(metric.name, "mean"), unit, (mean,), metric.help))
    if count:
        panels.append(_make_observations(metric, _sum_rate(metric, count, dialect)))
    if metric.has_quantiles and metric.find(""):
        query = Query(select_metric(metric, metric.name, dialect), AUTO)
        panels.append(Panel(_title(metric.name, "quantiles"), unit, (query,), metric.help))
    return panels or _make_values(metric, dialect)


def _make_values(metric: Declared, dialect: Dialect) -> list[Panel]:
    """Return a panel of what a metric without the usual samples has."""
    queries = tuple(Query(select_metric(metric, sample, dialect), AUTO) for sample in sorted(metric.samples))
    return [Panel(_title(metric.name), "short", queries, metric.help)] if queries else []


def _make_info(metric: Declared, dialect: Dialect) -> list[Panel]:
    sample = metric.find("_info", "")
    return [Panel(_title(sample), "short", (Query(select_metric(metric, sample, dialect)),), metric.help, "table")]


def _make_states(metric: Declared, dialect: Dialect) -> list[Panel]:
    query = Query(select_metric(metric, metric.name, dialect), AUTO)
    return [Panel(_title(metric.name), "short", (query,), metric.help, "states")]


_ROWS: dict[str, frozenset[str]] = {
    "Own counters": frozenset({"counter"}),
    "Own histograms": frozenset({"histogram", "gaugehistogram"}),
    "Own summaries": frozenset({"summary"}),
    "Own gauges": frozenset({"gauge", "unknown"}),
    "Own states": frozenset({"stateset"}),
    "Own facts": frozenset({"info"}),
}

_MAKERS: dict[str, Callable[[Declared, Dialect], list[Panel]]] = {
    "counter": _make_counter,
    "gauge": _make_gauge,
    "unknown": _make_unknown,
    "histogram": _make_histogram,
    "gaugehistogram": _make_gauge_histogram,
    "summary": _make_summary,
    "stateset": _make_states,
    "info": _make_info,
}
