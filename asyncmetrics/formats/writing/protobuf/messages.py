"""The parts of which a metric consists, as protobuf: numbers, buckets, native histograms, exemplars and times.

The numbers of the fields are those of ``metrics.proto``. Tags and sizes that recur are made once: benchmarks/render.py.

*Rule.* A count that is no whole number, or no number at all, goes into the float field beside the integer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import final

from asyncmetrics.formats.native_histograms import encode_buckets, encode_spans
from asyncmetrics.formats.protobuf import (
    encode_block,
    encode_double,
    encode_integer,
    encode_tag,
    encode_text,
    encode_varint,
    fold_sign,
)
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar, NativeHistogram, Timestamp, get_moment

__all__ = (
    "COUNTER",
    "FIRST_SECOND",
    "GAUGE",
    "HISTOGRAM",
    "LAST_SECOND",
    "SUMMARY",
    "UNTYPED",
    "CountHeads",
    "encode_bucket",
    "encode_count",
    "encode_created",
    "encode_exemplar",
    "encode_label",
    "encode_native",
    "encode_number",
    "encode_summary",
    "encode_time",
    "encode_totals",
    "frame_metric",
    "has_native_start",
    "pack_double",
)

GAUGE, COUNTER, SUMMARY, UNTYPED, HISTOGRAM = 2, 3, 4, 5, 7
"""The fields of a ``Metric``."""

_METRIC = 4  # the field of a `MetricFamily`
_MAX_COUNT = 2**63
_MAX_KEPT = 1024
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""What a ``Timestamp`` holds: the years 1 to 9999."""

_NATIVE_START_SECONDS = 1800  # half of what ends Prometheus, for clocks that differ

pack_double = Struct("<d").pack

_FRAMES = tuple(encode_tag(_METRIC, 2) + encode_varint(size) for size in range(_MAX_KEPT))


def frame_metric(size: int) -> bytes:
    """Return what stands before a ``Metric`` of this size in its family."""
    return _FRAMES[size] if size < _MAX_KEPT else encode_tag(_METRIC, 2) + encode_varint(size)


def encode_label(name: str, value: str) -> bytes:
    """Return a ``LabelPair``; the field is 1 in metrics and exemplars alike."""
    return encode_block(1, encode_text(1, name) + encode_text(2, value))


def encode_number(field: int, value: float) -> bytes:
    """Return a ``Gauge`` or an ``Untyped``."""
    return encode_block(field, encode_double(1, value))


def encode_count(whole_field: int, float_field: int, count: float) -> bytes:
    """Return a count, which is whole if it comes from observations."""
    if 0 <= count < _MAX_COUNT and count == int(count):
        return encode_integer(whole_field, int(count))
    return encode_double(float_field, float(count))


def encode_bucket(bound: float, count: float, exemplar: bytes = b"") -> bytes:
    """Return a ``Bucket`` of a histogram."""
    return encode_block(3, encode_count(1, 4, count) + encode_double(2, bound) + exemplar)


@final
class CountHeads(dict[float, bytes]):
    """A count and the tag of the double after it, by the count.

    Count and sum stand so in a histogram, and count and bound in a bucket. ``tag``, and the size of the bucket, stand
    before them if there is one.
    """

    def __init__(self, tag: bytes = b"") -> None:
        super().__init__()
        self._tag = tag

    def __missing__(self, count: float) -> bytes:
        head = encode_count(1, 4, count) + encode_tag(2, 1)
        if self._tag:
            head = self._tag + encode_varint(len(head) + 8) + head
        if len(self) < _MAX_KEPT:
            self[count] = head
        return head


def encode_time(field: int, time: float | Timestamp) -> bytes:
    """Return a ``Timestamp``, or nothing for a time that it cannot hold."""
    if type(time) is float and 1 <= time < LAST_SECOND:  # repr writes no exponent
        whole, _, digits = repr(time).partition(".")
        seconds, nanoseconds = int(whole), int(f"{digits[:9]:0<9}")
    else:
        seconds, rest = get_moment(time)
        nanoseconds = int(rest)
        if not FIRST_SECOND <= seconds <= LAST_SECOND:
            return b""
    return encode_block(field, encode_integer(1, seconds) + (encode_integer(2, nanoseconds) if nanoseconds else b""))


def encode_created(field: int, milliseconds: int) -> bytes:
    """Return the time of creation, to the millisecond: servers keep no more of it."""
    seconds, rest = divmod(milliseconds, 1000)
    return encode_block(field, encode_integer(1, seconds) + (encode_integer(2, rest * 10**6) if rest else b""))


def has_native_start(created: float, now: float) -> bool:
    """Return whether to write the time of creation of a native histogram.

    Prometheus 3.5 with ``created-timestamp-zero-ingestion`` ends when it reads one that is an hour old
    (https://github.com/prometheus/prometheus/issues/16318). It stores a zero for the first scrapes only.
    """
    return now - created < _NATIVE_START_SECONDS


def encode_exemplar(field: int, exemplar: Exemplar, write_name: Callable[[str], str]) -> bytes:
    """Return an ``Exemplar``; ``write_name`` returns the written name of a label, or ``""`` to leave it out."""
    labels = {write_name(name): to_label_text(value) for name, value in exemplar.labels.items()}
    labels.pop("", None)
    parts = [encode_label(name, value) for name, value in labels.items()]
    parts.append(encode_double(2, float(exemplar.value)))
    if exemplar.timestamp is not None:
        parts.append(encode_time(3, exemplar.timestamp))
    return encode_block(field, b"".join(parts))


def encode_native(histogram: NativeHistogram, exemplars: Iterable[bytes] = (), *, is_whole: bool = True) -> bytes:
    """Return the fields of a ``Histogram`` that its native part has; ``is_whole`` is whether its counts are."""
    zero_count = encode_integer(7, int(histogram.zero_count))
    if not is_whole:
        zero_count = encode_double(8, float(histogram.zero_count))
    parts = [
        encode_integer(5, fold_sign(int(histogram.schema))),
        encode_double(6, float(histogram.zero_threshold)),
        zero_count,
        encode_spans(9, histogram.neg_spans),
        encode_buckets(10, 11, histogram.neg_deltas, is_whole=is_whole),
        encode_spans(12, histogram.pos_spans) or _make_empty_span(histogram),
        encode_buckets(13, 14, histogram.pos_deltas, is_whole=is_whole),
        *exemplars,
    ]
    return b"".join(parts)


def _make_empty_span(histogram: NativeHistogram) -> bytes:
    """Return a span without buckets, by which servers see that an empty histogram without zero bucket is native."""
    is_plain = histogram.zero_threshold > 0 or histogram.zero_count > 0 or histogram.neg_spans
    return b"" if is_plain else encode_block(12, encode_integer(1, 0) + encode_integer(2, 0))


def encode_totals(count: float, total: float, *, is_whole: bool = True) -> bytes:
    """Return count and sum of a ``Histogram``; of one with other counts, the count has to be in the float field too."""
    encoded = encode_count(1, 4, count) if is_whole else encode_double(4, float(count))
    return encoded + encode_double(2, total)


def encode_summary(count: float, total: float, quantiles: Mapping[float, float]) -> bytes:
    """Return count, sum and quantiles of a ``Summary``, which has no float field for a count."""
    values = [encode_block(3, encode_double(1, at) + encode_double(2, value)) for at, value in quantiles.items()]
    whole = int(count) if 0 <= count < _MAX_COUNT else 0
    return b"".join((encode_integer(1, whole), encode_double(2, total), *values))
