"""Names, units and attributes of OpenTelemetry as those of Prometheus.

*Rules.* Follow "Prometheus and OpenMetrics Compatibility" of OpenTelemetry's specification, from "OTLP Metric points to
Prometheus" on. ``opentelemetry-exporter-prometheus`` gives the same names but in two places, where it does not follow
the specification: a gauge of unit ``1`` ends with ``_ratio`` here, and the values of attributes whose keys become one
label are joined by ``;``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.model.names import to_label_text

__all__ = ("make_labels", "make_name", "make_scope_labels", "make_unit")

# A run of other characters, underscores too, becomes one underscore.
_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABEL: Final = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION: Final = re.compile(r"\{.*\}")  # such as {request}; a unit may have it in front: {request}/s

_UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds",
    "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER_UNITS: Final = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip


def make_unit(unit: str, *, is_gauge: bool = False) -> str:
    """Return a unit of UCUM in Prometheus' words: ``seconds`` for ``s``, ``bytes_per_second`` for ``By/s``.

    The unit ``1`` is ``ratio`` for a gauge and nothing for other kinds; an annotation in braces is left out.
    """
    bare = _ANNOTATION.sub("", unit)
    if bare == "1" and is_gauge:
        return "ratio"
    if bare in _UNITS:
        return _UNITS[bare]
    amount, slash, per = bare.partition("/")
    amount, per = _NOT_IN_NAME.sub("_", amount), _NOT_IN_NAME.sub("_", per)
    if slash and per:
        return "_".join(filter(None, (_UNITS.get(amount, amount), "per", _PER_UNITS.get(per, per))))
    return _NOT_IN_NAME.sub("_", bare).strip("_")


def make_name(kind: DeclaredKind, name: str, unit: str, namespace: str) -> str:
    """Return the name of the family of an instrument, without ``_total``; ``unit`` is Prometheus' word."""
    written = f"{namespace}_{name}" if namespace else name
    if written[:1].isdigit():
        written = f"_{written[1:]}"
    family = _NOT_IN_NAME.sub("_", written)
    if kind == "counter":
        family = family.removesuffix("_total")
    return f"{family}_{unit}" if unit and not family.endswith(f"_{unit}") else family


def make_labels(attributes: Mapping[str, object], own_label: str = "") -> dict[str, str]:
    """Return attributes as labels, without empty ones, which Prometheus drops. Raises what the text of a value raises.

    ``own_label`` is a name that the samples need for themselves, such as ``le``: an attribute becomes ``exported_le``.
    """
    labels: dict[str, str] = {}
    for key in sorted(attributes):
        name = _make_label_name(key)
        name = f"exported_{name}" if name == own_label else name
        text = _make_label_value(attributes[key])
        labels[name] = f"{labels[name]};{text}" if name in labels else text
    return {name: text for name, text in labels.items() if text}


def make_scope_labels(
    name: str, version: str | None, schema_url: str | None, attributes: Mapping[str, object] | None
) -> dict[str, str]:
    """Return the labels of an instrumentation scope. Raises what the text of a value raises."""
    scope: Iterable[tuple[str, object]] = (
        *((f"otel_scope_{key}", value) for key, value in (attributes or {}).items()),
        ("otel_scope_name", name or ""),
        ("otel_scope_version", version or ""),
        ("otel_scope_schema_url", schema_url or ""),
    )
    return make_labels(dict(scope))


def _make_label_name(key: str) -> str:
    name = f"_{key[1:]}" if key[:1].isdigit() else key
    return _NOT_IN_LABEL.sub("_", name) or "_"


def _make_label_value(value: object) -> str:
    """Return text as it is, and every other value as JSON: ``true``, ``200``, ``["a", "b"]``."""
    return to_label_text(value if isinstance(value, str) else json.dumps(value, default=str))
