"""The native histograms of this library are series of their own, in requests of their own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.core import Metric, NativeHistogram
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.remote_write.oracle import Decoded, decode
from tests.bridges.remote_write.test_encoding import IDENTITY, URL, encode, find_ends
from tests.thoroughness import examples

AMOUNTS = st.lists(st.floats(-1e300, 1e300), max_size=20)
BOTH, ALONE = [1, 2], ()


def read_spans(spans: Any, deltas: Any) -> dict[int, int]:
    """Return the counts by the index of their bucket."""
    counts, index, count, left = {}, 0, 0, iter(deltas or ())
    for span in spans or ():
        index += span.offset
        for _ in range(span.length):
            count += next(left)
            counts[index] = count
            index += 1
    return {index: count for index, count in counts.items() if count}


def list_names(found: list[Decoded]) -> list[str]:
    return sorted(dict(one.labels)["__name__"] for one in found)


@pytest.mark.parametrize("version", [1, 2])
@given(amounts=AMOUNTS, schema=st.integers(-4, 8))
@settings(max_examples=examples(60), deadline=None)
def test_every_bucket_is_sent(version, amounts, schema):
    registry = CollectorRegistry()
    histogram = Histogram("taken", "T.", ["kind"], buckets=(), native=schema, max_buckets=None, registry=registry)
    taken = histogram.labels("a")
    for amount in amounts:
        taken.observe(amount)
    histogram.labels("b")
    found = {dict(one.labels)["kind"]: one for one in encode(collect_within(registry), version)}
    (family,) = registry.collect()
    natives: list[Any] = [(one.labels["kind"], one.native_histogram) for one in family.samples if one.native_histogram]
    assert len(natives) == len(found) == 2
    for kind, native in natives:
        (sent,) = found[kind].histograms
        assert (sent.schema, sent.count_int, sent.sum) == (schema, native.count_value, native.sum_value)
        assert (sent.zero_count_int, sent.zero_threshold) == (native.zero_count, native.zero_threshold)
        for side, spans, deltas in (("positive", native.pos_spans, native.pos_deltas), ("negative", *native[6:9:2])):
            read = read_spans(getattr(sent, f"{side}_spans"), getattr(sent, f"{side}_deltas"))
            assert read == read_spans(spans, deltas)


@pytest.mark.parametrize("version", [1, 2])
def test_a_native_histogram_is_a_series_beside_those_of_the_classic_one(version, registry):
    classic = CollectorRegistry()
    for native, where in ((True, registry), (False, classic)):
        Histogram("taken", "T.", ["kind"], buckets=BOTH, native=native, registry=where).labels("x").observe(1.5)
    both = encode(collect_within(registry), version)
    (native_one,) = (one for one in both if one.histograms)
    assert list_names([one for one in both if one.samples]) == list_names(encode(collect_within(classic), version))
    assert dict(native_one.labels) == {"__name__": "taken", "kind": "x", "job": "shop", "instance": "host:0"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_native_histogram_without_classic_buckets_is_one_series(version, registry):
    Histogram("taken", "T.", buckets=ALONE, native=True, registry=registry).observe(1.5)
    (one,) = encode(collect_within(registry), version)
    assert (len(one.histograms), len(one.samples)) == (1, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_native_histograms_are_in_requests_of_their_own(version, registry):
    for name, buckets in (("taken", BOTH), ("alone", ALONE)):
        Histogram(name, "T.", buckets=buckets, native=True, registry=registry).observe(1.5)
    payload = RemoteWrite(URL, version=version).encode(collect_within(registry), time.time(), IDENTITY)
    first, second = (decode(part.data, version)[0] for part in payload.parts)
    assert not any(one.histograms for one in first)
    assert list_names(second) == ["alone", "taken"]


def test_2_has_the_type_and_the_start_of_a_native_histogram(registry):
    before = time.time()
    Histogram("taken", "Time.", buckets=ALONE, native=True, registry=registry).observe(1.5)
    (one,) = encode(collect_within(registry), 2, now=time.time())
    assert one.metadata == (3, "Time.", "")
    of_series, of_histogram = one.starts
    assert int(before * 1000) <= of_histogram <= time.time() * 1000
    assert of_series == 0  # Prometheus 3.5 would end: issue 16318


def test_the_series_of_a_collectors_native_histogram_has_no_start_either():
    family = Metric("taken", "T.", "histogram")
    family.add_sample("taken", {}, 0, native_histogram=NativeHistogram(1.0, 1.0, 0, 0.5, 1.0))
    family.add_sample("taken_created", {}, 1_600_000_000)
    (one,) = encode([family], 2)
    assert one.starts == (0, 1_600_000_000_000)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("buckets", [BOTH, ALONE])
def test_a_series_that_is_gone_gets_one_end_mark(version, buckets, registry):
    histogram = Histogram("taken", "T.", ["kind"], buckets=buckets, native=True, registry=registry)
    histogram.labels("x").observe(1)
    histogram.labels("y").observe(1)
    sink = RemoteWrite(URL, version=version)
    names = list_names([one for one in encode(collect_within(registry), version, sink) if ("kind", "x") in one.labels])
    histogram.remove("x")
    ends = find_ends(encode(collect_within(registry), version, sink))
    assert sorted(end["__name__"] for end in ends) == names
    assert {end["kind"] for end in ends} == {"x"}
    assert find_ends(encode(collect_within(registry), version, sink)) == []


def test_a_histogram_that_becomes_a_native_one_gets_no_end_marks_beside_its_samples():
    sink = RemoteWrite(URL)
    for native in (False, True):
        registry = CollectorRegistry()
        Histogram("taken", "T.", buckets=BOTH, native=native, registry=registry)
        found = encode(collect_within(registry), 2, sink)
    assert find_ends(found) == []


def wait_for_another_millisecond() -> None:
    begin = int(time.time() * 1000)
    while int(time.time() * 1000) == begin:
        pass


@pytest.mark.parametrize("version", [1, 2])
def test_the_exemplars_of_a_native_histogram_are_sent_once_and_in_the_order_of_their_times(version, registry):
    """Prometheus 3.5 refuses a request of 2.0 with an exemplar that is older than one it has."""
    histogram = Histogram("taken", "T.", buckets=[1, 2, 4], native=True, registry=registry)
    sink = RemoteWrite(URL, version=version)
    sent = []
    for traces in (["c", "b"], ["d"], []):
        for size, trace in enumerate(traces):
            wait_for_another_millisecond()
            histogram.observe(3 - size, exemplar={"t": trace})
        found = encode(collect_within(registry), version, sink, time.time())
        (exemplars,) = (one.exemplars for one in found if one.histograms)
        sent.append([dict(labels)["t"] for labels, _, _ in exemplars])
    assert sent == [["c", "b"], ["d"], []]
