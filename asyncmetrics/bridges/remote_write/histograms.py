"""Native histograms: ``prometheus.Histogram`` (1.0) and ``io.prometheus.write.v2.Histogram``, which have equal fields.

A histogram whose counts are whole numbers has its buckets as differences (``deltas``). One with other counts, such as
an average over several machines, has them as they are.
"""

from __future__ import annotations

from asyncmetrics.formats.native_histograms import check_native_histogram, encode_buckets, encode_spans
from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_integer, fold_sign
from asyncmetrics.model.samples import NativeHistogram

__all__ = ("encode_native_histogram",)


def encode_native_histogram(field: int, histogram: NativeHistogram, time: int, start: int = 0) -> bytes:
    """Return the ``field`` of a series for one native histogram; ``time`` and ``start`` are in milliseconds.

    *Rule.* Do not write the start of the series as well: Prometheus 3.5 with ``created-timestamp-zero-ingestion`` reads
    it there, and ends if the start is an hour old (https://github.com/prometheus/prometheus/issues/16318).

    Raises ValueError, with the reason, for one that Prometheus refuses, and TypeError for what is no histogram.
    """
    is_whole = check_native_histogram(histogram)
    fields = [
        _encode_count(1, 2, histogram.count_value, is_whole=is_whole),
        encode_double(3, float(histogram.sum_value)),
        encode_integer(4, fold_sign(int(histogram.schema))),
        encode_double(5, float(histogram.zero_threshold)),
        _encode_count(6, 7, histogram.zero_count, is_whole=is_whole),
        encode_spans(8, histogram.neg_spans),
        encode_buckets(9, 10, histogram.neg_deltas, is_whole=is_whole),
        encode_spans(11, histogram.pos_spans),
        encode_buckets(12, 13, histogram.pos_deltas, is_whole=is_whole),
        encode_integer(15, time),
        encode_integer(17, start) if start else b"",
    ]
    return encode_block(field, b"".join(fields))


def _encode_count(whole_field: int, other_field: int, count: float, *, is_whole: bool) -> bytes:
    return encode_integer(whole_field, int(count)) if is_whole else encode_double(other_field, float(count))
