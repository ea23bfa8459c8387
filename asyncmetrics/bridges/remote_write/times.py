"""Unix times in milliseconds, as the messages have them."""

from __future__ import annotations

from math import floor

from asyncmetrics.model.samples import Timestamp

__all__ = ("read_milliseconds",)

_MOST = 1 << 63


def read_milliseconds(timestamp: float | Timestamp) -> int:
    """Return a time in milliseconds, cut as the text format cuts it.

    Raises ValueError or OverflowError if it is no finite time, or one that 64 bits cannot hold.
    """
    milliseconds = floor(float(timestamp) * 1000)
    if not -_MOST <= milliseconds < _MOST:
        raise OverflowError(f"expected a time of 64 bits in milliseconds, got {timestamp!r}")
    return milliseconds
