"""Native histograms are exponential ones: bucket ``i`` of Prometheus is bucket ``i - 1`` of OTLP."""

from __future__ import annotations

import pytest

from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.core import Metric
from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram
from tests.bridges.otlp.decoding import NOW, NOW_NS, encode_one, get_points

URL = "http://localhost:4318/v1/metrics"
SPANS = (BucketSpan(2, 2), BucketSpan(1, 1))


def _family(native):
    family = Metric("h_seconds", "Help.", "histogram", "seconds")
    family.add_sample("h_seconds", {"x": "y"}, 0, None, None, native)
    return family


def test_spans_and_changes_become_one_list_of_counts():
    exemplar = Exemplar({"user": "u"}, 3.0, NOW)
    native = NativeHistogram(
        9.0, 20.5, 3, 0.25, 2.0, SPANS, (BucketSpan(-1, 1),), (1, 1, -1), (3,), nh_exemplars=(exemplar,)
    )
    metric = encode_one(OTLP(URL), [_family(native)])
    assert (metric.name, metric.unit, metric.WhichOneof("data")) == ("h_seconds", "s", "exponential_histogram")
    (point,) = get_points(metric)
    assert (point.count, point.sum, point.scale, point.zero_count, point.zero_threshold) == (9, 20.5, 3, 2, 0.25)
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (1, [1, 2, 0, 1])
    assert (point.negative.offset, list(point.negative.bucket_counts)) == (-2, [3])
    assert [(one.as_double, one.time_unix_nano) for one in point.exemplars] == [(3.0, NOW_NS)]


def test_a_histogram_without_buckets_has_zeros_only():
    (point,) = get_points(encode_one(OTLP(URL), [_family(NativeHistogram(2.0, 0.0, -4, 1e-128, 2.0))]))
    assert (point.scale, point.zero_count, list(point.positive.bucket_counts)) == (-4, 2, [])


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        (NativeHistogram(0.0, 0.0, -53, 0.0, 0.0), "the schema of a native histogram is from -10 to 20"),
        (NativeHistogram(1.5, 0.0, 0, 0.0, 1.5), "the counts of a native histogram are whole numbers"),
        (NativeHistogram(3.0, 0.0, 0, 0.0, 1.0), "the buckets of a native histogram add up to its count"),
        (
            NativeHistogram(1.0, 0.0, 0, 0.0, 0.0, (BucketSpan(0, 2),), None, (1,)),
            "the spans of a native histogram have as many buckets as there are counts",
        ),
        (
            NativeHistogram(2.0, 0.0, 0, 0.0, 0.0, (BucketSpan(0, 1), BucketSpan(2**30, 1)), None, (1, 0)),
            "a native histogram spans at most 10000 buckets",
        ),
        (
            NativeHistogram(1.0, 0.0, 0, 0.0, 0.0, (BucketSpan(2**40, 1),), None, (1,)),
            "the index of a bucket has 32 bits",
        ),
        (NativeHistogram("x", 0.0, 0, 0.0, 0.0), "a native histogram needs numbers and spans"),
        (NativeHistogram(0.0, None, 0, 0.0, 0.0), "a native histogram needs numbers and spans"),
    ],
)
def test_what_an_exponential_histogram_cannot_hold_is_left_out_and_reported(native, reason):
    omitted = []
    sink = OTLP(URL)
    sink.on_omitted = lambda *what: omitted.append(what)
    assert not sink.encode([_family(native)], NOW).parts
    assert omitted == [("h_seconds", "otlp", reason)]
