"""`MetricChanges` and native histograms: counts, sums and buckets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.core import BucketSpan, Metric, NativeHistogram
from asyncmetrics.testing import MetricChanges
from tests.thoroughness import examples

AMOUNTS = st.lists(st.floats(-1e100, 1e100), max_size=10)


def test_the_count_and_the_sum_can_be_asserted(registry):
    taken = Histogram("fetch_seconds", "F.", ["kind"], buckets=(), native=True, registry=registry)
    taken.labels("a").observe(5)
    changes = MetricChanges(registry)
    taken.labels("a").observe(0.5)
    taken.labels("a").observe(2)
    changes.assert_delta("fetch_seconds", 2, kind="a")
    changes.assert_delta("fetch_seconds_count", 2, kind="a")
    changes.assert_delta("fetch_seconds_sum", 2.5, kind="a")


def test_the_buckets_are_those_that_have_grown_since(registry):
    taken = Histogram("fetch_seconds", "F.", ["kind"], native=0, registry=registry)
    taken.labels("a").observe(3)
    changes = MetricChanges(registry)
    for amount in (1.5, 2, -3, 0):
        taken.labels("a").observe(amount)
    assert list(changes.read_buckets("fetch_seconds", kind="a").values()) == [1, 1, 2]
    assert list(changes.read_buckets("fetch_seconds", kind="a"))[::2] == [(-4, -2), (1, 2)]
    changes.reset()
    assert changes.read_buckets("fetch_seconds", kind="a") == {}


@pytest.mark.parametrize("name", ["fetch_seconds", "other"])
def test_what_is_no_native_histogram_has_no_buckets(registry, name):
    changes = MetricChanges(registry)
    Histogram("fetch_seconds", "F.", registry=registry).observe(1)
    assert changes.read_buckets(name) == {}


@given(before=AMOUNTS, after=AMOUNTS, schema=st.integers(-4, 8))
@settings(max_examples=examples(100), deadline=None)
def test_each_observation_is_in_a_bucket_that_holds_it(before, after, schema):
    registry = CollectorRegistry()
    taken = Histogram("taken", "T.", buckets=(), native=schema, max_buckets=None, registry=registry)
    for amount in before:
        taken.observe(amount)
    changes = MetricChanges(registry)
    for amount in after:
        taken.observe(amount)
    left = sorted(after)
    for (low, high), count in changes.read_buckets("taken").items():
        for _ in range(int(count)):
            assert low <= left.pop(0) <= high
    assert left == []


def test_buckets_are_compared_in_the_coarser_of_two_resolutions():
    class Coarsening:
        natives = [
            NativeHistogram(3, 9.0, 1, 0.0, 0, [BucketSpan(1, 3)], None, [1, 0, 0]),
            NativeHistogram(5, 15.0, 0, 0.0, 0, [BucketSpan(1, 2)], None, [3, -1]),
        ]

        def collect(self):
            family = Metric("taken", "T.", "histogram")
            family.add_sample("taken", {}, 0, native_histogram=self.natives[0])
            yield family

    source = Coarsening()
    changes = MetricChanges(source)
    source.natives.pop(0)
    assert changes.read_buckets("taken") == {(1.0, 2.0): 1.0, (2.0, 4.0): 1.0}
    assert changes.delta("taken") == 2


def test_what_the_zero_bucket_has_taken_over_has_not_grown():
    class Widening:
        natives = [
            NativeHistogram(2, 1.5, 0, 0.0, 0, [BucketSpan(-1, 2)], None, [1, 0]),
            NativeHistogram(3, 1.75, 0, 0.5, 2, [BucketSpan(0, 1)], None, [1]),
        ]

        def collect(self):
            family = Metric("taken", "T.", "histogram")
            family.add_sample("taken", {}, 0, native_histogram=self.natives[0])
            yield family

    source = Widening()
    changes = MetricChanges(source)
    source.natives.pop(0)
    assert changes.read_buckets("taken") == {(-0.5, 0.5): 1.0}
