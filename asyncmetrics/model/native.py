"""Native histograms: what a declaration fixes, and which bucket a number belongs to.

The bucket with the index ``i`` of schema ``s`` has the numbers above ``base ** (i - 1)`` up to ``base ** i``, where the
base is ``2 ** 2 ** -s`` (https://prometheus.io/docs/specs/native_histograms/, "Schema"). Schema 5 has 32 buckets for
each power of two, so that a quantile is at most 2.2 % off. Two buckets of a schema are one of the schema below.

*Keys.* A child finds the bucket of a positive number by one call of `frexp` and one of `bisect_left`, and adds one
number to another: so the *key* of a bucket is its index plus a distance, see `to_index`. The bucket of a negative
number has the key of its absolute value plus `NEGATIVE`, and the zero bucket has the key `ZERO`. One dict has them all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from math import frexp, inf, isinf, ldexp
from sys import float_info
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.model.native_bounds import FINEST_BOUNDS
from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram

__all__ = (
    "DEFAULT_MAX_BUCKETS",
    "DEFAULT_SCHEMA",
    "DEFAULT_ZERO_THRESHOLD",
    "MAX_EXEMPLARS",
    "MAX_SCHEMA",
    "MIN_SCHEMA",
    "NEGATIVE",
    "ZERO",
    "NativeOptions",
    "Stage",
    "coarsen_key",
    "find_bound",
    "find_index",
    "find_key",
    "find_last_zero",
    "get_bounds",
    "halve_key",
    "merge_stages",
    "to_index",
    "to_key",
)

MIN_SCHEMA, MAX_SCHEMA = -4, 8
MAX_EXEMPLARS = 10  # of a histogram without classic buckets: client_golang's NativeHistogramMaxExemplars
DEFAULT_SCHEMA = 5  # that of client_java
DEFAULT_MAX_BUCKETS = 160  # of OpenTelemetry and client_java
DEFAULT_ZERO_THRESHOLD = 2.938735877055719e-39  # 2**-128, that of client_golang; Prometheus 2.42 needs more than 0
NEGATIVE = 1 << 20  # more than the distance of the keys of two positive numbers
ZERO = 1 << 21
_END = float_info.max_exp  # 2 ** 1024 is the first power of two that no double can hold
_MAX_GAP = 2  # empty buckets that are written as counts of 0, which takes fewer bytes than another span

Stage: TypeAlias = "tuple[int, float, Mapping[int, float]]"
"""A schema, a zero threshold, and the counts of the buckets by their keys."""


@final
class NativeOptions(NamedTuple):
    """What a declaration fixes of a native histogram.

    ``schema`` is the resolution that it begins with. With more than ``max_buckets`` buckets (None: no limit), a child
    does the first of these that is possible, as client_golang does: it starts again from zero, if ``min_reset_seconds``
    have passed since its last start (0: never); it widens the zero bucket, whose bound is ``zero_threshold``, up to
    ``max_zero_threshold`` (0: never); it halves its resolution.
    """

    schema: int = DEFAULT_SCHEMA
    max_buckets: int | None = DEFAULT_MAX_BUCKETS
    zero_threshold: float = DEFAULT_ZERO_THRESHOLD
    max_zero_threshold: float = 0.0
    min_reset_seconds: float = 0.0


@cache
def get_bounds(schema: int) -> tuple[float, ...]:
    """Return the lower bounds of the buckets of a schema from 0.5 to 1; those of schema 0 for a negative one."""
    return FINEST_BOUNDS[:: 1 << (MAX_SCHEMA - max(schema, 0))]


def find_key(amount: float, schema: int, zero_threshold: float) -> int:
    """Return the key of the bucket of ``amount``, which is not NaN."""
    size = abs(amount)
    if size <= zero_threshold:
        return ZERO
    fraction, exponent = frexp(min(size, float_info.max))
    key = bisect_left(get_bounds(schema), fraction) + (exponent << max(schema, 0))
    if schema < 0:
        key = -((1 - key) >> -schema)  # the key of schema 0 is one more than the index
    if isinf(size):
        key += 1
    return key if amount > 0 else key + NEGATIVE


def to_index(key: int, schema: int) -> int:
    """Return the index of the bucket with this key, which is not that of the zero bucket, on its side of zero."""
    if key >= NEGATIVE // 2:
        key -= NEGATIVE
    return key - (1 << schema) if schema >= 0 else key


def to_key(index: int, schema: int) -> int:
    """Return the key of the bucket of positive numbers with this index."""
    return index + (1 << schema) if schema >= 0 else index


def halve_key(key: int, schema: int) -> int:
    """Return the key of the bucket of schema ``schema - 1`` that a bucket of ``schema`` lies in."""
    if key == ZERO:
        return ZERO
    half = to_key((to_index(key, schema) + 1) >> 1, schema - 1)
    return half if key < NEGATIVE // 2 else half + NEGATIVE


def coarsen_key(key: int, schema: int, target: int) -> int:
    """Return the key of the bucket of schema ``target`` that a bucket of ``schema`` lies in."""
    for each in range(schema, target, -1):
        key = halve_key(key, each)
    return key


def find_index(amount: float, schema: int) -> int:
    """Return the index of the bucket of ``amount``, which is neither 0 nor NaN, on its side of zero."""
    return to_index(find_key(amount, schema, 0.0), schema)


def find_bound(index: int, schema: int) -> float:
    """Return the upper bound of a bucket with positive numbers; the largest float for the last one, then ``inf``."""
    exponent, place = divmod(index, 1 << schema) if schema >= 0 else (index << -schema, 0)
    if exponent >= _END:
        return float_info.max if (exponent, place) == (_END, 0) else inf
    return ldexp(get_bounds(schema)[place], exponent + 1)


@lru_cache(maxsize=1024)  # readings ask for each block
def find_last_zero(schema: int, zero_threshold: float) -> int:
    """Return the largest index of a bucket that lies within the zero bucket, on either side of zero."""
    index = find_index(zero_threshold, schema) if zero_threshold else -NEGATIVE
    return index if find_bound(index, schema) <= zero_threshold else index - 1


def merge_stages(stages: Iterable[Stage], total: float, exemplars: Sequence[Exemplar] | None = None) -> NativeHistogram:
    """Return the histogram of all stages in the coarsest of their schemas; ``total`` is the sum of the observations.

    The count is the sum of all buckets. Buckets of any stage that lie within the largest of the zero thresholds are
    part of the zero bucket.
    """
    stages = list(stages)
    schema, zero_threshold = min(stage[0] for stage in stages), max(stage[1] for stage in stages)
    zero_count, positive, negative = 0.0, dict[int, float](), dict[int, float]()
    for own_schema, _, counts in stages:
        shift = own_schema - schema
        last_zero = find_last_zero(own_schema, zero_threshold)
        for key, count in counts.items():
            if not count:
                continue
            index = last_zero if key == ZERO else to_index(key, own_schema)
            if index <= last_zero:
                zero_count += count
            else:
                side = negative if key >= NEGATIVE // 2 else positive
                index = -(-index >> shift)
                side[index] = side.get(index, 0.0) + count
    count = zero_count + sum(positive.values()) + sum(negative.values())
    above, below = _make_spans(positive), _make_spans(negative)
    return NativeHistogram(
        count, total, schema, zero_threshold, zero_count, above[0], below[0], above[1], below[1], exemplars
    )


def _make_spans(counts: Mapping[int, float]) -> tuple[list[BucketSpan], list[int]]:
    """Return buckets as spans, and the difference of each count to the one before: benchmarks/render.py."""
    spans: list[BucketSpan] = []
    deltas: list[int] = []
    start, end, last, gap = 0, 0, 0, 0  # the bounds of the last span, and the distance of the one before it
    for index in sorted(counts):
        if index != end or not deltas:
            if deltas and index - end <= _MAX_GAP:
                deltas += (-last, *(0,) * (index - end - 1))
                last = 0
            else:
                if deltas:
                    spans.append(BucketSpan(gap, end - start))
                gap, start = index - end, index
        count = int(counts[index])
        deltas.append(count - last)
        end, last = index + 1, count
    if deltas:
        spans.append(BucketSpan(gap, end - start))
    return spans, deltas
