"""Which names metrics and labels may have, and how a name is escaped for a server that allows fewer characters.

*Rules.*

* Declare metrics and labels with letters of any script, digits, ``_`` and ``.`` (metrics also ``:``), and no digit
  first. Blanks and hyphens are refused: in a declared name they are mistakes.
* Accept any UTF-8 in the names that custom collectors yield.
* Escape both by one of four schemes (https://prometheus.io/docs/instrumenting/escaping_schemes/).
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


def _is_legacy_character(char: str, first: bool, *, colon: bool) -> bool:
    return char.isascii() and (
        char.isalpha() or char == "_" or (char.isdigit() and not first) or (colon and char == ":")
    )


def _escape_dots(char: str, fits: bool) -> str:
    return "__" if char == "_" else "_dot_" if char == "." else char if fits else "__"


def _escape_values(char: str, fits: bool) -> str:
    return "__" if char == "_" else char if fits else f"_{ord(char):x}_"


_ESCAPES: dict[str, Callable[[str, bool], str]] = {
    UNDERSCORES: lambda char, fits: char if fits else "_",
    DOTS: _escape_dots,
    VALUES: _escape_values,
}
ESCAPING_SCHEMES = (UNDERSCORES, DOTS, VALUES, ALLOW_UTF_8)


def check_escaping(scheme: str) -> None:
    """Raise `DefinitionError` unless ``scheme`` is one of `ESCAPING_SCHEMES`."""
    if scheme not in ESCAPING_SCHEMES:
        raise DefinitionError("escaping", f"expected one of {ESCAPING_SCHEMES}, got {scheme!r}")


def escape_name(name: str, scheme: str, *, label: bool = False) -> str:
    """Return ``name`` escaped by ``scheme``. ``allow-utf-8`` leaves it as it is; formats then put it in quotes.

    ``dots`` replaces every ``_``, even in a name that needs no escaping: otherwise it would not be reversible.
    """
    legacy = is_legacy_label_name(name) if label else is_legacy_metric_name(name)
    if scheme == ALLOW_UTF_8 or (legacy and scheme != DOTS):
        return name
    escape = _ESCAPES[scheme]
    escaped = "".join(escape(char, _is_legacy_character(char, i == 0, colon=not label)) for i, char in enumerate(name))
    return f"U__{escaped}" if scheme == VALUES else escaped
