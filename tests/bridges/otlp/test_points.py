"""The buckets of a histogram as OTLP has them: a whole number each, of 64 bits."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

from asyncmetrics.bridges.otlp.points import HistogramPacker

COUNTS = st.integers(0, 10) | st.integers(0, 2**59)


@given(st.lists(COUNTS, min_size=1, max_size=20), st.none() | st.floats(0, 1e9))
def test_the_decoder_reads_the_counts_and_their_sum(counts, total):
    numbers = [float(count) for count in counts]
    bounds = [float(bound) for bound in range(len(counts) - 1)]
    point = HistogramDataPoint.FromString(HistogramPacker(bounds).pack(1, 2, numbers, total))
    assert list(point.bucket_counts) == numbers
    assert point.count == sum(map(int, numbers))
    assert (point.sum if point.HasField("sum") else None) == total
    assert list(point.explicit_bounds) == bounds


@pytest.mark.parametrize("count", [-1.0, math.nan, math.inf, 2.0**64])
def test_what_is_no_count_is_refused(count):
    with pytest.raises((struct.error, ValueError, OverflowError)):
        HistogramPacker([1.0, 2.0]).pack(1, 2, [1.0, count, 0.0], None)
