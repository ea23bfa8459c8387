"""Numbers as text: written so that every reader gets the same double, and read."""

from __future__ import annotations

import re

from asyncmetrics.model.caching import cache_short

__all__ = ("format_number", "parse_bound", "parse_number")


# Digits before and after the point are told apart by the point alone: `[0-9]+\.?[0-9]*` can divide n digits in n ways,
# and tries them all (10 s for 32,000 digits and a letter).
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def parse_number(text: str) -> float | None:
    """Return the double that ``text`` is written for, or None."""
    return float(text) if _NUMBER.fullmatch(text) else None


parse_bound = cache_short(parse_number)
"""Read a bucket's bound or a quantile: the same few come again and again."""


def format_number(value: float) -> str:
    """Write a double so that Go's ParseFloat reads the same double."""
    if value - value == 0.0:
        return repr(value)
    return "+Inf" if value > 0 else "-Inf" if value < 0 else "NaN"
