"""Numbers and versions as text."""

from __future__ import annotations

from math import inf, nan

from asyncmetrics.formats.numbers import format_number

__all__ = ("INF", "MINUS_INF", "NaN", "floatToGoString", "parse_version")

INF = inf
MINUS_INF = -inf
NaN = nan


def floatToGoString(d: float) -> str:  # noqa: N802  # prometheus_client's name
    """Return a number as the text formats have it."""
    return format_number(float(d))


def parse_version(version_str: str) -> tuple[int | str, ...]:
    """Return the parts of a version, those that are numbers as int."""
    return tuple(int(part) if part.isdecimal() else part for part in version_str.split("."))
