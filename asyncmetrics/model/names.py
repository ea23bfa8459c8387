"""Which names a program may declare for metrics and labels, and which texts a label may have.

*Rules.*

* Declare metrics and labels with letters of any script, digits, ``_`` and ``.`` (metrics also ``:``), and no digit
  first. Blanks and hyphens are refused: in a declared name they are mistakes.
* Accept any UTF-8 in the names that custom collectors yield: this module does not check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.kinds import KINDS

__all__ = (
    "build_name",
    "check_label_names",
    "check_metric_name",
    "clean_text",
    "to_label_text",
)

_DECLARED_METRIC_NAME = re.compile(r"[^\W\d][\w.:]*|:[\w.:]*")
_DECLARED_LABEL_NAME = re.compile(r"[^\W\d][\w.]*")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return ``text`` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return _SURROGATES.sub("\ufffd", text)


def to_label_text(value: object) -> str:
    """Return a label's value as text that UTF-8 can encode. A member of a string enumeration becomes its string."""
    return clean_text(str.__str__(value) if isinstance(value, str) else str(value))


def build_name(kind: str, name: str, namespace: str = "", subsystem: str = "", unit: str = "") -> str:
    """Return the name of the family: all texts joined by ``_``, the unit last, without a counter's ``_total``."""
    if not name:
        raise DefinitionError("metric name ''", "expected a name, such as 'jobs_done_total'")
    joined = "_".join(filter(None, (namespace, subsystem, name)))
    if kind == "counter":
        joined = joined.removesuffix("_total")
    if unit and not joined.endswith("_" + unit):
        joined = f"{joined}_{unit}"
    if unit and not KINDS[kind].has_unit:
        raise DefinitionError(f"metric name {joined!r}", f"expected no unit, as the type {kind} has none, got {unit!r}")
    check_metric_name(joined)
    if kind == "stateset" and ":" in joined:
        raise DefinitionError(
            f"metric name {joined!r}", "expected no ':', as the label of the states has the same name"
        )
    return joined


def check_metric_name(name: str) -> None:
    """Raise `DefinitionError` unless ``name`` is legal for a declared metric."""
    if not isinstance(name, str) or not _DECLARED_METRIC_NAME.fullmatch(name):
        raise DefinitionError(f"metric name {name!r}", "expected letters, digits, '_', ':' or '.', and no digit first")


def check_label_names(metric: str, names: Iterable[str], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return ``names`` as a tuple, or raise `DefinitionError` with the metric and the wrong label.

    Two names that are equal when escaped are refused: two children could be exposed as one series.
    """
    if isinstance(names, str):
        raise DefinitionError(
            metric, f"expected a sequence of label names, got the string {names!r}: write [{names!r}]"
        )
    checked = tuple(names)
    seen: set[str] = set()
    reserved = frozenset(escape_name(name, UNDERSCORES, label=True) for name in reserved)
    for name in checked:
        if not isinstance(name, str) or not _DECLARED_LABEL_NAME.fullmatch(name):
            problem = "expected letters, digits, '_' or '.', and no digit first"
        elif name.startswith("__"):
            problem = "names that start with '__' are reserved for Prometheus"
        elif (escaped := escape_name(name, UNDERSCORES, label=True)) in reserved:
            problem = "this name, or its escaped form, is reserved for this metric"
        elif escaped in seen:
            problem = "this name occurs twice, or another name has the same escaped form"
        else:
            seen.add(escaped)
            continue
        raise DefinitionError(metric, f"bad label name {name!r}: {problem}")
    return checked
