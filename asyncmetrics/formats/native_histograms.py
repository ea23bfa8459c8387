"""What the buckets of a native histogram have to be, in every format that has some, and their messages.

A custom collector may yield any numbers. Prometheus refuses a whole request, or a whole scrape, for one wrong
histogram, so each histogram is checked before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import isnan
from struct import pack

from asyncmetrics.formats.protobuf import encode_block, encode_integer, encode_varint, fold_sign
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

__all__ = ("check_native_histogram", "encode_buckets", "encode_spans", "list_bucket_counts")

_MIN_SCHEMA, _MAX_SCHEMA = -4, 8
_MAX_COUNT = 2**63
_MAX_OFFSET = 2**31
_MAX_KEPT = 1024  # differences below it are kept, and so many spans


class _Deltas(dict[float, bytes]):
    """The varint of a difference. Most are small, and recur: benchmarks/render.py."""

    def __missing__(self, delta: float) -> bytes:
        encoded = encode_varint(fold_sign(int(delta)))
        if abs(delta) < _MAX_KEPT:
            self[delta] = encoded
        return encoded


_DELTAS = _Deltas()
_SPANS: dict[int, dict[tuple[int, int], bytes]] = {}  # by the field; they recur as well


def list_bucket_counts(spans: Iterable[BucketSpan] | None, deltas: Iterable[float] | None) -> list[float]:
    """Return the counts of the buckets of one side, the positive or the negative one.

    Raises ValueError, with the reason, if the buckets contradict the spans or a count is negative or NaN.
    """
    counts = list(accumulate(deltas or ()))
    sizes = [length for _, length in spans or ()]
    gaps = [offset for offset, _ in spans or ()][1:]
    if any(number < 0 for number in (*sizes, *gaps)):
        raise ValueError("the spans of a native histogram are in order")
    if sum(sizes) != len(counts):
        raise ValueError("the spans of a native histogram have as many buckets as there are counts")
    if not all(count >= 0 for count in counts):
        raise ValueError("the counts of a native histogram can be neither negative nor NaN")
    return counts


def check_native_histogram(histogram: NativeHistogram) -> bool:
    """Return whether all counts are whole numbers.

    Checks what Prometheus checks (model/histogram/histogram.go, ``Validate``). Raises ValueError, with the reason, for
    a histogram that Prometheus refuses, and TypeError for what is no histogram.
    """
    if not _MIN_SCHEMA <= histogram.schema <= _MAX_SCHEMA:
        raise ValueError(f"the schema of a native histogram is from {_MIN_SCHEMA} to {_MAX_SCHEMA}")
    if not (histogram.zero_threshold >= 0 and histogram.zero_count >= 0 and 0 <= histogram.count_value < _MAX_COUNT):
        raise ValueError("count, zero count and zero threshold of a native histogram are not negative")
    negative = list_bucket_counts(histogram.neg_spans, histogram.neg_deltas)
    positive = list_bucket_counts(histogram.pos_spans, histogram.pos_deltas)
    if any(abs(offset) >= _MAX_OFFSET for offset, _ in (*(histogram.neg_spans or ()), *(histogram.pos_spans or ()))):
        raise ValueError("the index of a bucket has 32 bits")
    deltas = (*(histogram.neg_deltas or ()), *(histogram.pos_deltas or ()))
    counts = (histogram.count_value, histogram.zero_count, *deltas)
    is_whole = all(float(count).is_integer() for count in counts)
    has_nan = isnan(histogram.sum_value)
    rest = histogram.count_value - sum(negative) - sum(positive) - histogram.zero_count
    # Observations of NaN are in no bucket, and make the sum NaN. Sums of fractions are not exact.
    if is_whole and (rest < 0 or (rest and not has_nan)):
        raise ValueError("the buckets of a native histogram add up to its count")
    return is_whole


def encode_spans(field: int, spans: Sequence[BucketSpan] | None) -> bytes:
    """Return each span as a message in the field ``field``."""
    kept = _SPANS.setdefault(field, {})
    encoded = []
    for offset, length in spans or ():
        message = kept.get((offset, length))
        if message is None:
            message = encode_block(field, encode_integer(1, fold_sign(int(offset))) + encode_integer(2, int(length)))
            if len(kept) < _MAX_KEPT:
                kept[offset, length] = message
        encoded.append(message)
    return b"".join(encoded)


def encode_buckets(whole_field: int, other_field: int, deltas: Sequence[float] | None, *, is_whole: bool) -> bytes:
    """Return the buckets as differences in ``whole_field``, or as counts in ``other_field``."""
    if not deltas:
        return b""
    if is_whole:
        return encode_block(whole_field, b"".join([_DELTAS[delta] for delta in deltas]))
    return encode_block(other_field, pack(f"<{len(deltas)}d", *accumulate(map(float, deltas))))
