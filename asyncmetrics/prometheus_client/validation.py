"""Which names are valid: any in UTF-8, or those of old Prometheus servers while the legacy validation is on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.model.samples import MAX_EXEMPLAR_CHARACTERS

__all__ = (
    "METRIC_LABEL_NAME_RE",
    "METRIC_NAME_RE",
    "RESERVED_METRIC_LABEL_NAME_RE",
    "check_exemplar",
    "check_label_names",
    "check_label_names_of",
    "check_metric_name",
    "disable_legacy_validation",
    "enable_legacy_validation",
    "get_legacy_validation",
)

METRIC_NAME_RE = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
METRIC_LABEL_NAME_RE = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")
RESERVED_METRIC_LABEL_NAME_RE = re.compile(r"^__.*$")

_legacy_validation = os.environ.get("PROMETHEUS_LEGACY_NAME_VALIDATION", "").lower() in {"true", "1", "t"}


def get_legacy_validation() -> bool:
    """Return whether only the names of old Prometheus servers are valid."""
    return _legacy_validation


def disable_legacy_validation() -> None:
    """Allow all names in UTF-8."""
    global _legacy_validation  # one switch for the process
    _legacy_validation = False


def enable_legacy_validation() -> None:
    """Allow only the names that old Prometheus servers accept."""
    global _legacy_validation  # one switch for the process
    _legacy_validation = True


def check_metric_name(name: str, written: str = "") -> None:
    """Raise `DefinitionError` unless a metric can have this name; ``written`` is it in the user's words."""
    if not name:
        raise DefinitionError("metric name", "expected one or more characters: metric name cannot be empty")
    _check_text(name, "metric name", written or name)
    if _legacy_validation and not METRIC_NAME_RE.match(name):
        raise DefinitionError("metric name", f"invalid metric name {written or name}")


def check_label_names(metric: str, names: Iterable[str], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return ``names``, or raise `DefinitionError` with the metric and the wrong label."""
    checked = tuple(names)
    for name in checked:
        _check_label_name(metric, name)
        if name in reserved:
            raise DefinitionError(metric, f"Reserved label name: {name}")
    if len(set(checked)) < len(checked):
        raise DefinitionError(metric, f"expected different label names, got {list(checked)}")
    return checked


def _check_label_name(metric: str, name: str) -> None:
    _check_text(name, metric, name)
    if _legacy_validation and not METRIC_LABEL_NAME_RE.match(name):
        raise DefinitionError(metric, f"Invalid label metric name: {name}")
    if not name:
        raise DefinitionError(metric, "expected label names of one or more characters")
    if RESERVED_METRIC_LABEL_NAME_RE.match(name):
        raise DefinitionError(metric, f"Reserved label metric name: {name}")


def _check_text(name: object, subject: str, written: object) -> None:
    try:
        str.encode(name, "utf-8")  # type: ignore[arg-type]  # the call is the check
    except (TypeError, UnicodeEncodeError):
        raise DefinitionError(subject, f"expected text that UTF-8 can encode, got {show(written)}") from None


def _is_valid_legacy_metric_name(name: str) -> bool:
    return METRIC_NAME_RE.match(name) is not None


def _is_valid_legacy_labelname(name: str) -> bool:
    return METRIC_LABEL_NAME_RE.match(name) is not None and RESERVED_METRIC_LABEL_NAME_RE.match(name) is None


def _validate_labelname(name: str) -> None:
    _check_label_name("label", name)


def check_label_names_of(cls: object, labelnames: Iterable[str]) -> tuple[str, ...]:
    """Return ``labelnames`` of a metric class, or raise `DefinitionError` for one that is wrong or reserved."""
    return check_label_names(
        getattr(cls, "__name__", type(cls).__name__), labelnames, frozenset(getattr(cls, "_reserved_labelnames", ()))
    )


def check_exemplar(exemplar: Mapping[str, str]) -> None:
    """Raise `DefinitionError` for an exemplar's labels that OpenMetrics does not allow."""
    for name in exemplar:
        _check_label_name("exemplar", name)
    length = sum(len(name) + len(value) for name, value in exemplar.items())
    if length > MAX_EXEMPLAR_CHARACTERS:
        raise DefinitionError("exemplar", f"Exemplar labels have {length} UTF-8 characters, exceeding the limit of 128")


# Private names of prometheus_client that programs import, also from `metrics`.
_validate_metric_name = check_metric_name
_validate_labelnames = check_label_names_of
_validate_exemplar = check_exemplar
