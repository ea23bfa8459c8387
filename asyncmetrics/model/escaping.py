"""How names are escaped for a server that allows fewer characters: the four schemes of Prometheus.

https://prometheus.io/docs/instrumenting/escaping_schemes/. A name has the legacy form if it consists of ASCII letters,
digits and ``_`` (metrics also ``:``), with no digit first: all servers accept it unchanged.

*Rules.* They are those of client_golang (``EscapeMetricFamily`` in prometheus/common).

* Leave a name of the legacy form alone, under every scheme.
* Escape the name of a family, and append the suffix of a sample afterwards: a reader finds the type of a sample by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from asyncmetrics.model.checks import check_choice, check_text

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
    "unescape_name",
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

_SUFFIX = re.compile(r"_(?:total|created|bucket|count|sum|gcount|gsum|info)\Z")  # of samples: `model.kinds`
_DOTS_ESCAPE = re.compile(r"__|_dot_")
_VALUES_ESCAPE = re.compile(r"__|_([0-9a-fA-F]{1,6})_")
_VALUES_PREFIX = "U__"
_VALUES_ESCAPED = re.compile(rf"(?:[^_]|{_VALUES_ESCAPE.pattern})*")


def check_escaping(scheme: str) -> None:
    """Raise `DefinitionError` unless ``scheme`` is one of `ESCAPING_SCHEMES`."""
    check_choice("escaping", scheme, ESCAPING_SCHEMES)


def escape_name(name: str, scheme: str, *, label: bool = False, keep_legacy: bool = True) -> str:
    """Return ``name`` escaped by ``scheme``. ``allow-utf-8`` leaves it unchanged; formats then put it in quotes.

    With ``keep_legacy=False`` the scheme ``dots`` also replaces each ``_`` of a name of the legacy form.
    """
    is_legacy = is_legacy_label_name(name) if label else is_legacy_metric_name(name)
    if scheme == ALLOW_UTF_8 or (is_legacy and (keep_legacy or scheme != DOTS)):
        return name
    escape = _ESCAPES[scheme]
    escaped = "".join(escape(char, _is_legacy_character(char, i == 0, colon=not label)) for i, char in enumerate(name))
    return f"{_VALUES_PREFIX}{escaped}" if scheme == VALUES else escaped


def unescape_name(name: str, scheme: str) -> str:
    """Return the name of a metric or label that an exposition has written as ``name`` under ``scheme``.

    The suffix of a sample stays: under ``values``, ``U__a_2e_b_bucket`` becomes ``a.b_bucket``. Names that the scheme
    cannot have written are returned unchanged. ``values`` keeps every character, and ``dots`` keeps dots and ``_``;
    what ``underscores`` has replaced is lost. ``dots`` does not mark the names that it has escaped: a name of the
    legacy form with ``__`` or ``_dot_`` in it does not come back as it was.

    Raises `DefinitionError` for an unknown scheme.

    >>> unescape_name("http_dot_requests_total", "dots")
    'http.requests_total'
    >>> unescape_name("U__gr_f6__df_e", "values")
    'größe'
    """
    check_text("name", name, "http_dot_requests")
    check_escaping(scheme)
    if scheme == DOTS:
        return _DOTS_ESCAPE.sub(lambda escape: "." if escape[0] == "_dot_" else "_", name)
    if scheme != VALUES or not name.startswith(_VALUES_PREFIX):
        return name
    escaped = name.removeprefix(_VALUES_PREFIX)
    plain = _unescape_values(escaped)
    if plain is None and (suffix := _SUFFIX.search(escaped)):  # no suffix is the code of a character
        family = _unescape_values(escaped[: suffix.start()])
        plain = None if family is None else family + suffix[0]
    return name if plain is None else plain


def _unescape_values(escaped: str) -> str | None:
    """Return the name before its escapes, or None if one of them is none."""
    if not _VALUES_ESCAPED.fullmatch(escaped):
        return None
    try:
        return _VALUES_ESCAPE.sub(_unescape_value, escaped)
    except ValueError:
        return None


def _unescape_value(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16)) if escape[1] else "_"
    if "\ud800" <= char <= "\udfff":
        raise ValueError("a lone surrogate is no character")
    return char
