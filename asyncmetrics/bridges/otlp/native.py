"""Native histograms of Prometheus, as exponential histograms of OTLP.

*Rules* (OpenTelemetry, "Prometheus and OpenMetrics Compatibility", "Exponential Histograms", read backwards).

* The schema is the scale.
* The bucket ``i`` of Prometheus, which ends at ``base ** i``, is the bucket ``i - 1`` of OTLP, which begins there.
* Spans become one list of counts, with zeros in the gaps. The scale is lowered until the list is short enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from struct import Struct

from asyncmetrics.formats.native_histograms import list_bucket_counts
from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_integer, encode_varint, fold_sign
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

__all__ = ("MAX_BUCKETS", "encode_native_histogram")

MAX_BUCKETS = 10_000
"""Buckets from the first to the last one that is not empty: spans with a large gap would need any amount of memory."""

_MIN_SCALE, _MAX_SCALE = -10, 20  # of the exponential histograms of OpenTelemetry's SDKs
_MAX_INDEX = 2**31 - 1
_HEAD = Struct("<BQBQBQBd").pack


def encode_native_histogram(histogram: NativeHistogram, start: int, now: int) -> bytes:
    """Return an ``ExponentialHistogramDataPoint`` without attributes and exemplars.

    Raises ValueError, with the reason, for a histogram that OTLP cannot hold.
    """
    scale = histogram.schema
    if not isinstance(scale, int) or not _MIN_SCALE <= scale <= _MAX_SCALE:
        raise ValueError(f"the schema of a native histogram is from {_MIN_SCALE} to {_MAX_SCALE}")
    zeros = _to_count(histogram.zero_count)
    sides = (
        _read_counts(histogram.pos_spans or (), histogram.pos_deltas or ()),
        _read_counts(histogram.neg_spans or (), histogram.neg_deltas or ()),
    )
    count = _to_count(histogram.count_value)
    if count != zeros + sum(sum(side.values()) for side in sides):
        raise ValueError("the buckets of a native histogram add up to its count")
    while scale > _MIN_SCALE and any(_get_width(side) > MAX_BUCKETS for side in sides):
        sides, scale = (_halve(sides[0]), _halve(sides[1])), scale - 1
    parts = [
        _HEAD(0x11, start, 0x19, now, 0x21, count, 0x29, float(histogram.sum_value)),
        encode_integer(6, fold_sign(scale)),
        Struct("<BQ").pack(0x39, zeros),
        encode_block(8, _encode_buckets(sides[0])),
        encode_block(9, _encode_buckets(sides[1])),
        encode_double(14, float(histogram.zero_threshold)),
    ]
    return b"".join(parts)


def _to_count(number: float) -> int:
    if not 0 <= number < 2**63 or number != int(number):
        raise ValueError("the counts of a native histogram are whole numbers")
    return int(number)


def _read_counts(spans: Sequence[BucketSpan], deltas: Sequence[int]) -> dict[int, int]:
    """Return the counts of the buckets by their indexes in OTLP, in order."""
    counts = iter(list_bucket_counts(spans, deltas))
    found: dict[int, int] = {}
    index = -1
    for offset, length in spans:
        index += offset
        found.update(zip(range(index, index + length), map(_to_count, islice(counts, length)), strict=True))
        index += length
    if found and not -_MAX_INDEX < min(found) <= max(found) < _MAX_INDEX - 1:
        raise ValueError("the index of a bucket has 32 bits")
    return found


def _get_width(counts: dict[int, int]) -> int:
    return max(counts) - min(counts) + 1 if counts else 0


def _halve(counts: dict[int, int]) -> dict[int, int]:
    """Return the buckets of the scale below: each has two of these."""
    halved: dict[int, int] = {}
    for index, count in counts.items():
        halved[index >> 1] = halved.get(index >> 1, 0) + count
    return halved


def _encode_buckets(counts: dict[int, int]) -> bytes:
    if not counts:
        return b""
    first, width = min(counts), _get_width(counts)
    if width > MAX_BUCKETS:
        raise ValueError(f"a native histogram spans at most {MAX_BUCKETS} buckets")
    dense = (counts.get(index, 0) for index in range(first, first + width))
    return encode_integer(1, fold_sign(first)) + encode_block(2, b"".join(map(encode_varint, dense)))
