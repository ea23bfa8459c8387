"""Native histograms: ``prometheus.Histogram`` (1.0) and ``io.prometheus.write.v2.Histogram``, which have equal fields.

A histogram whose counts are whole numbers has its buckets as differences (``deltas``). One with other counts, such as
an average over several machines, has them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import isnan
from struct import pack

from asyncmetrics.formats.native_histograms import list_bucket_counts
from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_integer, encode_varint, fold_sign
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

__all__ = ("encode_native_histogram",)

_MIN_SCHEMA, _MAX_SCHEMA = -4, 8
_MAX_COUNT = 2**63
_MAX_OFFSET = 2**31


def encode_native_histogram(field: int, histogram: NativeHistogram, time: int, start: int = 0) -> bytes:
    """Return the ``field`` of a series for one native histogram; ``time`` and ``start`` are in milliseconds.

    Raises ValueError, with the reason, for one that Prometheus refuses, and TypeError for what is no histogram.
    """
    negative, positive = list(histogram.neg_deltas or ()), list(histogram.pos_deltas or ())
    counts = [histogram.count_value, histogram.zero_count, *negative, *positive]
    is_whole = all(float(count).is_integer() for count in counts)
    _check(histogram, is_whole=is_whole)
    fields = [
        _encode_count(1, 2, histogram.count_value, is_whole=is_whole),
        encode_double(3, float(histogram.sum_value)),
        encode_integer(4, fold_sign(int(histogram.schema))),
        encode_double(5, float(histogram.zero_threshold)),
        _encode_count(6, 7, histogram.zero_count, is_whole=is_whole),
        *_encode_spans(8, histogram.neg_spans),
        _encode_buckets(9, 10, negative, is_whole=is_whole),
        *_encode_spans(11, histogram.pos_spans),
        _encode_buckets(12, 13, positive, is_whole=is_whole),
        encode_integer(15, time),
        encode_integer(17, start) if start else b"",
    ]
    return encode_block(field, b"".join(fields))


def _check(histogram: NativeHistogram, *, is_whole: bool) -> None:
    """Check what Prometheus checks (model/histogram/histogram.go, ``Validate``)."""
    if not _MIN_SCHEMA <= histogram.schema <= _MAX_SCHEMA:
        raise ValueError(f"the schema of a native histogram is from {_MIN_SCHEMA} to {_MAX_SCHEMA}")
    if not (histogram.zero_threshold >= 0 and histogram.zero_count >= 0 and 0 <= histogram.count_value < _MAX_COUNT):
        raise ValueError("count, zero count and zero threshold of a native histogram are not negative")
    negative = list_bucket_counts(histogram.neg_spans, histogram.neg_deltas)
    positive = list_bucket_counts(histogram.pos_spans, histogram.pos_deltas)
    if any(abs(offset) >= _MAX_OFFSET for offset, _ in (*(histogram.neg_spans or ()), *(histogram.pos_spans or ()))):
        raise ValueError("the index of a bucket has 32 bits")
    rest = histogram.count_value - sum(negative) - sum(positive) - histogram.zero_count
    # Observations of NaN are in no bucket, and make the sum NaN. Sums of fractions are not exact.
    if is_whole and (rest < 0 or (rest and not isnan(histogram.sum_value))):
        raise ValueError("the buckets of a native histogram add up to its count")


def _encode_count(whole_field: int, other_field: int, count: float, *, is_whole: bool) -> bytes:
    return encode_integer(whole_field, int(count)) if is_whole else encode_double(other_field, float(count))


def _encode_spans(field: int, spans: Sequence[BucketSpan] | None) -> Iterable[bytes]:
    for offset, length in spans or ():
        yield encode_block(field, encode_integer(1, fold_sign(int(offset))) + encode_integer(2, int(length)))


def _encode_buckets(whole_field: int, other_field: int, deltas: Sequence[float], *, is_whole: bool) -> bytes:
    if not deltas:
        return b""
    if is_whole:
        return encode_block(whole_field, b"".join(encode_varint(fold_sign(int(delta))) for delta in deltas))
    return encode_block(other_field, pack(f"<{len(deltas)}d", *accumulate(map(float, deltas))))
