"""A sample, its exemplar and its timestamp, under prometheus_client's names."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import total_ordering
from math import floor
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.errors import DefinitionError

__all__ = (
    "MAX_EXEMPLAR_CHARACTERS",
    "BucketSpan",
    "Exemplar",
    "Moment",
    "NativeHistogram",
    "Sample",
    "Timestamp",
    "get_moment",
)

MAX_EXEMPLAR_CHARACTERS = 128
"""Code points that the names and values of an exemplar's labels may have in all (OpenMetrics 1.0, "Exemplars")."""


@final
@total_ordering
class Timestamp:
    """A Unix time in ``sec`` seconds and ``nsec`` nanoseconds; ``nsec`` gets the sign of ``sec``."""

    def __init__(self, sec: float, nsec: float) -> None:
        if not 0 <= nsec < 1e9:
            raise DefinitionError("Timestamp", f"expected 0 <= nsec < 1e9, got {nsec!r}")
        self.sec = int(sec)
        self.nsec = int(-nsec if sec < 0 else nsec)

    def __str__(self) -> str:
        return f"{self.sec}.{abs(self.nsec):09d}"

    def __repr__(self) -> str:
        return f"Timestamp({self.sec}, {self.nsec})"

    def __float__(self) -> float:
        return self.sec + self.nsec / 1e9

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and (self.sec, self.nsec) == (other.sec, other.nsec)

    def __lt__(self, other: Timestamp) -> bool:
        return (self.sec, self.nsec) < (other.sec, other.nsec)

    def __hash__(self) -> int:
        return hash((self.sec, self.nsec))


Moment: TypeAlias = tuple[int, int | Fraction]
"""Whole seconds and the nanoseconds after them, which are not negative."""


def get_moment(timestamp: float | Timestamp) -> Moment:
    """Return a finite time as its decimal digits state it, so that times of both types can be compared.

    The digits of a float are those that the formats write: 0.3 is that time, and not the double below it.
    """
    if isinstance(timestamp, Timestamp):
        return (timestamp.sec - 1, timestamp.nsec + 10**9) if timestamp.nsec < 0 else (timestamp.sec, timestamp.nsec)
    exact = Fraction(repr(float(timestamp)))
    seconds = floor(exact)
    return seconds, (exact - seconds) * 10**9


class Exemplar(NamedTuple):
    """One observed event, such as a request with a trace: its ``labels``, its ``value`` and its Unix time."""

    labels: dict[str, str]
    value: float
    timestamp: float | Timestamp | None = None


class BucketSpan(NamedTuple):
    """``length`` consecutive buckets of a native histogram, ``offset`` buckets after the last span."""

    offset: int
    length: int


class NativeHistogram(NamedTuple):
    """The value of a native histogram, as prometheus_client's samples have it."""

    count_value: float
    sum_value: float
    schema: int
    zero_threshold: float
    zero_count: float
    pos_spans: Sequence[BucketSpan] | None = None
    neg_spans: Sequence[BucketSpan] | None = None
    pos_deltas: Sequence[int] | None = None
    neg_deltas: Sequence[int] | None = None
    nh_exemplars: Sequence[Exemplar] | None = None


class Sample(NamedTuple):
    """One sample line. ``timestamp`` is a Unix time in seconds, or None for the time of the scrape.

    A sample with a ``native_histogram`` is left out of the text formats, which have none.
    """

    name: str
    labels: dict[str, str]
    value: float
    timestamp: float | Timestamp | None = None
    exemplar: Exemplar | None = None
    native_histogram: NativeHistogram | None = None
