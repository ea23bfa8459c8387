"""What a value of a line does to a child, by the type of the line.

*Rules.* Each function takes the bytes of one value. It raises `ValueError` for what is no number, and `Refused`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Protocol, TypeAlias

from asyncmetrics.bridges.statsd_server.outcomes import Refused

__all__ = ("Change", "Counted", "Level", "Observed", "make_count", "make_gauge", "make_histogram", "make_summary")

Change: TypeAlias = Callable[[bytes], None]

# Finite numbers can add up to infinity, and a sum of 1e300 no longer counts anything: 1e18 is beyond what is counted.
_LARGEST = 1e18


class Counted(Protocol):
    """A child of a counter."""

    def inc(self, amount: float = ..., /) -> None:
        """Add to the number."""


class Level(Counted, Protocol):
    """A child of a gauge."""

    def set(self, value: float, /) -> None:
        """Replace the number."""


class Observed(Protocol):
    """A child of a histogram or a summary."""

    def observe(self, amount: float, /) -> None:
        """Add one observation."""

    def add_number(self, index: int, amount: float, /) -> None:
        """Add to one of the numbers that the child consists of."""


def make_count(child: Counted, factor: float, rate: float) -> Change:
    """Return the change of a counter: a line that was sampled counts for those that were not sent."""
    inc, factor = child.inc, factor / rate

    def count(value: bytes) -> None:
        amount = _read(value) * factor
        if amount < 0.0:
            raise Refused("value")
        inc(amount)

    return count


def make_gauge(child: Level, factor: float, rate: float) -> Change:  # noqa: ARG001  # StatsD ignores the rate
    """Return the change of a gauge: a number with a sign is added to it."""
    put, add = child.set, child.inc

    def change(value: bytes) -> None:
        if value[:1] in (b"+", b"-"):
            add(_read(value) * factor)
        else:
            put(_read(value) * factor)

    return change


def make_histogram(child: Observed, factor: float, rate: float, bounds: tuple[float, ...]) -> Change:
    """Return the change of a histogram; a line that was sampled counts for the whole number that is nearest."""
    observe, add, weight, last = child.observe, child.add_number, round(1 / rate), len(bounds)

    def observe_once(value: bytes) -> None:
        observe(_read(value) * factor)

    def observe_often(value: bytes) -> None:
        amount = _read(value) * factor
        add(bisect_left(bounds, amount), weight)
        add(last, amount * weight)

    return observe_once if weight == 1 else observe_often


def make_summary(child: Observed, factor: float, rate: float) -> Change:
    """Return the change of a summary, as `make_histogram` does."""
    observe, add, weight = child.observe, child.add_number, round(1 / rate)

    def observe_once(value: bytes) -> None:
        observe(_read(value) * factor)

    def observe_often(value: bytes) -> None:
        amount = _read(value) * factor
        add(0, weight)
        add(1, amount * weight)

    return observe_once if weight == 1 else observe_often


def _read(value: bytes) -> float:
    """Return the number. Raises `ValueError` for other text, and `Refused` for NaN and what is too large to add up."""
    number = float(value)
    if not -_LARGEST <= number <= _LARGEST or b"_" in value:  # Python's digits may be grouped by it
        raise Refused("value")
    return number
