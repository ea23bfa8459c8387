"""Choose the rows of a dashboard: those of the table that a source has metrics for, and those of the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from asyncmetrics.dashboards.declared import Declared
from asyncmetrics.dashboards.native import read_native
from asyncmetrics.dashboards.panels.own import make_own_rows
from asyncmetrics.dashboards.panels.subjects import KNOWN_SAMPLES, ROWS_AFTER_OWN, ROWS_BEFORE_OWN
from asyncmetrics.dashboards.panels.table import SAMPLE, WINDOW, Panel, Query, Row, list_samples
from asyncmetrics.dashboards.promql import Dialect, escape_text, select_metric

__all__ = ("choose_rows", "find_label")

# A name that is as general as these is one of the library's only if the metric has this label.
_TELLING_LABELS = {"queue_": "queue", "thread_pool_": "pool", "log_": "logger"}

# The names of labels in OpenTelemetry's conventions, which these metrics may have.
_CONVENTIONAL = ("http_", "websocket_", "db_", "log_exceptions")
_ALIASES: dict[str, tuple[str, ...]] = {
    "method": ("http_request_method",),
    "route": ("http_route",),
    "status": ("http_response_status_code",),
    "type": ("error_type",),
    "server": ("server_address",),
    "system": ("db_system_name",),
    "operation": ("db_operation_name",),
    "pool": ("db_client_connection_pool_name",),
    "state": ("http_connection_state", "db_client_connection_state"),
}
_REQUEST_LABELS = frozenset({"route", "method", "status", "type"})
_REQUEST_ALIASES = frozenset(_ALIASES[label][0] for label in _REQUEST_LABELS)
_LONGEST_KNOWN = max(map(len, KNOWN_SAMPLES))
_LONGEST_PREFIX = 200  # a longer name is not searched: a hostile exporter may send a megabyte of underscores
_ALIASED = re.compile(rf"\b({'|'.join(_ALIASES)})\b")


@final
@dataclass(frozen=True, slots=True)
class _Named:
    """A metric of the table in the source, and the name of its samples there."""

    metric: Declared
    sample: str


def choose_rows(metrics: Sequence[Declared], dialect: Dialect) -> list[Row]:
    """Return the rows for ``metrics``. Their queries are PromQL, whose windows and filters are those of ``dialect``."""
    found = _find_known(metrics)
    used: set[str] = set()
    before = _choose_known(ROWS_BEFORE_OWN, found, dialect, used)
    after = _choose_known(ROWS_AFTER_OWN, found, dialect, used)
    own = [one for one in metrics if used.isdisjoint(one.samples)]
    return [*before, *make_own_rows(own, dialect), *after]


def find_label(metrics: Iterable[Declared], *labels: str) -> str:
    """Return the first of ``labels`` that one of the metrics has, or an empty text."""
    present = frozenset().union(*(one.labels or () for one in metrics))
    return next((label for label in labels if label in present), "")


def _find_known(metrics: Sequence[Declared]) -> dict[str, dict[str, _Named]]:
    """Return the metrics of the table that the source has: by the prefix of their names, and their sample's name."""
    found: dict[str, dict[str, _Named]] = {"": {}}
    is_conventional = bool(find_label(metrics, "http_route", "http_request_method"))
    for metric in metrics:
        for sample in sorted(metric.samples):
            known = _find_known_name(sample)
            prefix = sample.removesuffix(known)
            if known and _is_ours(metric, known, prefix):
                found.setdefault(prefix, {})[known] = _Named(_complete(metric, known, is_conventional), sample)
    return found


def _complete(metric: Declared, known: str, is_conventional: bool) -> Declared:
    """Return the metric with the labels of the middleware, if the source has no sample that shows them."""
    if metric.labels is not None or not known.startswith(("http_server_", "websocket_server_")):
        return metric
    return replace(metric, labels=_REQUEST_ALIASES if is_conventional else _REQUEST_LABELS)


def _find_known_name(sample: str) -> str:
    """Return the longest name of the table that ``sample`` ends with, after ``_`` or at the beginning."""
    name = sample if len(sample) <= _LONGEST_KNOWN + _LONGEST_PREFIX else ""
    while name and name not in KNOWN_SAMPLES:
        name = name.partition("_")[2]
    return name


def _is_ours(metric: Declared, known: str, prefix: str) -> bool:
    label = next((label for start, label in _TELLING_LABELS.items() if known.startswith(start)), "")
    if not label or (metric.labels is None and not prefix):
        return True
    return metric.has(label) or any(metric.has(alias) for alias in _ALIASES.get(label, ()))


def _choose_known(
    rows: Sequence[Row], found: Mapping[str, Mapping[str, _Named]], dialect: Dialect, used: set[str]
) -> list[Row]:
    """Return the rows of the table for what was found, and add the names of the samples in them to ``used``."""
    chosen = []
    for row in rows:
        panels = [
            panel
            for wanted in row.panels
            for prefix, names in found.items()
            if (panel := _choose_panel(wanted, prefix, names, dialect, used))
        ]
        if panels:
            chosen.append(Row(row.title, tuple(panels)))
    return chosen


def _choose_panel(
    panel: Panel, prefix: str, names: Mapping[str, _Named], dialect: Dialect, used: set[str]
) -> Panel | None:
    chosen = [query for query in panel.queries if _is_declared(query, panel.label, names)]
    if not chosen:
        return None
    used.update(names[name].sample for query in chosen for name in list_samples(query.expression))
    queries = [_resolve(query, names, dialect) for query in chosen]
    title = f"{panel.title} ({escape_text(prefix.rstrip('_'))})" if prefix else panel.title
    return Panel(title, panel.unit, tuple(queries), panel.help, panel.kind)


def _is_declared(query: Query, label: str, names: Mapping[str, _Named]) -> bool:
    found = [names.get(name) for name in list_samples(query.expression)]
    return all(one is not None and (not label or one.metric.has(label)) for one in found)


def _resolve(query: Query, names: Mapping[str, _Named], dialect: Dialect) -> Query:
    """Write the names of the source into a query of the table."""
    samples = list_samples(query.expression)
    labels = frozenset().union(*(names[name].metric.labels or () for name in samples))
    present = labels or frozenset().union(*(one.metric.labels or () for one in names.values()))
    renamed: dict[str, str] = {}
    if all(name.startswith(_CONVENTIONAL) for name in samples):
        for label, aliases in _ALIASES.items():
            if label not in present:
                renamed[label] = next((alias for alias in aliases if alias in present), label)

    def name_label(match: re.Match[str]) -> str:
        return renamed.get(match[1], match[1])

    def name_sample(match: re.Match[str]) -> str:
        known = names[match[1]]
        extra = [_ALIASED.sub(name_label, match[2])] if match[2] else []
        return select_metric(known.metric, known.sample, dialect, extra)

    parts = re.split(r"(<[a-z_0-9]+(?: [^<>]*)?>)", query.expression.replace(WINDOW, dialect.window))
    expression = "".join(
        SAMPLE.sub(name_sample, part) if part.startswith("<") and part.endswith(">") else _ALIASED.sub(name_label, part)
        for part in parts
    )
    natives = {names[name].metric.name for name in samples if names[name].metric.is_native}
    return Query(read_native(expression, natives), _ALIASED.sub(name_label, query.legend))
