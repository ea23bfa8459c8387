"""The families that ``collect()`` returns can be kept, changed, compared, copied and pickled."""

from __future__ import annotations

import copy
import pickle

import anyio
import prometheus_client
import pytest

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary, generate_latest
from asyncmetrics.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, Sample, Timestamp


def fill(library):
    registry = library.CollectorRegistry()
    counter = library.Counter("jobs", "Jobs.", ["kind"], registry=registry)
    counter.labels("a").inc(2, exemplar={"trace": "1"})
    library.Gauge("level", "Level.", registry=registry).set(3)
    library.Summary("took", "Took.", registry=registry).observe(0.5)
    library.Histogram("size", "Sizes.", buckets=[1, 2], registry=registry).observe(1.5)
    library.Info("build", "Build.", registry=registry).info({"version": "1"})
    library.Enum("state", "State.", states=["on", "off"], registry=registry).state("on")
    return registry


@pytest.fixture
def filled():
    import asyncmetrics

    return fill(asyncmetrics)


async def collect_async(registry):
    return await registry.collect_async()


WAYS = {
    "registry": lambda registry, _: list(registry.collect()),
    "async": lambda registry, _: anyio.run(collect_async, registry),
    "trio": lambda registry, _: anyio.run(collect_async, registry, backend="trio"),
    "restricted": lambda registry, _: list(registry.restricted_registry(["level"]).collect()),
    "metric": lambda _, metric: list(metric.collect()),
}


@pytest.fixture(params=WAYS)
def collect(request):
    return WAYS[request.param]


def test_a_family_has_a_list_of_samples_that_can_be_changed(registry, collect):
    gauge = Gauge("level", "Level.", registry=registry)
    gauge.set(1)
    (family,) = collect(registry, gauge)
    assert (type(family), type(family.samples)) == (Metric, list)
    family.name, family.documentation, family.type, family.unit = "other", "Another.", "counter", "bytes"
    family.samples[0] = family.samples[0]._replace(name="other")
    family.samples[0].labels["instance"] = "x"
    family.add_sample("other", {"n": "2"}, 2)
    assert [(s.name, s.labels, s.value) for s in family.samples] == [
        ("other", {"instance": "x"}, 1),
        ("other", {"n": "2"}, 2),
    ]
    family.samples = []
    assert family.samples == []
    assert generate_latest(registry) == b"# HELP level Level.\n# TYPE level gauge\nlevel 1.0\n"


def test_a_family_that_is_kept_stays_what_it_was(registry, collect):
    gauge = Gauge("level", "Level.", registry=registry)
    gauge.set(1)
    before = collect(registry, gauge)
    gauge.set(2)
    after = collect(registry, gauge)
    assert [family.samples[0].value for family in (*before, *after)] == [1, 2]
    assert before != after


def test_an_exemplar_that_is_changed_is_a_copy(registry):
    counter = Counter("jobs", "Jobs.", registry=registry)
    counter.inc(exemplar={"trace": "1"})
    for family in registry.collect():
        family.samples[0].exemplar.labels["trace"] = "2"
    assert next(registry.collect()).samples[0].exemplar.labels == {"trace": "1"}


def test_a_family_that_a_collector_keeps_is_copied(registry):
    kept = CounterMetricFamily("c", "C.", 1)
    registry.register(type("Keeping", (), {"collect": lambda self: [kept]})())
    (family,) = registry.collect()
    assert family == kept and type(family) is CounterMetricFamily
    family.name = "changed"
    family.samples.clear()
    assert (kept.name, len(kept.samples)) == ("c", 1)


def test_a_class_of_families_that_refuses_to_be_copied_is_collected(registry):
    class Stubborn(GaugeMetricFamily):
        def __copy__(self):
            raise LookupError("no")

    registry.register(type("Yielding", (), {"collect": lambda self: [Stubborn("g", "G.", 1)]})())
    assert list(registry.collect()) == [GaugeMetricFamily("g", "G.", 1)]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy]
    + [
        lambda value, protocol=n: pickle.loads(pickle.dumps(value, protocol))
        for n in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
)
def test_families_samples_and_their_parts_can_be_duplicated(filled, duplicate):
    values = [*filled.collect(), Sample("s", {"a": "b"}, 1, Timestamp(-5, 7)), Timestamp(-5, 7), Timestamp(5, 7)]
    values += [Exemplar({"a": "b"}, 1, Timestamp(1, 2)), CounterMetricFamily("c", "C.", labels=["n"])]
    for value in values:
        twin = duplicate(value)
        assert (twin, type(twin), repr(twin)) == (value, type(value), repr(value))


def test_families_compare_as_those_of_prometheus_client():
    """Sample by sample: type, name, documentation, unit and samples."""
    import asyncmetrics

    def flatten(families):
        families = [family for family in families if not family.name.startswith("asyncmetrics")]
        return [
            (
                f.name,
                f.documentation,
                f.type,
                f.unit,
                [(s.name, s.labels, s.value, s.timestamp) for s in f.samples if not s.name.endswith("_created")],
            )
            for f in families
        ]

    assert flatten(fill(asyncmetrics).collect()) == flatten(fill(prometheus_client).collect())


def test_a_family_of_a_metric_equals_one_that_is_built(registry):
    Gauge("level", "Level.", registry=registry).set(3)
    assert list(registry.collect()) == [GaugeMetricFamily("level", "Level.", 3)]


class Prefixing:
    """Yields the families of another registry under other names, with one more label."""

    def __init__(self, source):
        self.source = source

    def collect(self):
        for family in self.source.collect():
            family.name = f"my_{family.name}"
            family.samples = [
                Sample(f"my_{s.name}", {**s.labels, "dc": "x"}, s.value, s.timestamp, s.exemplar)
                for s in family.samples
            ]
            yield family


def test_a_collector_that_renames_and_relabels_works(registry, filled):
    registry.register(Prefixing(filled))
    text = generate_latest(registry).decode()
    assert text == generate_latest(registry).decode()
    assert 'my_jobs_total{dc="x",kind="a"} 2.0' in text.replace('kind="a",dc="x"', 'dc="x",kind="a"')
    for line in ('my_level{dc="x"} 3.0', 'my_size_count{dc="x"} 1.0', 'my_took_sum{dc="x"} 0.5'):
        assert line in text
    assert "\nlevel" not in text and "asyncmetrics_collector_errors" not in text


def test_a_collector_that_filters_a_metric_works(registry):
    source = Counter("jobs", "Jobs.", ["kind"], registry=None)
    source.labels("a").inc()
    source.labels("b").inc()

    class Filtering:
        def collect(self):
            for family in source.collect():
                family.samples = [sample for sample in family.samples if sample.labels["kind"] == "a"]
                yield family

    registry.register(Filtering())
    assert registry.get_sample_value("jobs_total", {"kind": "a"}) == 1
    assert registry.get_sample_value("jobs_total", {"kind": "b"}) is None


@pytest.mark.parametrize(
    "make", [Counter, Gauge, Summary, Histogram, Info, lambda *a, **o: Enum(*a, states=["x"], **o)]
)
def test_a_restricted_family_is_a_family_with_fewer_samples(make):
    registry = CollectorRegistry()
    make("m", "M.", registry=registry)
    (whole,) = registry.collect()
    for name in {sample.name for sample in whole.samples}:
        (part,) = registry.restricted_registry([name]).collect()
        assert part.samples == [s for s in whole.samples if s.name == name or name == "m"]


class Doubling(Counter):
    """A metric that shows twice its value, and one family more."""

    def collect(self):
        for family in super().collect():
            family.samples = [sample._replace(value=2 * sample.value) for sample in family.samples]
            yield family
        yield GaugeMetricFamily("more", "More.", 1)

    def describe(self):
        return [*super().describe(), Metric("more", "More.", "gauge")]


def test_a_metric_that_overrides_collect_is_honoured(registry, collect):
    counter = Doubling("jobs", "Jobs.", registry=registry)
    counter.inc(2)
    found = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
    assert found == {"jobs_total": 4, "more": 1}
    assert b"jobs_total 4.0\n" in generate_latest(registry)


def test_what_an_overridden_describe_names_is_taken(registry):
    Doubling("jobs", "Jobs.", registry=registry)
    with pytest.raises(ValueError, match="more"):
        Gauge("more", "M.", registry=registry)


def test_a_collect_that_is_replaced_on_the_metric_itself_is_honoured(registry):
    gauge = Gauge("level", "Level.", registry=registry)
    gauge.collect = lambda: [GaugeMetricFamily("level", "Level.", 9)]
    assert registry.get_sample_value("level") == 9
