"""Native histograms of Prometheus, as exponential histograms of OTLP.

*Rules* (OpenTelemetry, "Prometheus and OpenMetrics Compatibility", "Exponential Histograms", read backwards).

* The schema is the scale.
* The bucket ``i`` of Prometheus, which ends at ``base ** i``, is the bucket ``i - 1`` of OTLP, which begins there.
* Spans become one list of counts, with zeros in the gaps.

The histograms of this library have no such buckets yet; those of custom collectors come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    positive = _list_counts(histogram.pos_spans or (), histogram.pos_deltas or ())
    negative = _list_counts(histogram.neg_spans or (), histogram.neg_deltas or ())
    count = _to_count(histogram.count_value)
    if count != zeros + sum(positive[1]) + sum(negative[1]):
        raise ValueError("the buckets of a native histogram add up to its count")
    parts = [
        _HEAD(0x11, start, 0x19, now, 0x21, count, 0x29, float(histogram.sum_value)),
        encode_integer(6, fold_sign(scale)),
        Struct("<BQ").pack(0x39, zeros),
        encode_block(8, _encode_buckets(*positive)),
        encode_block(9, _encode_buckets(*negative)),
        encode_double(14, float(histogram.zero_threshold)),
    ]
    return b"".join(parts)


def _to_count(number: float) -> int:
    if not 0 <= number < 2**63 or number != int(number):
        raise ValueError("the counts of a native histogram are whole numbers")
    return int(number)


def _list_counts(spans: Sequence[BucketSpan], deltas: Sequence[int]) -> tuple[int, list[int]]:
    """Return the index of the first bucket in OTLP, and the counts from there on."""
    counts = [_to_count(count) for count in list_bucket_counts(spans, deltas)]
    if not counts:
        return 0, []
    first = index = spans[0].offset
    dense: list[int] = []
    position = 0
    for number, span in enumerate(spans):
        gap = span.offset if number else 0
        if len(dense) + gap + span.length > MAX_BUCKETS:
            raise ValueError(f"a native histogram spans at most {MAX_BUCKETS} buckets")
        dense += [0] * gap + counts[position : position + span.length]
        position += span.length
        index += gap + span.length
    if not -_MAX_INDEX < first <= index < _MAX_INDEX:
        raise ValueError("the index of a bucket has 32 bits")
    return first - 1, dense


def _encode_buckets(offset: int, counts: Iterable[int]) -> bytes:
    packed = b"".join(map(encode_varint, counts))
    return encode_integer(1, fold_sign(offset)) + encode_block(2, packed) if packed else b""
