"""How names are escaped for a server that allows fewer characters: the four schemes of Prometheus.

https://prometheus.io/docs/instrumenting/escaping_schemes/. A name has the legacy form if it consists of ASCII letters,
digits and ``_`` (metrics also ``:``), with no digit first: all servers accept it unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from asyncmetrics.model.checks import check_choice

__all__ = (
    "ALLOW_UTF_8",
    "DOTS",
    "ESCAPING_SCHEMES",
    "UNDERSCORES",
    "VALUES",
    "check_escaping",
    "escape_name",
    "is_legacy_label_name",
    "is_legacy_metric_name",
)

ALLOW_UTF_8 = "allow-utf-8"
UNDERSCORES = "underscores"
DOTS = "dots"
VALUES = "values"

is_legacy_metric_name: Callable[[str], object] = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch
is_legacy_label_name: Callable[[str], object] = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*").fullmatch


def _is_legacy_character(char: str, first: bool, *, colon: bool) -> bool:
    return char.isascii() and (
        char.isalpha() or char == "_" or (char.isdigit() and not first) or (colon and char == ":")
    )


def _escape_dots(char: str, is_legacy: bool) -> str:
    return "__" if char == "_" else "_dot_" if char == "." else char if is_legacy else "__"


def _escape_values(char: str, is_legacy: bool) -> str:
    return "__" if char == "_" else char if is_legacy else f"_{ord(char):x}_"


_ESCAPES: dict[str, Callable[[str, bool], str]] = {
    UNDERSCORES: lambda char, is_legacy: char if is_legacy else "_",
    DOTS: _escape_dots,
    VALUES: _escape_values,
}
ESCAPING_SCHEMES = (UNDERSCORES, DOTS, VALUES, ALLOW_UTF_8)


def check_escaping(scheme: str) -> None:
    """Raise `DefinitionError` unless ``scheme`` is one of `ESCAPING_SCHEMES`."""
    check_choice("escaping", scheme, ESCAPING_SCHEMES)


def escape_name(name: str, scheme: str, *, label: bool = False) -> str:
    """Return ``name`` escaped by ``scheme``. ``allow-utf-8`` leaves it unchanged; formats then put it in quotes.

    ``dots`` replaces every ``_``, even in a name that needs no escaping: otherwise it would not be reversible.
    """
    is_legacy = is_legacy_label_name(name) if label else is_legacy_metric_name(name)
    if scheme == ALLOW_UTF_8 or (is_legacy and scheme != DOTS):
        return name
    escape = _ESCAPES[scheme]
    escaped = "".join(escape(char, _is_legacy_character(char, i == 0, colon=not label)) for i, char in enumerate(name))
    return f"U__{escaped}" if scheme == VALUES else escaped
