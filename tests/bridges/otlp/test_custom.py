"""The families of custom collectors: what the decoder reads is what the collectors gave, and the rest is reported."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeHistogramMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    Sample,
    StateSetMetricFamily,
    SummaryMetricFamily,
)
from asyncmetrics.model.samples import get_moment
from tests.bridges.otlp.decoding import (
    IDENTITY,
    NOW,
    NOW_NS,
    decode,
    encode_one,
    get_points,
    list_metrics,
    list_samples,
    read_attributes,
)
from tests.formats.strategies import MILLISECONDS, TEXT_TYPES, UTF8, UTF8_LABELS, make_families

URL = "http://localhost:4318/v1/metrics"
TYPES = (*TEXT_TYPES, "info", "stateset")


def _expect(families):
    """Return the samples of ``families`` that OTLP has, as `list_samples` does."""
    for family in families:
        for name, labels, value, timestamp, *_ in family.samples:
            if name.endswith("_created") and name == f"{family.name}_created":
                continue
            shown = {key: repr(float(text)) if key in {"le", "quantile"} else text for key, text in labels.items()}
            seconds, nanoseconds = (0, NOW_NS) if timestamp is None else get_moment(timestamp)
            time = seconds * 10**9 + int(nanoseconds)
            yield name, tuple(sorted(shown.items())), value, time
            if family.type == "histogram" and labels.get("le") == "+Inf" and _has_negative_bound(family, labels):
                rest = {key: text for key, text in labels.items() if key != "le"}
                yield f"{family.name}_count", tuple(sorted(rest.items())), value, time


def _has_negative_bound(family, labels):
    others = {key: text for key, text in labels.items() if key != "le"}
    return not any(one.name == f"{family.name}_count" and one.labels == others for one in family.samples)


@settings(max_examples=60)
@given(make_families(TYPES, MILLISECONDS, names=UTF8, label_names=UTF8_LABELS, openmetrics=True))
def test_the_decoder_reads_the_samples_of_any_family(families):
    omitted = []
    sink = OTLP(URL)
    sink.on_omitted = lambda *what: omitted.append(what)
    metrics = list_metrics(sink.encode(families, NOW, IDENTITY))
    assert omitted == []
    assert sorted(list_samples(metrics)) == sorted(_expect(families))


@settings(max_examples=20)
@given(make_families(TYPES, MILLISECONDS, openmetrics=True))
def test_changes_of_the_first_push_are_the_numbers_themselves(families):
    changes = OTLP(URL, temporality="delta").encode(families, NOW, IDENTITY)
    numbers = OTLP(URL, temporality="cumulative").encode(families, NOW, IDENTITY)
    assert list_samples(list_metrics(changes)) == list_samples(list_metrics(numbers))


@pytest.mark.parametrize(
    ("family", "type_name"),
    [
        (CounterMetricFamily("a", "", 1), "counter"),
        (InfoMetricFamily("a", "", {"v": "1"}), "info"),
        (StateSetMetricFamily("a", "", {"on": True}), "stateset"),
        (SummaryMetricFamily("a", "", 1, 2), "summary"),
        (Metric("a", "", "unknown"), "unknown"),
    ],
)
def test_the_type_is_in_the_metadata(family, type_name):
    if not family.samples:
        family.add_sample("a", {}, 1)
    assert read_attributes(encode_one(OTLP(URL), [family]).metadata) == {"prometheus.type": type_name}


def test_an_info_and_a_stateset_are_cumulative_sums_that_may_fall():
    families = [InfoMetricFamily("a", "", {"v": "1"}), StateSetMetricFamily("b", "", {"on": True})]
    metrics = list_metrics(OTLP(URL, temporality="delta").encode(families, NOW, IDENTITY))
    assert [(one.name, one.sum.is_monotonic, one.sum.aggregation_temporality) for one in metrics] == [
        ("a_info", False, 2),
        ("b", False, 2),
    ]


def test_the_time_of_the_beginning_is_that_of_the_created_sample():
    family = CounterMetricFamily("a", "", 1, created=NOW - 2)
    assert get_points(encode_one(OTLP(URL), [family]))[0].start_time_unix_nano == NOW_NS - 2 * 10**9


def test_an_exemplar_has_the_identifiers_of_its_trace_as_bytes():
    labels = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "user": "u"}
    family = Metric("a", "", "counter")
    family.add_sample("a_total", {}, 1.0, None, Exemplar(labels, 0.5, NOW))
    (exemplar,) = get_points(encode_one(OTLP(URL), [family]))[0].exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (labels["trace_id"], labels["span_id"])
    assert (exemplar.as_double, exemplar.time_unix_nano) == (0.5, NOW_NS)
    assert read_attributes(exemplar.filtered_attributes) == {"user": "u"}


@pytest.mark.parametrize("trace_id", ["", "xyz", "0" * 32, "0af7651916cd43dd 448eb211c80319c", "g" * 32, "0af7"])
def test_what_is_no_identifier_of_a_trace_stays_an_attribute(trace_id):
    family = Metric("a", "", "counter")
    family.add_sample("a_total", {}, 1.0, None, Exemplar({"trace_id": trace_id}, 0.5))
    (exemplar,) = get_points(encode_one(OTLP(URL), [family]))[0].exemplars
    assert exemplar.trace_id == b""
    assert read_attributes(exemplar.filtered_attributes) == {"trace_id": trace_id}
    assert exemplar.time_unix_nano == NOW_NS


def _histogram(*buckets, **others):
    family = Metric("h", "", "histogram")
    for bound, count in buckets:
        family.add_sample("h_bucket", {"le": bound}, count)
    for suffix, value in others.items():
        family.add_sample(f"h_{suffix}", {}, value)
    return family


def _timed(time):
    family = Metric("h", "", "gauge")
    family.add_sample("h", {}, 1.0, time)
    return family


def _twice():
    family = Metric("h", "", "gauge")
    family.samples = [Sample("h", {}, 1.0), Sample("h", {}, 2.0)]
    return family


def _only(kind, suffix, **labels):
    family = Metric("h", "", kind)
    family.add_sample(f"h{suffix}", labels, 1.0)
    return family


@pytest.mark.parametrize(
    ("family", "reason", "count"),
    [
        (_histogram(("1", 1.0)), "the last bucket has to be +Inf", 1),
        (_histogram(("1", 2.0), ("+Inf", 1.0)), "buckets are cumulative", 2),
        (_histogram(("x", 2.0), ("+Inf", 2.0)), "a bucket needs the label le, a number", 1),
        (_histogram(("+Inf", 2.5)), "_bucket is a whole number", 1),
        (_histogram(("+Inf", 2.0**63)), "a count is below 2**63", 1),
        (_histogram(count=1.0), "a histogram needs buckets, or count and sum", 1),
        (_histogram(("+Inf", 2.0), count=3.0, sum=1.0), "_count has to equal the +Inf bucket", 1),
        (GaugeHistogramMetricFamily("h", "", [("+Inf", 1)], 2), "OTLP has no gaugehistogram", 3),
        (_only("summary", "_sum"), "a summary needs its _count", 1),
        (_only("counter", "_created"), "a counter needs its _total", 1),
        (_only("summary", "", quantile="2"), "the label quantile has to be from 0 to 1", 1),
        (_timed(-1.0), "the time is before 1970 or too large", 1),
        (_timed(1e11), "the time is before 1970 or too large", 1),
        (_twice(), "the series occurs twice", 1),
    ],
)
def test_what_otlp_cannot_hold_is_left_out_and_reported(family, reason, count):
    omitted = []
    sink = OTLP(URL)
    sink.on_omitted = lambda *what: omitted.append(what)
    sink.encode([family], NOW, IDENTITY)
    name = "h_total" if family.type == "counter" else "h"
    assert omitted == [(name, "otlp", reason)] * count


def test_a_contradicting_count_costs_the_sum_and_not_the_buckets():
    sink = OTLP(URL)
    sink.on_omitted = lambda *_: None
    (point,) = get_points(encode_one(sink, [_histogram(("1", 1.0), ("+Inf", 2.0), count=3.0, sum=1.0)]))
    assert (point.count, list(point.bucket_counts), point.HasField("sum")) == (2, [1, 1], False)


def test_buckets_may_come_in_any_order():
    family = _histogram(("+Inf", 3.0), ("0.5", 1.0), ("2", 2.0))
    (point,) = get_points(encode_one(OTLP(URL), [family]))
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.5, 2.0], [1, 1, 1])


def test_a_stray_sample_becomes_a_gauge_of_its_own():
    family = Metric("a", "", "gauge")
    family.add_sample("a", {}, 1.0)
    family.add_sample("b", {"x": "y"}, 2.0)
    metrics = list_metrics(OTLP(URL).encode([family], NOW, IDENTITY))
    assert [(one.name, one.WhichOneof("data")) for one in metrics] == [("a", "gauge"), ("b", "gauge")]


class _Hostile:
    def __float__(self):
        raise RuntimeError("no number")

    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "sample",
    [
        Sample("a", {}, _Hostile()),
        Sample("a", {"x": _Hostile()}, 1.0),
        Sample("a", None, 1.0),
        Sample("a", {}, 1.0, float("nan")),
        None,
        Sample("", {}, 1.0),
    ],
)
def test_a_sample_of_hostile_objects_costs_only_itself(sample):
    family = Metric("a", "", "gauge")
    family.samples = [sample, Sample("a", {"good": "1"}, 1.0)]
    sink = OTLP(URL)
    sink.on_omitted = lambda *_: None
    (point,) = get_points(encode_one(sink, [family]))
    assert read_attributes(point.attributes) == {"good": "1"}


def test_lone_surrogates_do_not_break_the_message():
    family = Metric("a", "x\ud800", "gauge")
    family.add_sample("a", {"x": "\ud800"}, 1.0)
    decode(OTLP(URL).encode([family], NOW, IDENTITY))


def test_target_info_describes_the_resource_and_is_no_metric():
    families = [InfoMetricFamily("target", "", {"region": "eu"}), CounterMetricFamily("a", "", 1)]
    (request,) = decode(OTLP(URL).encode(families, NOW, IDENTITY))
    (resource,) = request.resource_metrics
    assert read_attributes(resource.resource.attributes)["region"] == "eu"
    assert [metric.name for metric in resource.scope_metrics[0].metrics] == ["a_total"]


def test_histograms_without_buckets_have_one_bucket():
    family = HistogramMetricFamily("h", "")
    family.samples = [Sample("h_count", {}, 2.0), Sample("h_sum", {}, 5.0)]
    (point,) = get_points(encode_one(OTLP(URL), [family]))
    assert (point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)) == (2, 5.0, [2], [])
