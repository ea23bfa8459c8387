"""The metrics of this library as protobuf."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, copy_family
from asyncmetrics.model.native import NativeOptions
from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram
from asyncmetrics.registry.collectables import collect_within

decoding = pytest.importorskip("tests.formats.decoding", reason="needs protobuf", exc_type=ImportError)

AMOUNTS = st.floats(0, 1e18)
SELF_METRICS = "asyncmetrics_"


def scrape(registry):
    return [
        sample
        for sample in decoding.list_samples(decoding.decode(b"".join(encode_protobuf(collect_within(registry)))))
        if not sample.name.startswith(SELF_METRICS)
    ]


def make_comparable(samples):
    """Return the numbers of samples by what identifies them, without times of creation."""
    return {
        (name, tuple(sorted(labels.items()))): (value, exemplar and exemplar[:2])
        for name, labels, value, _, exemplar, *_ in samples
        if not name.endswith("_created")
    }


@given(texts=st.tuples(st.text(), st.text()), amounts=st.lists(AMOUNTS, min_size=1, max_size=4))
def test_the_samples_are_those_of_the_metrics(texts, amounts):
    registry = CollectorRegistry()
    first, second = texts
    options = {"registry": registry}
    names = ["z", "a"]
    counter = Counter("jobs", "", names, **options).labels(first, second)
    gauge = Gauge("level", "", names, **options).labels(first, second)
    summary = Summary("wait", "", names, **options).labels(first, second)
    histogram = Histogram("size", "", names, buckets=[0.5, 1, 1e7], **options).labels(first, second)
    Info("build", "", **options).info({"a": first, "b": second})
    Enum("state", "", names, states=["on", "off"], **options).labels(first, second).state("off")
    Counter("bare", "", **options).inc()
    for amount in amounts:
        counter.inc(amount, {"trace_id": "1"})
        gauge.set(-amount)
        summary.observe(amount)
        histogram.observe(amount, {"trace_id": "2"})
    collected = [sample for family in registry.collect() for sample in family.samples]
    wanted = make_comparable(sample for sample in collected if not sample.name.startswith(SELF_METRICS))
    assert make_comparable(scrape(registry)) == wanted


@given(
    st.lists(st.tuples(st.sampled_from(["inc", "remove", "reset", "scrape", "clear"]), st.integers(0, 9)), max_size=40)
)
def test_what_is_kept_between_scrapes_is_never_that_of_another_child(steps):
    registry = CollectorRegistry()
    counter = Counter("jobs", "", ["name"], registry=registry)
    histogram = Histogram("size", "", ["name"], buckets=[1.0], registry=registry)
    gauge = Gauge("level", "", ["name"], registry=registry)
    for action, number in steps:
        name = str(number)
        match action:
            case "inc":
                counter.labels(name).inc(number)
                histogram.labels(name).observe(number)
                gauge.labels(name).inc(number)
            case "reset":
                counter.labels(name).reset()
            case "remove":
                counter.remove(name)
                histogram.remove(name)
                gauge.remove(name)
            case "clear":
                counter.clear()
            case _:
                scrape(registry)
    fresh = [
        LiveFamily(metric.descriptor, metric.make_family().read_batches, now=time.time())
        for metric in (counter, histogram, gauge)
    ]
    wanted = decoding.list_samples(decoding.decode(b"".join(encode_protobuf(fresh))))
    assert scrape(registry) == wanted


def test_a_counter_that_is_reset_has_its_new_time_of_creation(monkeypatch):
    registry = CollectorRegistry()
    counter = Counter("jobs", "", registry=registry)
    before = scrape(registry)[1]
    monkeypatch.setattr(time, "time", lambda: before.value + 5)
    counter.reset()
    assert scrape(registry)[1].value == pytest.approx(before.value + 5, abs=0.0011)


def test_a_time_of_creation_is_never_later_than_the_scrape(monkeypatch):
    registry = CollectorRegistry()
    Counter("jobs", "", registry=registry)
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)  # the clock was set back
    assert scrape(registry)[1].value == 1_700_000_000.0


@pytest.mark.parametrize("make_plain", [False, True])
def test_names_select_the_samples_that_they_select_of_texts(make_plain):
    registry = CollectorRegistry()
    Histogram("http.size", "", ["a"], buckets=[1.0], registry=registry).labels("b").observe(0.5)
    (family,) = (family for family in collect_within(registry) if family.name == "http.size")
    if make_plain:
        family = copy_family(family, family.samples)
    part = family.restrict(frozenset({"http.size_count", "http.size_bucket"}))
    left_out = []
    data = b"".join(encode_protobuf([part], escaping="values", on_omitted=lambda *told: left_out.append(told)))
    found = [(sample.name, sample.labels, sample.value) for sample in decoding.list_samples(decoding.decode(data))]
    assert found == [
        ("U__http_2e_size_bucket", {"a": "b", "le": "1.0"}, 1.0),
        ("U__http_2e_size_bucket", {"a": "b", "le": "+Inf"}, 1.0),
        ("U__http_2e_size_count", {"a": "b"}, 1.0),
    ]
    assert left_out == []


def test_a_histogram_with_a_negative_bound_has_its_sum():
    registry = CollectorRegistry()
    Histogram("size", "", buckets=[-1.0, 1.0], registry=registry).observe(-3)
    assert {sample.name: sample.value for sample in scrape(registry)}["size_sum"] == -3.0


def scrape_histogram(**options):
    """Return the message of a histogram after two observations."""
    registry = CollectorRegistry()
    histogram = Histogram("size", "", registry=registry, native=True, **options)
    for amount in (3, -300) if options.pop("observed", True) else ():
        histogram.observe(amount, {"trace_id": "a"})
    families = decoding.decode(b"".join(encode_protobuf(collect_within(registry))))
    return next(family.metric[0].histogram for family in families if family.name == "size")


def test_a_native_histogram_comes_beside_the_classic_one():
    message = scrape_histogram(buckets=[5.0])
    assert [(bucket.upper_bound, bucket.cumulative_count) for bucket in message.bucket] == [(5.0, 2)]
    assert decoding.read_native(message)[:9] == (
        2, -297.0, 5, 2.938735877055719e-39, 0, [BucketSpan(51, 1)], [BucketSpan(264, 1)], [1], [1],
    )  # fmt: skip
    assert [exemplar.labels["trace_id"] for exemplar in decoding.read_native(message).nh_exemplars] == ["a"]


def test_a_native_histogram_alone_has_only_the_bucket_of_its_newest_exemplar():
    """Prometheus before 2.50 reads the exemplars of a native histogram from its buckets."""
    message = scrape_histogram(buckets=())
    assert [(bucket.upper_bound, bucket.cumulative_count) for bucket in message.bucket] == [(float("inf"), 2)]
    assert message.bucket[0].exemplar.value == -300


def test_an_empty_native_histogram_is_seen_to_be_native():
    registry = CollectorRegistry()
    Histogram("size", "", registry=registry, native=True, buckets=(), zero_threshold=0.0)
    families = decoding.decode(b"".join(encode_protobuf(collect_within(registry))))
    (message,) = (family.metric[0].histogram for family in families if family.name == "size")
    assert [(span.offset, span.length) for span in message.positive_span] == [(0, 0)]
    assert decoding.is_native(message)


class Point:
    """A child that is observed between two readings."""

    labelvalues = ("a",)
    label_block = None
    created = 1.0

    def __init__(self, value: str) -> None:
        self.labelvalues = (value,)

    def read_numbers(self):
        return [1.0, 2.0, 2.0, 3.0]

    def read_counts(self):
        return [1.0, 1.0], 3.0

    def read_exemplars(self):
        return {1: Exemplar({}, 2.0)}

    def read_native(self):
        return NativeHistogram(4.0, 5.0, 0, 0.5, 0.0, [BucketSpan(0, 1)], None, [4], None)

    def read_extra_labels(self):
        return {}


def test_the_count_is_that_of_the_native_histogram_which_is_read_last():
    descriptor = Descriptor("histogram", "size", "", ("name",), buckets=(1.0, float("inf")), native=NativeOptions())
    family = LiveFamily(descriptor, lambda: iter([[Point("a")]]), now=2.0)
    ((metric,),) = (message.metric for message in decoding.decode(b"".join(encode_protobuf([family]))))
    message = metric.histogram
    assert (message.sample_count, message.sample_sum) == (4, 5.0)
    assert [bucket.cumulative_count for bucket in message.bucket] == [1, 4]


@pytest.mark.parametrize("native", [NativeOptions(), None], ids=["native", "classic"])
def test_a_native_histogram_has_its_start_while_that_is_new_and_a_classic_one_has_it_always(native):
    """Prometheus 3.5 ends at the start of a native histogram that is an hour old: issue 16318."""
    descriptor = Descriptor("histogram", "size", "", ("name",), buckets=(1.0, float("inf")), native=native)
    found = []
    encodings: list[object] = []
    for age in (0, 1700, 1900, 3600 * 24 * 30):
        family = LiveFamily(descriptor, lambda: iter([[Point("a")]]), now=1.0 + age, encodings=encodings)
        ((metric,),) = (message.metric for message in decoding.decode(b"".join(encode_protobuf([family]))))
        found.append(metric.histogram.created_timestamp.seconds)
    assert found == ([1, 1, 1, 1] if native is None else [1, 1, 0, 0])


def test_no_bucket_is_above_the_count_of_a_native_histogram_that_was_reset_in_between():
    point = Point("a")
    point.read_numbers = lambda: [1.0, 7.0, 7.0, 3.0]
    descriptor = Descriptor(
        "histogram", "size", "", ("name",), buckets=(1.0, 2.0, float("inf")), native=NativeOptions()
    )
    for exemplars in ({}, {1: Exemplar({}, 2.0)}):
        point.read_exemplars = lambda exemplars=exemplars: exemplars
        family = LiveFamily(descriptor, lambda: iter([[point]]), now=2.0)
        ((metric,),) = (message.metric for message in decoding.decode(b"".join(encode_protobuf([family]))))
        assert metric.histogram.sample_count == 4
        assert [bucket.cumulative_count for bucket in metric.histogram.bucket] == [1, 4]


def test_the_newest_exemplar_of_a_native_histogram_alone_is_that_of_its_bucket():
    """Prometheus before 2.50 reads the exemplars of a native histogram from its buckets."""
    point = Point("a")
    point.read_numbers = lambda: [4.0, 4.0, 5.0]
    exemplars = [Exemplar({}, 1.0, 1.0), Exemplar({}, 2.0, 2.0)]
    native = point.read_native()._replace(nh_exemplars=exemplars)
    point.read_native = lambda: native
    descriptor = Descriptor("histogram", "size", "", ("name",), buckets=(float("inf"),), native=NativeOptions())
    family = LiveFamily(descriptor, lambda: iter([[point]]), now=2.0)
    (message,) = decoding.decode(b"".join(encode_protobuf([family])))
    assert [bucket.exemplar.value for bucket in message.metric[0].histogram.bucket] == [2.0]


def test_children_without_a_label_block_are_told_apart():
    descriptor = Descriptor("histogram", "size", "", ("name",), buckets=(1.0, float("inf")))
    batch = [Point("a"), Point("b")]
    family = LiveFamily(descriptor, lambda: iter([batch]), now=2.0, encodings=[])
    for _ in range(3):
        (message,) = decoding.decode(b"".join(encode_protobuf([family])))
        assert [metric.label[0].value for metric in message.metric] == [point.labelvalues[0] for point in batch]
        batch.reverse()


def test_what_is_kept_of_removed_children_is_dropped():
    registry = CollectorRegistry()
    counter = Counter("jobs", "", ["name"], registry=registry, max_children=None)
    for number in range(3000):
        counter.labels(str(number))
    scrape(registry)
    kept = counter.make_family().encodings
    assert len(kept) > 5
    counter.clear()
    scrape(registry)
    assert kept == []
