"""Doubles as text: written so that every reader gets the same double, and read."""

from __future__ import annotations

import re
from math import inf

from asyncmetrics.model.caching import cache_short_texts

__all__ = ("FIRST_EXPONENT", "format_canonical", "format_number", "parse_bound", "parse_number")

FIRST_EXPONENT = 1e6
"""The smallest number that is written with an exponent, ``1e+06``; smaller ones are written as by repr."""

_INF = inf
_MINUS_INF = -inf
_MIN_DIGITS = 7
_EXPONENTS = [f"e+{digits - 1:02d}" for digits in range(18)]  # by the number of digits before the point


# The point separates the digits before it from those after it. `[0-9]+\.?[0-9]*` could divide n digits in n ways, and
# tries them all: 10 s for 32,000 digits and a letter.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def parse_number(text: str) -> float | None:
    """Return the double that ``text`` denotes, or None if it is not a number."""
    return float(text) if _NUMBER.fullmatch(text) else None


parse_bound = cache_short_texts(parse_number)
"""Return the bound of a bucket, or a quantile, like `parse_number`. It is cached, as the same few texts recur."""


def format_number(value: float) -> str:
    """Return a double as text that Go's ParseFloat reads as the same double: as prometheus_client writes it.

    From `FIRST_EXPONENT` on it has an exponent, as in Go. Negative numbers are written as Python writes them.
    """
    if _MINUS_INF < value < FIRST_EXPONENT:
        return repr(value)
    if FIRST_EXPONENT <= value < _INF:
        text = repr(float(value))
        whole, _, fraction = text.partition(".")
        if len(whole) < _MIN_DIGITS or "e" in text:  # from 1e+16 on repr writes an exponent itself
            return text
        return f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0.") + _EXPONENTS[len(whole)]
    return "+Inf" if value > 0 else "-Inf" if value < 0 else "NaN"


@cache_short_texts  # the same few bounds recur
def format_canonical(text: str) -> str:
    """Return a bound or a quantile as a canonical number, if it is a number (OpenMetrics 1.0, "Canonical Numbers").

    It is Go's ``%g`` with ``.0`` after whole numbers, so that all clients write the same ``le`` for the same bound.
    """
    bound = parse_bound(text)
    if bound is None:
        return text
    return f"-{format_number(-bound)}" if _MINUS_INF < bound < 0 else format_number(bound)
