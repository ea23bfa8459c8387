"""What commands print: figures that people read, and JSON that programs read."""

from __future__ import annotations

import json
from math import isfinite, isnan

from asyncmetrics.formats.numbers import format_number

__all__ = (
    "NOTHING",
    "format_age",
    "format_amount",
    "format_count",
    "format_milliseconds",
    "format_quantity",
    "format_rate",
    "format_seconds",
    "format_share",
    "show_json",
)

NOTHING = "·"
"""What stands for a figure that does not exist, such as the quantile of no observations."""

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))
_FIRST_TIMESTAMP = 1e9  # seconds since 1970: 2001

# From here on numbers have an exponent or a unit. A server may send 1e300, and no column holds its 301 digits.
_LARGE_SECONDS = 1e6
_LARGE_AGE = 1e10
_LARGE_SHARE = 100
_LARGE_RATE = 1e4
_LARGE_COUNT = 1e6


def format_seconds(seconds: float) -> str:
    """Return a duration with its unit, or a dot for NaN."""
    if isnan(seconds):
        return NOTHING
    if abs(seconds) >= _LARGE_SECONDS:
        return f"{format_amount(seconds)} s"
    if 0 < abs(seconds) < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"


def format_milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds, those from 10,000 seconds on in seconds, or a dot for NaN."""
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < _LARGE_RATE else format_seconds(seconds)


def format_age(seconds: float) -> str:
    """Return how long ago something was, or a dot for NaN."""
    amount = f"{seconds:.1f}" if abs(seconds) < _LARGE_AGE else format_amount(seconds)
    return NOTHING if isnan(seconds) else f"{amount} s ago"


def format_share(share: float) -> str:
    """Return a share as a percentage, or a dot for NaN."""
    if isnan(share):
        return NOTHING
    return f"{share:.0%}" if abs(share) < _LARGE_SHARE else f"{format_amount(share * 100)}%"


def format_rate(rate: float) -> str:
    """Return a number of events a second with one decimal, a large one with a unit of thousands, or a dot for NaN."""
    return f"{rate:.1f}" if abs(rate) < _LARGE_RATE else format_amount(rate)


def format_count(count: float) -> str:
    """Return a whole number, a large one with a unit of thousands, or a dot for NaN."""
    return f"{count:.0f}" if abs(count) < _LARGE_COUNT else format_amount(count)


def format_amount(value: float) -> str:
    """Return a number in at most some seven characters, with a unit of thousands, or a dot for NaN."""
    if isnan(value) or abs(value) == float("inf"):
        return NOTHING if isnan(value) else format_number(value)
    for factor, unit in _UNITS:
        if abs(value) >= factor:
            scaled = value / (1e3 if unit == "k" else factor)
            return f"{scaled:.3g}{unit}" if abs(scaled) < 1000 else f"{value:.2e}"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def format_quantity(name: str, value: float, now: float) -> str:
    """Return a value in the unit that the name of its metric has; ``now`` is the Unix time."""
    if name.endswith("_timestamp_seconds") and _FIRST_TIMESTAMP <= value < _LARGE_AGE:
        return format_age(now - value)
    if name.endswith(("_seconds", "_seconds_total")):
        return format_seconds(value)
    unit = "B" if name.endswith(("_bytes", "_bytes_total")) and isfinite(value) else ""
    return f"{format_amount(value)}{unit}"


def show_json(value: object) -> str:
    """Return ``value`` as JSON in ASCII, with a line feed at the end."""
    return json.dumps(value, indent=2) + "\n"
