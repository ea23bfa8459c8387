"""What metrics and labels may be called, and how a name is written for a server that allows fewer characters.

*Rules.* A metric or label that is declared here may have letters of any script, digits, ``_`` and ``.`` (metrics
also ``:``), and starts with no digit: a blank or a hyphen in a declared name has always been a slip. Names that
arrive from custom collectors may be any UTF-8. Both are written by one of four escaping schemes
(https://prometheus.io/docs/instrumenting/escaping_schemes/).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.kinds import KINDS

__all__ = (
    "ALLOW_UTF_8",
    "DOTS",
    "ESCAPING_SCHEMES",
    "UNDERSCORES",
    "VALUES",
    "build_name",
    "check_escaping",
    "check_label_names",
    "check_metric_name",
    "clean_text",
    "escape_name",
    "is_legacy_label_name",
    "is_legacy_metric_name",
    "to_label_text",
)

ALLOW_UTF_8 = "allow-utf-8"
UNDERSCORES = "underscores"
DOTS = "dots"
VALUES = "values"

_DECLARED_METRIC_NAME = re.compile(r"[^\W\d][\w.:]*|:[\w.:]*")
_DECLARED_LABEL_NAME = re.compile(r"[^\W\d][\w.]*")
is_legacy_metric_name: Callable[[str], object] = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch
is_legacy_label_name: Callable[[str], object] = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*").fullmatch
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return ``text`` with lone surrogates, which no UTF-8 can carry, replaced by U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)


def to_label_text(value: object) -> str:
    """Return a label's value as text that UTF-8 can carry; an enumeration of strings is its string."""
    return clean_text(str.__str__(value) if isinstance(value, str) else str(value))


def build_name(kind: str, name: str, namespace: str = "", subsystem: str = "", unit: str = "") -> str:
    """Return the family name: the parts joined by ``_``, the unit last, a counter's ``_total`` taken off."""
    if not name:
        raise DefinitionError("metric name ''", "a metric needs a name, such as 'jobs_done_total'")
    joined = "_".join(part for part in (namespace, subsystem, name) if part)
    if kind == "counter":
        joined = joined.removesuffix("_total")
    if unit and not joined.endswith("_" + unit):
        joined = f"{joined}_{unit}"
    if unit and not KINDS[kind].has_unit:
        raise DefinitionError(f"metric name {joined!r}", f"the type {kind} has no unit, got {unit!r}")
    check_metric_name(joined)
    if kind == "stateset" and ":" in joined:
        raise DefinitionError(f"metric name {joined!r}", "its states' label is called like it, so it can have no ':'")
    return joined


def check_metric_name(name: str) -> None:
    """Raise `DefinitionError` unless a metric may be declared as ``name``."""
    if not isinstance(name, str) or not _DECLARED_METRIC_NAME.fullmatch(name):
        raise DefinitionError(f"metric name {name!r}", "expected letters, digits, '_', ':' or '.', and no digit first")


def check_label_names(metric: str, names: Iterable[str], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return ``names`` as a tuple, or raise `DefinitionError` naming the metric and the label that is wrong.

    Two names that one escaping makes equal cannot stand together: children that differ in them might be one series.
    """
    if isinstance(names, str):
        raise DefinitionError(
            metric, f"expected a sequence of label names, got the string {names!r}: write [{names!r}]"
        )
    checked = tuple(names)
    written: set[str] = set()
    reserved = frozenset(escape_name(name, UNDERSCORES, label=True) for name in reserved)
    for name in checked:
        if not isinstance(name, str) or not _DECLARED_LABEL_NAME.fullmatch(name):
            problem = "expected letters, digits, '_' or '.', and no digit first"
        elif name.startswith("__"):
            problem = "names that start with '__' belong to Prometheus itself"
        elif (escaped := escape_name(name, UNDERSCORES, label=True)) in reserved:
            problem = "that name is reserved for this metric, or written like one that is"
        elif escaped in written:
            problem = "it is there twice, or another one is written like it where letters are few"
        else:
            written.add(escaped)
            continue
        raise DefinitionError(metric, f"bad label name {name!r}: {problem}")
    return checked


def _fitting(char: str, first: bool, *, colon: bool) -> bool:
    return char.isascii() and (
        char.isalpha() or char == "_" or (char.isdigit() and not first) or (colon and char == ":")
    )


def _dots(char: str, fits: bool) -> str:
    return "__" if char == "_" else "_dot_" if char == "." else char if fits else "__"


def _values(char: str, fits: bool) -> str:
    return "__" if char == "_" else char if fits else f"_{ord(char):x}_"


_ESCAPES: dict[str, Callable[[str, bool], str]] = {
    UNDERSCORES: lambda char, fits: char if fits else "_",
    DOTS: _dots,
    VALUES: _values,
}
ESCAPING_SCHEMES = (UNDERSCORES, DOTS, VALUES, ALLOW_UTF_8)


def check_escaping(scheme: str) -> None:
    """Raise `DefinitionError` unless ``scheme`` is one of `ESCAPING_SCHEMES`."""
    if scheme not in ESCAPING_SCHEMES:
        raise DefinitionError("escaping", f"expected one of {ESCAPING_SCHEMES}, got {scheme!r}")


def escape_name(name: str, scheme: str, *, label: bool = False) -> str:
    """Write ``name`` by ``scheme``; under ``allow-utf-8`` it stays as it is (and formats quote it).

    ``dots`` rewrites every ``_``, also of a name that needs no escaping, since it must be reversible.
    """
    legacy = is_legacy_label_name(name) if label else is_legacy_metric_name(name)
    if scheme == ALLOW_UTF_8 or (legacy and scheme != DOTS):
        return name
    escape = _ESCAPES[scheme]
    written = "".join(escape(char, _fitting(char, i == 0, colon=not label)) for i, char in enumerate(name))
    return f"U__{written}" if scheme == VALUES else written
