"""Doubles as text: written so that every reader gets the same double, and read."""

from __future__ import annotations

import re

from asyncmetrics.model.caching import cache_short_texts

__all__ = ("format_number", "parse_bound", "parse_number")


# The point separates the digits before it from those after it. `[0-9]+\.?[0-9]*` could divide n digits in n ways, and
# tries them all: 10 s for 32,000 digits and a letter.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def parse_number(text: str) -> float | None:
    """Return the double that ``text`` denotes, or None if it is not a number."""
    return float(text) if _NUMBER.fullmatch(text) else None


parse_bound = cache_short_texts(parse_number)
"""Return the bound of a bucket, or a quantile, like `parse_number`. It is cached, as the same few texts recur."""


def format_number(value: float) -> str:
    """Return a double as text that Go's ParseFloat reads as the same double."""
    if value - value == 0.0:
        return repr(value)
    return "+Inf" if value > 0 else "-Inf" if value < 0 else "NaN"
