"""Native histograms of custom collectors as protobuf."""

from __future__ import annotations

import time
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, Metric, Sample
from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.model.native import Stage, find_key, merge_stages
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

decoding = pytest.importorskip("tests.formats.decoding", reason="needs protobuf", exc_type=ImportError)

WHOLE = NativeHistogram(
    6, 1.5, 2, 0.25, 1, [BucketSpan(-3, 2), BucketSpan(4, 1)], [BucketSpan(0, 1)], [1, 1, -1], [1], []
)
FLOAT = NativeHistogram(3.5, 1.0, 0, 0.0, 0.0, [BucketSpan(0, 2)], [], [1.5, 0.5], [], [])
CLASSIC = [("_bucket", {"le": "1"}, 1.0), ("_bucket", {"le": "+Inf"}, 6.0), ("_count", {}, 6.0), ("_sum", {}, 1.5)]


def make_family(native, *samples, kind="histogram", **fields):
    family = Metric("x", "", kind)
    family.samples = [Sample("x" + suffix, *rest) for suffix, *rest in samples]
    family.samples.append(Sample("x", {}, 0.0, native_histogram=native, **fields))
    return family


def decode(family):
    """Return the messages, and the reasons for which samples are left out."""
    reasons = []
    data = b"".join(encode_protobuf([family], on_omitted=lambda _, __, reason: reasons.append(reason)))
    return [metric for message in decoding.decode(data) for metric in message.metric], reasons


def to_counts(native):
    """Return the histogram with its counts in the place of differences, as `decoding.read_native` does."""
    deltas = [[sum(side[: end + 1]) for end in range(len(side))] for side in (native.pos_deltas, native.neg_deltas)]
    return native._replace(pos_deltas=deltas[0], neg_deltas=deltas[1])


AMOUNTS = st.lists(st.floats(allow_nan=False), max_size=20)
KINDS = st.sampled_from(["histogram", "gaugehistogram"])


@given(AMOUNTS, st.integers(-4, 8), st.sampled_from([0.0, 1e-9, 1.0]), KINDS)
def test_every_number_is_read_as_it_was(amounts, schema, zero_threshold, kind):
    counts: dict[int, float] = {}
    for amount in amounts:
        key = find_key(amount, schema, zero_threshold)
        counts[key] = counts.get(key, 0.0) + 1
    stage: Stage = (schema, zero_threshold, counts)
    native = merge_stages([stage], 1.5)
    ((metric,), reasons) = decode(make_family(native, kind=kind))
    assert decoding.is_native(metric.histogram)
    assert decoding.read_native(metric.histogram) == to_counts(native)._replace(nh_exemplars=[])
    assert reasons == []


def test_counts_that_are_not_whole_are_read_as_they_were():
    ((metric,), _) = decode(make_family(FLOAT, kind="gaugehistogram"))
    assert decoding.read_native(metric.histogram) == to_counts(FLOAT)
    assert metric.histogram.sample_count_float == 3.5


def test_a_whole_count_beside_others_is_a_float_too():
    native = FLOAT._replace(count_value=4.0, pos_deltas=[1.5, 1.0])
    ((metric,), _) = decode(make_family(native))
    assert metric.histogram.sample_count_float == 4.0  # servers take the buckets for whole numbers without it


def test_the_classic_buckets_come_beside_it():
    ((metric,), reasons) = decode(make_family(WHOLE, *CLASSIC))
    assert decoding.read_native(metric.histogram) == to_counts(WHOLE)
    assert [(bucket.upper_bound, bucket.cumulative_count) for bucket in metric.histogram.bucket] == [(1.0, 1)]
    assert reasons == []


@pytest.mark.parametrize(
    ("samples", "omitted"),
    [
        ([("_bucket", {"le": "1"}, 1.0)], ["the last bucket has to be +Inf"]),
        ([("_bucket", {"le": "+Inf"}, 7.0)], ["the buckets beside a native histogram count more than it does"]),
    ],
)
def test_wrong_classic_buckets_do_not_spoil_it(samples, omitted):
    created = int(time.time())
    ((metric,), reasons) = decode(make_family(WHOLE, *samples, ("_created", {}, created)))
    assert decoding.read_native(metric.histogram) == to_counts(WHOLE)
    assert (len(metric.histogram.bucket), metric.histogram.created_timestamp.seconds) == (0, created)
    assert reasons == omitted


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        (WHOLE._replace(schema=9), "the schema of a native histogram is from -4 to 8"),
        (WHOLE._replace(count_value=5), "the buckets of a native histogram add up to its count"),
        (WHOLE._replace(pos_deltas=[1]), "the spans of a native histogram have as many buckets as there are counts"),
        (WHOLE._replace(zero_count=inf), "a native histogram needs numbers and spans"),
        (WHOLE._replace(sum_value="a"), "a native histogram needs numbers and spans"),
        (WHOLE._replace(neg_spans=5), "a native histogram needs numbers and spans"),
    ],
)
def test_a_wrong_one_does_not_spoil_the_classic_buckets(native, reason):
    ((metric,), reasons) = decode(make_family(native, *CLASSIC))
    assert not decoding.is_native(metric.histogram)
    assert (metric.histogram.sample_count, reasons) == (6, [reason])


@pytest.mark.parametrize("native", [WHOLE, WHOLE._replace(schema=9)], ids=["right", "wrong"])
def test_one_that_is_hours_old_has_no_start_but_a_classic_one_has(native):
    """Prometheus 3.5 would end: issue 16318."""
    ((metric,), _) = decode(make_family(native, *CLASSIC, ("_created", {}, 5.0)))
    assert metric.histogram.HasField("created_timestamp") == (native is not WHOLE)


def test_a_wrong_one_does_not_spoil_count_and_sum():
    found, _ = decode(make_family(WHOLE._replace(schema=9), ("_count", {}, 6.0), ("_sum", {}, 1.5)))
    assert [metric.untyped.value for metric in found] == [6.0, 1.5]


def test_a_wrong_one_alone_is_left_out():
    assert decode(make_family(WHOLE._replace(schema=9)))[0] == []


def test_its_sum_may_be_nan():
    ((metric,), reasons) = decode(make_family(WHOLE._replace(count_value=7, sum_value=nan)))
    assert (metric.histogram.sample_count, reasons) == (7, [])


def test_its_exemplars_are_those_that_have_a_time():
    exemplars = [Exemplar({"a": "1"}, 1.0), Exemplar({"a": "2"}, 2.0, 5.25)]
    ((metric,), _) = decode(make_family(WHOLE._replace(nh_exemplars=exemplars)))
    assert decoding.read_native(metric.histogram).nh_exemplars == [Exemplar({"a": "2"}, 2.0, 5_250_000_000)]


def test_it_keeps_its_time():
    ((metric,), _) = decode(make_family(WHOLE, timestamp=1.5))
    assert metric.timestamp_ms == 1500
