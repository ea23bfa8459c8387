"""What a server has to answer for a native histogram, computed from the observations alone.

Nothing here uses the package: the buckets come from logarithms, and the rules are those of Prometheus.

- *linear*: Prometheus before 3.0 takes the observations of a bucket for evenly spread (promql/quantile.go).
- *exponential*: from 3.0 on it does so on a logarithmic scale. Only the zero bucket is interpolated linearly. Quantiles
  from 0.5 on are counted from the highest bucket, which matters where a rank is at the border of two buckets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil, copysign, floor, inf, isinf, log2, nan
from sys import float_info
from typing import Literal, NamedTuple

__all__ = ("Bucket", "Rule", "find_exact_quantile", "find_fraction", "find_quantile", "list_buckets")

Rule = Literal["linear", "exponential"]


class Bucket(NamedTuple):
    """A bucket with its observations, which are above ``low`` and up to ``high`` on the positive side."""

    low: float
    high: float
    count: float


def list_buckets(amounts: Iterable[float], schema: int, zero_threshold: float) -> list[Bucket]:
    """Return the buckets that have observations, from the lowest to the highest."""
    counts = Counter(_find_bounds(amount, schema, zero_threshold) for amount in amounts)
    return [Bucket(low, high, float(count)) for (low, high), count in sorted(counts.items())]


def _find_bounds(amount: float, schema: int, zero_threshold: float) -> tuple[float, float]:
    size = abs(amount)
    if size <= zero_threshold:
        return -zero_threshold, zero_threshold
    if isinf(size):
        return (float_info.max, inf) if amount > 0 else (-inf, -float_info.max)
    index = ceil(log2(size) * 2.0**schema)
    index += (_bound(index, schema) < size) - (_bound(index - 1, schema) >= size)  # the logarithm was rounded
    low, high = max(_bound(index - 1, schema), zero_threshold), _bound(index, schema)
    return (low, high) if amount > 0 else (-high, -low)


def _bound(index: int, schema: int) -> float:
    exponent = index / 2.0**schema
    if exponent >= 1024:
        return float_info.max if exponent == 1024 else inf  # the last bucket but that of infinity
    return 2.0**exponent


def find_exact_quantile(amounts: Sequence[float], quantile: float) -> tuple[float, float]:
    """Return the observations between which the quantile is: one, or two if the rank is at the end of the first."""
    rank = quantile * len(amounts)
    ordered = sorted(amounts)
    return ordered[max(ceil(rank) - 1, 0)], ordered[min(floor(rank), len(amounts) - 1)]


def find_quantile(buckets: Sequence[Bucket], quantile: float, rule: Rule) -> float:
    """Return what ``histogram_quantile`` estimates."""
    total = sum(bucket.count for bucket in buckets)
    if not total:
        return nan
    if rule == "exponential" and quantile >= 0.5:
        bucket, left = _find_rank(buckets[::-1], (1 - quantile) * total)
        part = (bucket.count - left) / bucket.count
    else:
        bucket, left = _find_rank(buckets, quantile * total)
        part = left / bucket.count
    low, high = _clip(bucket, buckets)
    if rule == "linear" or low <= 0 <= high:
        return low + (high - low) * part
    return copysign(2.0 ** (log2(abs(low)) + log2(high / low) * part), low)


def _find_rank(buckets: Sequence[Bucket], rank: float) -> tuple[Bucket, float]:
    """Return the bucket that has the rank, and the rank within it."""
    before = 0.0
    for bucket in buckets:
        if before + bucket.count >= rank:
            return bucket, rank - before
        before += bucket.count
    raise AssertionError((rank, before))


def _clip(bucket: Bucket, buckets: Sequence[Bucket]) -> tuple[float, float]:
    """Return the bounds of a bucket; the zero bucket ends at 0 if all other observations are on its other side."""
    low, high, _ = bucket
    if low < 0 < high:
        others = [other for other in buckets if other != bucket]
        if others and all(other.low > 0 for other in others):
            low = 0.0
        elif others and all(other.high < 0 for other in others):
            high = 0.0
    return low, high


def find_fraction(buckets: Sequence[Bucket], low: float, high: float, rule: Rule) -> float:
    """Return what ``histogram_fraction`` estimates."""
    total = sum(bucket.count for bucket in buckets)
    if not total:
        return nan
    return (_count_below(buckets, high, rule) - _count_below(buckets, low, rule)) / total


def _count_below(buckets: Sequence[Bucket], bound: float, rule: Rule) -> float:
    return sum(bucket.count * _find_part(*_clip(bucket, buckets), bound, rule) for bucket in buckets)


def _find_part(low: float, high: float, bound: float, rule: Rule) -> float:
    """Return which part of a bucket is below a bound."""
    if bound <= low:
        return 0.0
    if bound >= high:
        return 1.0
    if rule == "linear" or low <= 0 <= high:
        return (bound - low) / (high - low)
    return log2(bound / low) / log2(high / low)
