"""The rules that apply to a source: those whose metrics it declares, with its namespace and its names of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from asyncmetrics.dashboards.native import read_native
from asyncmetrics.dashboards.rules.declared import Declared
from asyncmetrics.dashboards.rules.rule import Rule, RuleGroup, list_metrics, rename
from asyncmetrics.dashboards.rules.table import ALERTS, RECORDING

__all__ = ("CONVENTIONAL_LABELS", "Names", "select_groups")

CONVENTIONAL_LABELS = {
    "method": "http_request_method",
    "route": "http_route",
    "status": "http_response_status_code",
    "type": "error_type",
    "server": "server_address",
    "system": "db_system_name",
    "operation": "db_operation_name",
    "pool": "db_client_connection_pool_name",
    "state": "db_client_connection_state",
}
"""The names that ``conventions="opentelemetry"`` gives to labels, by their names without it."""

# The metrics whose labels follow a convention, and those whose names can begin with a namespace.
_CONVENTIONAL = re.compile(r"(?:http|websocket|db)_(?:server|client)_")
_PREFIXABLE = re.compile(
    r"(?:(?:http|websocket|db)_(?:server|client)|log|event_loop|thread_pool|queue|python_unhandled"
    r"|batch_job|periodic|heartbeat|health_check)_"
)
_READ = frozenset(name for group in (*RECORDING, *ALERTS) for rule in group.rules for name in list_metrics(rule.expr))
# The metrics of the library whose names end as that of another one: `thread_pool_queue_length` is no `queue_length`.
_LONGER = {name: [other for other in _READ if other.endswith(f"_{name}")] for name in _READ}
_ALWAYS = frozenset({"up"})  # Prometheus makes it for every target
# Other programs have metrics with names as general as these: one is the library's only if it has this label.
_TELLING_LABELS = {
    "queue_": "queue",
    "thread_pool_": "pool",
    "batch_job_": "batch_job",
    "periodic_": "periodic",
    "heartbeat_": "heartbeat",
    "health_check_": "check",
}
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\{([a-zA-Z_][a-zA-Z0-9_]*)(?:=~|!~|!=|=)")
# Only this library has this metric. It counts what goes wrong inside it in counters that begin with the first event.
_SIGN = "http_server_oldest_active_request_seconds"


@final
@dataclass(frozen=True, slots=True)
class Names:
    """The names that a source has for the metrics and labels of the library.

    ``namespace`` and ``conventions`` are what the user says; without it they are None, and the source shows them.
    ``natives`` are the names of the histograms that are read natively.
    """

    declared: Mapping[str, Declared]
    is_registry: bool
    namespace: str | None = None
    conventions: str | None = None
    natives: frozenset[str] = frozenset()

    def list_names(self, metric: str) -> list[str]:
        """Return the declared names of a metric: its own, and those with a namespace. The best one is the first."""
        if not _PREFIXABLE.match(metric):
            return [metric] if metric in self.declared else []
        # A server can send any name, and this one becomes part of an expression.
        pattern = re.compile(rf"(?:[a-zA-Z_][a-zA-Z0-9_]*_)?{metric}")
        found = [name for name in self.declared if pattern.fullmatch(name) and self._is_ours(name, metric)]
        wanted = f"{self.namespace}_{metric}" if self.namespace else metric
        if self.namespace is not None and wanted in found:
            return [wanted]
        return sorted(found, key=lambda name: (name != metric, name))

    def list_namespaces(self) -> list[str]:
        """Return the namespaces that the metrics of the library have in the source."""
        found = {name.removesuffix(metric).rstrip("_") for metric in _READ for name in self.list_names(metric)}
        return sorted(found - {""})

    def _is_ours(self, name: str, metric: str) -> bool:
        """Return whether ``name`` is ``metric``, with a namespace or not, and no other metric whose name ends so."""
        label = next((label for start, label in _TELLING_LABELS.items() if metric.startswith(start)), "")
        shown = self.declared[name]
        if label and not shown.has_label(label) and (shown.values is not None or name != metric):
            return False
        return name == metric or not any(
            name.endswith(f"_{other}") or name == other for other in _LONGER.get(metric, ())
        )

    def get_label(self, metric: str, label: str) -> str:
        """Return the name of a label of ``metric``, a name that the source declares."""
        other = CONVENTIONAL_LABELS.get(label, label)
        declared = self.declared.get(metric)
        if other == label or not _CONVENTIONAL.search(metric):
            return label
        if self.conventions is not None:
            return other if self.conventions == "opentelemetry" else label
        if declared is None or declared.values is None:
            return other if self._is_opentelemetry() else label
        return other if declared.has_label(other) and not declared.has_label(label) else label

    def may_have_label(self, metric: str, label: str) -> bool:
        """Return whether a matcher of ``label`` can find series: the label is declared, or no sample shows labels."""
        declared = self.declared.get(metric)
        return declared is None or declared.values is None or self.get_label(metric, label) in declared.values

    def _is_opentelemetry(self) -> bool:
        """Return whether any metric that follows a convention shows that it is OpenTelemetry's."""
        names = set(CONVENTIONAL_LABELS.values())
        return any(
            names.intersection(one.values or ()) for name, one in self.declared.items() if _CONVENTIONAL.search(name)
        )

    def has_library(self) -> bool:
        """Return whether the metrics are those of this library, and not only ones with the same names."""
        return self.is_registry or bool(self.list_names(_SIGN)) or any(map(_is_about_library, self.declared))


def _is_about_library(name: str) -> bool:
    return name.startswith("asyncmetrics_")


def _is_in_any_registry(name: str) -> bool:
    """Return whether the metric may appear later: those of a pusher and of a StatsD server are declared by them."""
    return _is_about_library(name) and not name.startswith(("asyncmetrics_push_", "asyncmetrics_statsd_"))


@final
@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is known of a recording rule: the changes of names in it, the metrics behind it, and their prefix."""

    changes: dict[str, str]
    metrics: set[str]
    prefix: str


def select_groups(names: Names) -> tuple[list[RuleGroup], list[str]]:
    """Return the recording rules and alerts that apply, and the metrics that are left out because of two namespaces."""
    recorded: dict[str, _Recorded] = {}
    left_out: set[str] = set()
    groups = []
    for group in (*RECORDING, *ALERTS):
        rules = [rule for rule in (_adapt(rule, names, recorded, left_out) for rule in group.rules) if rule]
        if rules:
            name = f"{group.name}-recording" if rules[0].kind == "record" else group.name
            groups.append(replace(group, name=name, rules=tuple(rules)))
    return groups, sorted(left_out)


def _adapt(rule: Rule, names: Names, recorded: dict[str, _Recorded], left_out: set[str]) -> Rule | None:
    """Return the rule with the names of the source, or None if it does not apply; remember what it records."""
    changes: dict[str, str] = {}
    metrics: set[str] = set()
    prefix = ""
    for metric in sorted(list_metrics(rule.expr)):
        found = names.list_names(metric)
        if metric in recorded:
            changes.update(recorded[metric].changes)
            metrics |= recorded[metric].metrics
            prefix = recorded[metric].prefix
        elif found:
            changes[metric] = found[0]
            metrics.add(found[0])
            left_out.update(found[1:])
            prefix = found[0].removesuffix(metric)
        elif metric not in _ALWAYS and not (_is_in_any_registry(metric) and names.has_library()):
            return None
    matched: list[tuple[str, str]] = _MATCHER.findall(rule.expr)
    if any(not names.may_have_label(changes.get(name, name), label) for name, label in matched):
        return None  # it would never fire, and nobody would notice
    for label in CONVENTIONAL_LABELS:
        other = {names.get_label(metric, label) for metric in metrics} - {label}
        changes.update((label, name) for name in other)
    if rule.kind == "record":
        level, subject, operation = rule.name.split(":")
        changes[rule.name] = f"{level}:{prefix}{subject}:{operation}"
        recorded[rule.name] = _Recorded(changes, metrics, prefix)
    adapted = rename(rule, changes)
    return replace(adapted, expr=read_native(adapted.expr, names.natives))
