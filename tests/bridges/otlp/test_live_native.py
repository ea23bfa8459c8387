"""The native histograms of this library are exponential ones, or their classic buckets are sent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.bridges.otlp import environment as module
from asyncmetrics.errors import DefinitionError
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.otlp.decoding import IDENTITY, NOW, encode_one, get_points, list_metrics, read_attributes
from tests.thoroughness import examples

URL = "http://localhost:4318/v1/metrics"
VARIABLE = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"


def _observe(registry, *amounts, **options):
    histogram = Histogram("h", "Help.", ["x"], native=True, registry=registry, **options)
    for amount in amounts:
        histogram.labels("y").observe(amount)
    return collect_within(registry)


@given(amounts=st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=20), schema=st.integers(-4, 8))
@settings(max_examples=examples(100), deadline=None)
def test_every_observation_is_in_the_bucket_of_its_size(amounts, schema):
    registry = CollectorRegistry()
    histogram = Histogram("h", "", buckets=(), native=schema, max_buckets=None, registry=registry)
    total = 0.0
    for amount in amounts:
        histogram.observe(amount)
        total += amount
    (point,) = get_points(encode_one(OTLP(URL), collect_within(registry)))
    assert (point.count, point.sum) == (len(amounts), total)
    assert point.scale <= schema
    for sign, side in ((1, point.positive), (-1, point.negative)):
        expected: dict[int, int] = {}
        for amount in amounts:
            if sign * amount > point.zero_threshold:
                index = math.ceil(math.log2(abs(amount)) * 2.0**point.scale) - 1
                expected[index] = expected.get(index, 0) + 1
        found = {side.offset + place: count for place, count in enumerate(side.bucket_counts) if count}
        assert sum(found.values()) == sum(expected.values())
        # A logarithm may be one bucket off beside a bound.
        assert all(abs(one - other) <= 1 for one, other in zip(sorted(found), sorted(expected), strict=False))


def test_a_native_histogram_alone_is_an_exponential_one(registry):
    metric = encode_one(OTLP(URL), _observe(registry, 1, 2, buckets=()))
    assert (metric.name, metric.description, metric.WhichOneof("data")) == ("h", "Help.", "exponential_histogram")
    (point,) = get_points(metric)
    assert read_attributes(point.attributes) == {"x": "y"}
    assert (point.scale, point.count, point.sum, point.positive.offset) == (5, 2, 3.0, -1)


def test_a_classic_histogram_beside_a_native_one_is_sent_unless_the_option_says_otherwise(registry):
    families = list(_observe(registry, 1, 2, buckets=[1]))
    kinds = [encode_one(OTLP(URL, histograms=one), families).WhichOneof("data") for one in ("explicit", "exponential")]
    assert kinds == ["histogram", "exponential_histogram"]
    assert encode_one(OTLP(URL), families).WhichOneof("data") == "histogram"


def test_a_classic_histogram_stays_one_whatever_the_option_says(registry):
    Histogram("h", "", registry=registry).observe(1)
    sink = OTLP(URL, histograms="exponential")
    assert encode_one(sink, collect_within(registry)).WhichOneof("data") == "histogram"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("base2_exponential_bucket_histogram", "exponential_histogram"),
        ("EXPLICIT_BUCKET_HISTOGRAM", "histogram"),
        ("wide", "histogram"),
    ],
)
def test_the_kind_is_that_of_the_environment(registry, monkeypatch, text, kind):
    monkeypatch.setattr(module, "_logged", set())
    monkeypatch.setenv(VARIABLE, text)
    families = list(_observe(registry, 1, buckets=[1]))
    assert encode_one(OTLP(URL), families).WhichOneof("data") == kind
    assert encode_one(OTLP(URL, histograms="explicit"), families).WhichOneof("data") == "histogram"


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(DefinitionError, match="histograms"):
        OTLP(URL, histograms="native")  # type: ignore[arg-type]


def test_numbers_that_are_far_apart_get_a_scale_with_fewer_buckets(registry):
    """All buckets between two numbers are sent: at the scale 5 they would be 35,000."""
    (point,) = get_points(encode_one(OTLP(URL), _observe(registry, 1e-30, 1.01, 1.03, 1e300, buckets=())))
    assert (point.scale, point.count) == (3, 4)
    assert [count for count in point.positive.bucket_counts if count] == [1, 2, 1]


def test_changes_have_native_histograms_as_cumulative_numbers(registry):
    families = list(_observe(registry, 1, buckets=()))
    sink = OTLP(URL, temporality="delta")
    for _ in range(2):
        (metric,) = list_metrics(sink.encode(families, NOW, IDENTITY))
        assert metric.exponential_histogram.aggregation_temporality == 2
        assert get_points(metric)[0].count == 1


def test_the_exemplars_of_a_native_histogram_are_sent(registry):
    histogram = Histogram("h", "", native=True, buckets=[1, 2], registry=registry)
    for amount in (0.5, 1.5):
        histogram.observe(amount, exemplar={"user": str(amount)})
    (point,) = get_points(encode_one(OTLP(URL, histograms="exponential"), collect_within(registry)))
    assert [one.as_double for one in point.exemplars] == [0.5, 1.5]
