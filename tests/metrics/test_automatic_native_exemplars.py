"""Exemplars by themselves of native histograms: one for each power of two, or for each classic bucket."""

from __future__ import annotations

from math import inf, nan

import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.storage import MemoryStorage
from tests.metrics.exemplars import Provider, scrape


@pytest.fixture
def provider():
    return Provider()


def read_native(registry):
    (exemplars,) = [
        sample.native_histogram.nh_exemplars
        for family in registry.collect()
        for sample in family.samples
        if sample.native_histogram
    ]
    return [(exemplar.labels["n"], exemplar.value) for exemplar in exemplars or ()]


@pytest.fixture(params=[False, True], ids=["", "with locks"])
def memory(request):
    return CollectorRegistry(storage=MemoryStorage(locking=request.param))


def test_a_native_histogram_takes_one_exemplar_for_each_power_of_two_and_scrape(memory, provider):
    histogram = Histogram("h", "H.", native=True, buckets=(), registry=memory, exemplars=provider)
    for amount in (0.6, 0.7, 5, 7, 0.8, 0.0, -0.6, inf, nan):
        histogram.observe(amount)
    assert read_native(memory) == [("1", 0.6), ("2", 5)]  # zero and infinity share the place of 0.5 to 1
    histogram.observe(0)
    assert read_native(memory) == [("1", 0.6), ("2", 5), ("3", 0)]
    histogram.observe(6)
    assert read_native(memory) == [("1", 0.6), ("3", 0), ("4", 6)]
    assert memory.get_sample_value("h_count") == 10


def test_a_native_histogram_with_classic_buckets_takes_one_for_each_of_them(memory, provider):
    histogram = Histogram("h", "H.", native=True, buckets=[1, 2], registry=memory, exemplars=provider)
    for amount in (0.1, 0.7, 1.5, 0.8, inf, nan, 100):
        histogram.observe(amount)
    assert read_native(memory) == [("1", 0.1), ("2", 1.5), ("3", inf)]
    assert scrape(memory)["h_bucket", "1.0"] == ({"n": "1"}, 0.1)
    histogram.observe(0.2)
    assert read_native(memory) == [("2", 1.5), ("3", inf), ("4", 0.2)]


@pytest.mark.parametrize("buckets", [[], [1]])
def test_a_native_histogram_asks_after_longer_and_longer_waits(buckets, memory, provider):
    histogram = Histogram("h", "H.", native=True, buckets=buckets, registry=memory, exemplars=provider)
    provider.is_sampled = False
    for _ in range(64):
        histogram.time()(lambda: None)
        histogram.observe(1)
    assert provider.calls >= 7
    provider.calls = 0
    for _ in range(640):
        histogram.observe(1)
    assert provider.calls == 10


@pytest.mark.parametrize("buckets", [[], [1]])
def test_a_provider_may_observe_while_a_native_histogram_coarsens(buckets, memory):
    calls = []

    def provide():
        calls.append(1)
        for power in range(3):
            histogram.observe(1.1 ** (power + 3 * len(calls)), {"own": "1"})
        return {"n": "1"}

    options = {"native": 8, "max_buckets": 4, "buckets": buckets, "registry": memory}
    histogram = Histogram("h", "H.", exemplars=provide, **options)
    for power in range(20):
        histogram.observe(1.7**power)
        scrape(memory)
    assert len(calls) == 20
    assert memory.get_sample_value("h_count") == 80
