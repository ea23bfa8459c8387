"""Native histograms whose observations are known, and the state that each has to be in afterwards."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from asyncmetrics import CollectorRegistry, Histogram
from tests.real.native.expected import Bucket, list_buckets

__all__ = ("CASES", "ZERO", "Case", "draw", "follow_limits", "observe_cases")

ZERO = 2.0**-128  # the default threshold of the zero bucket
DEFAULT_SCHEMA = 5
NATIVE_ONLY: dict[str, Any] = {"native": True, "buckets": ()}
BOTH: dict[str, Any] = {"native": True, "buckets": [0.001, 0.1, 1, 10]}


class Case(NamedTuple):
    """A histogram, its observations in their order, and the schema and zero threshold that it must have in the end."""

    name: str
    amounts: Sequence[float]
    options: dict[str, Any]
    schema: int
    zero_threshold: float

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets that have observations."""
        return list_buckets(self.amounts, self.schema, self.zero_threshold)

    @property
    def is_native_only(self) -> bool:
        """Whether there are no classic buckets."""
        return self.options["buckets"] == ()


def draw(seed: int, count: int, spread: float = 1.0) -> list[float]:
    """Return observations that are spread as latencies are."""
    chance = random.Random(seed)
    return [chance.lognormvariate(-2, spread) for _ in range(count)]


def follow_limits(
    amounts: Sequence[float], schema: int, max_buckets: int, zero_threshold: float = ZERO, max_zero_threshold: float = 0
) -> tuple[int, float]:
    """Return the schema and the zero threshold after all observations, by the rules of client_golang.

    A new bucket above the limit widens the zero bucket to the end of its neighbour; where that end is above
    ``max_zero_threshold``, it halves the resolution.
    """
    seen: list[float] = []
    before: list[Bucket] = []
    for amount in amounts:
        seen.append(amount)
        buckets = _list_counted(seen, schema, zero_threshold)
        if len(buckets) > max(len(before), max_buckets):
            nearest = min(max(abs(bucket.low), abs(bucket.high)) for bucket in buckets)
            if nearest <= max_zero_threshold:
                zero_threshold = nearest
            else:
                schema = max(schema - 1, -4)
            buckets = _list_counted(seen, schema, zero_threshold)
        before = buckets
    return schema, zero_threshold


def _list_counted(amounts: Sequence[float], schema: int, zero_threshold: float) -> list[Bucket]:
    return [bucket for bucket in list_buckets(amounts, schema, zero_threshold) if not bucket.low < 0 < bucket.high]


def _make(name: str, amounts: Sequence[float], base: dict[str, Any] = NATIVE_ONLY, **options: Any) -> Case:
    options = {"native": 5, "max_buckets": 160, "zero_threshold": ZERO, "max_zero_threshold": 0.0, **base, **options}
    schema, limit = DEFAULT_SCHEMA if options["native"] is True else options["native"], options["max_buckets"]
    state = follow_limits(amounts, schema, limit or 10**9, options["zero_threshold"], options["max_zero_threshold"])
    return Case(name, amounts, options, *state)


WIDE = draw(4, 400, 5)
MIXED = [sign * size for size, sign in zip(draw(3, 600), (1, -1, 1) * 200, strict=True)] + [0.0] * 50
CASES = [
    _make("native_only", draw(1, 1000, 0.3)),
    _make("both", draw(2, 1000, 0.3), BOTH),
    _make("empty", []),
    _make("empty_both", [], BOTH),
    _make("without_zero", draw(9, 100, 0.3), zero_threshold=0.0),
    _make("negative", [-size for size in draw(5, 500, 0.3)]),
    _make("mixed", MIXED),
    _make("zeros", [0.0] * 7),
    _make("powers", [2.0**exponent for exponent in range(-20, 20)]),  # each is the end of a bucket, which includes it
    _make("wide_zero", MIXED, zero_threshold=0.125),
    _make("finest", draw(6, 300), native=8, max_buckets=None),
    _make("whole_powers", draw(7, 300, 3), native=0),
    _make("coarsest", draw(8, 300, 9), BOTH, native=-4),
    _make("by_default", draw(1, 1000, 2)),  # more than 160 buckets
    _make("coarsened", WIDE, max_buckets=20),
    _make("coarsened_both", WIDE, BOTH, max_buckets=20),
    _make("coarsened_mixed", MIXED, max_buckets=30),
    _make("widened", WIDE, native=2, max_buckets=40, max_zero_threshold=0.01),
    _make("extremes", [5e-324, 1e-300, 1.7e308, inf, inf]),
]


def observe_cases(registry: CollectorRegistry) -> None:
    """Declare the histogram of every case, and observe all of its amounts."""
    for case in CASES:
        histogram = Histogram(f"case_{case.name}", "Of a case.", registry=registry, **case.options)
        for amount in case.amounts:
            histogram.observe(amount)
