"""What `RemoteWrite` encodes is what the families hold: read by another decoder of protocol buffers."""

from __future__ import annotations

import math
import struct
from typing import Any, Literal

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.core import (
    BucketSpan,
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    NativeHistogram,
)
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.remote_write.oracle import Decoded, decode
from tests.formats.strategies import ALL_TYPES, HOSTILE, MILLISECONDS, UTF8, UTF8_LABELS, make_families

NOW = 1_700_000_000.25
NOW_MS = 1_700_000_000_250
IDENTITY = Identity("shop", "host:0")
URL = "http://localhost:9/api/v1/write"
STALE = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"


def encode(families, version: Literal[1, 2], sink: RemoteWrite | None = None, now: float = NOW) -> list[Decoded]:
    """Return the series of all requests of a payload, each checked for the rules of the protocol."""
    sink = sink or RemoteWrite(URL, version=version)
    payload = sink.encode(families, now, IDENTITY)
    found = []
    for part in payload.parts:
        series, _ = decode(part.data, version)
        assert part.samples == sum(len(one.samples) + len(one.histograms) for one in series) <= 3_000
        found += series
        if part.on_sent:
            part.on_sent()
    for one in found:
        names = [name.encode() for name, _ in one.labels]
        assert names == sorted(set(names))
        assert all(text for _, text in one.labels)
    assert len({one.labels for one in found}) == len(found)
    return found


def to_bits(value: float) -> bytes:
    return struct.pack("<d", value)


def list_expected(families) -> dict:
    """Return times, values and exemplars of each series, by its labels, as the samples of families have them."""
    series: dict = {}
    for family in families:
        for sample in family.samples:
            labels = {"job": "shop", "instance": "host:0", **sample.labels, "__name__": sample.name}
            key = tuple(sorted((name, text) for name, text in labels.items() if text))
            time = NOW_MS if sample.timestamp is None else int(float(sample.timestamp) * 1000)
            if time > NOW_MS + 600_000:
                continue
            exemplar = sample.exemplar
            shown = []
            if exemplar is not None:
                when = time if exemplar.timestamp is None else int(float(exemplar.timestamp) * 1000)
                pairs = tuple(sorted((name, text) for name, text in exemplar.labels.items() if text))
                shown = [(pairs, exemplar.value, when)]
            if not (sample.name.endswith("_created") and family.type in {"counter", "summary", "histogram"}):
                series.setdefault(key, {}).setdefault(time, (to_bits(sample.value), shown))
    return series


def list_found(decoded: list[Decoded]) -> dict:
    return {one.labels: ([(time, to_bits(value)) for time, value in one.samples], one.exemplars) for one in decoded}


def flatten(expected: dict) -> dict:
    flat = {}
    for key, readings in expected.items():
        ordered = sorted(readings.items())
        flat[key] = (
            [(time, value) for time, (value, _) in ordered],
            [exemplar for _, (_, exemplars) in ordered for exemplar in exemplars],
        )
    return flat


@settings(max_examples=50)
@given(make_families(ALL_TYPES, MILLISECONDS, openmetrics=True))
@pytest.mark.parametrize("version", [1, 2])
def test_all_samples_and_exemplars_of_custom_families_are_sent(version, families):
    assert list_found(encode(families, version)) == flatten(list_expected(families))


@settings(max_examples=50)
@given(make_families(ALL_TYPES, MILLISECONDS, names=UTF8, label_names=UTF8_LABELS, openmetrics=True))
def test_version_2_keeps_names_of_any_script(families):
    assert list_found(encode(families, 2)) == flatten(list_expected(families))


@settings(max_examples=50)
@given(st.lists(st.tuples(HOSTILE, HOSTILE, st.floats(0, 1e9)), max_size=20))
@pytest.mark.parametrize("version", [1, 2])
def test_all_samples_of_live_families_are_sent(version, uses):
    registry = asyncmetrics.CollectorRegistry()
    options = {"registry": registry, "max_children": None}
    counter = asyncmetrics.Counter("orders", "Orders.", ["Zone", "kind"], **options)
    gauge = asyncmetrics.Gauge("depth", "Depth.", ["job", "kind"], **options)
    histogram = asyncmetrics.Histogram("taken", "T.", ["Zone", "zone"], buckets=[0.5, 1e7], unit="seconds", **options)
    summary = asyncmetrics.Summary("sizes", "Sizes.", ["a", "z"], **options)
    info = asyncmetrics.Info("build", "Build.", ["kind"], **options)
    state = asyncmetrics.Enum("Mode", "Mode.", ["A", "a"], states=["on", "off"], **options)
    for one, other, number in uses:
        counter.labels(one, other).inc(number, exemplar={"trace_id": "abc"} if number > 1 else None)
        gauge.labels(one, other).set(-number)
        histogram.labels(one, other).observe(number, exemplar={"trace_id": "def"} if number > 2 else None)
        summary.labels(one, other).observe(number)
        info.labels(one).info({"fact": other})
        state.labels(one, other).state("on" if number > 1 else "off")
    families = list(registry.collect())
    assert list_found(encode(collect_within(registry), version)) == flatten(list_expected(families))


@pytest.mark.parametrize("version", [1, 2])
def test_an_uppercase_label_sorts_before_the_name(version, registry):
    asyncmetrics.Counter("orders", "Orders.", ["Zone", "kind"], registry=registry).labels("eu", "retail").inc()
    (series,) = encode(collect_within(registry), version)
    assert [name for name, _ in series.labels] == ["Zone", "__name__", "instance", "job", "kind"]


@pytest.mark.parametrize("version", [1, 2])
def test_labels_of_the_series_win_over_those_of_the_sink_and_of_the_process(version, registry):
    gauge = asyncmetrics.Gauge("depth", "Depth.", ["job", "region"], registry=registry)
    gauge.labels("mine", "eu").set(1)
    sink = RemoteWrite(URL, version=version, labels={"region": "us", "instance": "i", "cell": "c"})
    (series,) = encode(collect_within(registry), version, sink)
    assert dict(series.labels) == {"__name__": "depth", "job": "mine", "region": "eu", "instance": "i", "cell": "c"}


def test_version_2_sends_type_help_and_unit_with_each_series(registry):
    asyncmetrics.Histogram("taken", "How long.", unit="seconds", registry=registry).observe(1)
    assert {one.metadata for one in encode(collect_within(registry), 2)} == {(3, "How long.", "seconds")}


def test_version_1_sends_type_help_and_unit_once_in_each_request(registry):
    counter = asyncmetrics.Counter("orders", "Orders.", ["number"], registry=registry, max_children=None)
    for number in range(3_001):
        counter.labels(number).inc()
    payload = RemoteWrite(URL, version=1).encode(collect_within(registry), NOW, IDENTITY)
    assert sum(part.samples for part in payload.parts) == 3_001
    assert [decode(part.data, 1)[1] for part in payload.parts] == [{"orders_total": (1, "Orders.", "")}] * 2


def test_requests_are_bounded_however_long_the_labels_are(registry):
    counter = asyncmetrics.Counter("orders", "Orders.", ["text"], registry=registry, max_children=None)
    for number in range(200):
        counter.labels(f"{number}" + "x" * 50_000).inc()
    payload = RemoteWrite(URL).encode(collect_within(registry), NOW, IDENTITY)
    sizes = [len(cramjam.snappy.decompress_raw(part.data)) for part in payload.parts]
    assert sum(part.samples for part in payload.parts) == 200
    assert max(sizes) < 4_000_000


def test_version_2_sends_the_start_of_a_series_in_both_places(registry):
    histogram = asyncmetrics.Histogram("taken", "T.", registry=registry, buckets=[1])
    family: Any
    (family,) = collect_within(registry)
    ((point,),) = family.read_batches()
    began = point.created
    histogram.observe(2)
    start = int(began * 1000)
    assert {one.starts for one in encode(collect_within(registry), 2, now=began + 60)} == {(start, start)}


@pytest.mark.parametrize("version", [1, 2])
def test_the_created_sample_of_a_custom_family_is_the_start_of_its_child(version):
    family = CounterMetricFamily("orders", "Orders.", labels=["kind"])
    family.add_metric(["retail"], 3, created=1_600_000_000.5)
    (series,) = encode([family], version)
    assert series.starts == ((1_600_000_000_500,) * 2 if version == 2 else ())


def test_a_gauge_has_no_start(registry):
    asyncmetrics.Gauge("depth", "Depth.", registry=registry).set(1)
    assert encode(collect_within(registry), 2)[0].starts == (0, 0)


def test_version_1_escapes_names_with_underscores_unless_told_otherwise():
    family = GaugeMetricFamily("queue.größe", "Q.", labels=["a.b"])
    family.add_metric(["x"], 1)
    (escaped,) = encode([family], 1)
    assert dict(escaped.labels) == {"__name__": "queue_gr__e", "a_b": "x", "job": "shop", "instance": "host:0"}
    (kept,) = encode([family], 1, RemoteWrite(URL, version=1, escaping="allow-utf-8"))
    assert dict(kept.labels)["__name__"] == "queue.größe"


NATIVE = NativeHistogram(
    5, 12.5, 3, 0.001, 1, [BucketSpan(-2, 2), BucketSpan(3, 1)], None, [1, 1, -1], None, [Exemplar({"t": "x"}, 2.0)]
)


@pytest.mark.parametrize("version", [1, 2])
def test_a_native_histogram_of_a_custom_family_is_sent(version):
    family = Metric("taken", "T.", "histogram")
    family.add_sample("taken", {}, 0, None, None, NATIVE)
    (series,) = encode([family], version)
    (found,) = series.histograms
    assert (found.count_int, found.sum, found.schema, found.zero_threshold, found.zero_count_int) == (
        5, 12.5, 3, 0.001, 1,
    )  # fmt: skip
    assert [(span.offset, span.length) for span in found.positive_spans] == [(-2, 2), (3, 1)]
    assert list(found.positive_deltas) == [1, 1, -1]
    assert found.timestamp == NOW_MS
    assert series.exemplars == [((("t", "x"),), 2.0, NOW_MS)]
    assert not series.samples


def test_a_native_histogram_with_fractions_is_sent_with_its_counts():
    family = Metric("taken", "T.", "histogram")
    native = NATIVE._replace(count_value=4.5, pos_deltas=[1.5, 1.0, -0.5])
    family.add_sample("taken", {}, 0, None, None, native)
    (found,) = encode([family], 2)[0].histograms
    assert (found.count_float, found.zero_count_float, list(found.positive_counts)) == (4.5, 1.0, [1.5, 2.5, 2.0])


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_receiver_may_refuse_is_in_requests_of_its_own(version):
    gauges = [Metric(name, "", "gauge") for name in ("a", "timed", "b")]
    for gauge in gauges:
        gauge.add_sample(gauge.name, {}, 1, NOW - 7200 if gauge.name == "timed" else None)
    native = Metric("taken", "", "histogram")
    native.add_sample("taken", {}, 0, None, None, NATIVE)
    payload = RemoteWrite(URL, version=version).encode([native, *gauges], NOW, IDENTITY)
    names = [{dict(one.labels)["__name__"] for one in decode(part.data, version)[0]} for part in payload.parts]
    assert names == [{"a", "b"}, {"taken", "timed"}]


def test_a_native_histogram_that_goes_on_gets_no_end_mark():
    native = Metric("taken", "", "histogram")
    native.add_sample("taken", {}, 0, None, None, NATIVE)
    sink = RemoteWrite(URL)
    for now in (NOW, NOW + 1):
        (series,) = encode([native], 2, sink, now)
        assert (len(series.samples), len(series.histograms)) == (0, 1)
    (series,) = encode([], 2, sink, NOW + 2)
    assert [to_bits(value) for _, value in series.samples] == [STALE]


def test_a_sample_of_the_future_is_left_out():
    """Prometheus 2.42 would take it, and refuse all that is an hour older from then on."""
    gauge = Metric("a", "", "gauge")
    gauge.add_sample("a", {"n": "soon"}, 1, NOW + 599)
    gauge.add_sample("a", {"n": "later"}, 1, NOW + 601)
    (series,) = encode([gauge], 2)
    assert ("n", "soon") in series.labels


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count_value": 99}, "the buckets of a native histogram add up to its count"),
        ({"count_value": 99, "sum_value": math.nan}, ""),
        ({"count_value": 2, "sum_value": math.nan}, "the buckets of a native histogram add up to its count"),
        ({"pos_spans": [BucketSpan(0, 9)]}, "the spans of a native histogram have as many buckets as there are counts"),
        ({"pos_spans": [BucketSpan(0, 2), BucketSpan(-1, 1)]}, "the spans of a native histogram are in order"),
        ({"pos_deltas": [-1, 1, 0]}, "the counts of a native histogram can be neither negative nor NaN"),
        ({"pos_spans": [BucketSpan(2**40, 3)]}, "the index of a bucket has 32 bits"),
        ({"schema": 77}, "the schema of a native histogram is from -4 to 8"),
        ({"zero_threshold": -1}, "count, zero count and zero threshold of a native histogram are not negative"),
    ],
)
def test_a_native_histogram_that_prometheus_refuses_is_left_out(change, problem):
    """It would answer 500, and each later attempt would fail too."""
    native = Metric("taken", "", "histogram")
    native.add_sample("taken", {}, 0, None, None, NATIVE._replace(**change))
    sink = RemoteWrite(URL)
    omitted = []
    sink.on_omitted = lambda family, form, reason: omitted.append(reason)
    assert bool(encode([native], 2, sink)) == (not problem)
    assert omitted == ([problem] if problem else [])


def test_samples_of_one_series_are_sent_in_the_order_of_their_times():
    family = GaugeMetricFamily("depth", "D.", labels=[])
    family.add_metric([], 2, timestamp=20)
    family.add_metric([], 1, timestamp=10)
    assert encode([family], 2)[0].samples == [(10_000, 1.0), (20_000, 2.0)]


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("version", [1, 2])
def test_a_broken_sample_costs_no_other_one(version):
    family: Any = HistogramMetricFamily("taken", "T.", buckets=[("1.0", 1), ("+Inf", 2)], sum_value=3)
    family.add_sample("taken_bucket", {"le": "many"}, 1)
    family.add_sample("taken_sum", {"kind": Broken()}, 1)
    family.add_sample("taken_sum", {"kind": "late"}, 1, 1e300)
    family.add_sample("taken_sum", None, 1)
    family.add_sample("taken", {}, 0, None, None, NATIVE._replace(schema="x"))
    assert len(encode([family, "no family"], version)) == 4


@pytest.mark.parametrize("version", [1, 2])
def test_two_families_with_one_name_are_sent_once(version):
    families = [GaugeMetricFamily("depth", "D.", value=1), GaugeMetricFamily("depth", "D.", value=2)]
    assert [one.samples for one in encode(families, version)] == [[(NOW_MS, 1.0)]]


def find_ends(decoded: list[Decoded]) -> list[dict[str, str]]:
    return [dict(one.labels) for one in decoded if any(to_bits(value) == STALE for _, value in one.samples)]


@pytest.mark.parametrize("version", [1, 2])
def test_series_that_are_gone_get_one_end_mark(version, registry):
    histogram = asyncmetrics.Histogram("taken", "T.", ["kind"], buckets=[1], registry=registry)
    family = GaugeMetricFamily("depth", "D.", labels=["queue"])
    family.add_metric(["a"], 1)
    family.add_metric(["b"], 1)
    histogram.labels("x").observe(1)
    histogram.labels("y").observe(1)
    sink = RemoteWrite(URL, version=version)
    encode([*collect_within(registry), family], version, sink)
    histogram.remove("x")
    family.samples.pop()
    ends = find_ends(encode([*collect_within(registry), family], version, sink))
    assert sorted((end["__name__"], end.get("kind") or end["queue"], end.get("le", "")) for end in ends) == [
        ("depth", "b", ""),
        ("taken_bucket", "x", "+Inf"),
        ("taken_bucket", "x", "1.0"),
        ("taken_count", "x", ""),
        ("taken_sum", "x", ""),
    ]
    assert find_ends(encode([*collect_within(registry), family], version, sink)) == []


def test_an_end_that_was_not_sent_is_marked_in_the_next_payload(registry):
    gauge = asyncmetrics.Gauge("depth", "D.", ["queue"], registry=registry)
    gauge.labels("a").set(1)
    gauge.labels("b").set(1)
    sink = RemoteWrite(URL)
    encode(collect_within(registry), 2, sink)
    gauge.remove("a")
    sink.encode(collect_within(registry), NOW, IDENTITY)  # a payload that is dropped
    assert [end["queue"] for end in find_ends(encode(collect_within(registry), 2, sink))] == ["a"]


def test_an_end_that_is_never_sent_is_forgotten_after_some_payloads(registry):
    gauge = asyncmetrics.Gauge("depth", "D.", ["queue"], registry=registry)
    gauge.labels("a").set(1)
    sink = RemoteWrite(URL)
    encode(collect_within(registry), 2, sink)
    gauge.remove("a")
    counts = [len(sink.encode(collect_within(registry), NOW, IDENTITY).parts) for _ in range(30)]
    assert counts == [1] * 20 + [0] * 10


def test_a_series_that_comes_back_can_end_again(registry):
    gauge = asyncmetrics.Gauge("depth", "D.", ["queue"], registry=registry)
    sink = RemoteWrite(URL)
    ends = []
    for _ in range(3):
        gauge.labels("a").set(1)
        ends.append(find_ends(encode(collect_within(registry), 2, sink)))
        gauge.remove("a")
        ends.append(find_ends(encode(collect_within(registry), 2, sink)))
    assert list(map(len, ends)) == [0, 1] * 3


def test_a_late_end_mark_forgets_no_series_that_has_come_back(registry):
    gauge = asyncmetrics.Gauge("depth", "D.", ["queue"], registry=registry)
    gauge.labels("a").set(1)
    sink = RemoteWrite(URL)
    encode(collect_within(registry), 2, sink)
    gauge.remove("a")
    (late,) = sink.encode(collect_within(registry), NOW, IDENTITY).parts
    gauge.labels("a").set(1)
    encode(collect_within(registry), 2, sink)
    assert late.on_sent
    late.on_sent()
    gauge.remove("a")
    assert len(find_ends(encode(collect_within(registry), 2, sink))) == 1


def test_a_metric_with_other_buckets_gets_no_end_marks_beside_its_samples():
    sink = RemoteWrite(URL)
    for buckets in ([1], [2]):
        registry = asyncmetrics.CollectorRegistry()
        asyncmetrics.Histogram("taken", "T.", buckets=buckets, registry=registry)
        found = encode(collect_within(registry), 2, sink)
    assert find_ends(found) == []


def test_a_sample_with_a_time_of_its_own_gets_no_end_mark():
    family = GaugeMetricFamily("depth", "D.", labels=[])
    family.add_metric([], 1, timestamp=NOW)
    sink = RemoteWrite(URL)
    encode([family], 2, sink)
    assert encode([], 2, sink) == []


def test_no_end_is_marked_without_stale_markers():
    sink = RemoteWrite(URL, stale_markers=False)
    encode([GaugeMetricFamily("depth", "D.", value=1)], 2, sink)
    assert encode([], 2, sink) == []
