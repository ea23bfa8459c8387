"""What programs of prometheus_client see of `asyncmetrics.prometheus_client` beside its metrics: the same on both."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compatibility.libraries import Yielding, both, declare, part, register

KINDS = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum")


def same(work):
    """Return what ``work`` returns on both libraries, which must be the same."""
    theirs, ours = both(work)
    assert ours == theirs
    return ours


def options_of(kind):
    return {"states": ["on", "off"]} if kind == "Enum" else {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [(), ("x", "a")])
def test_private_facts_of_metrics(kind, labels):
    def read(library):
        _, metric = declare(library, kind, labels, **options_of(kind))
        child = metric.labels(*labels) if labels else metric
        names = ("_name", "_documentation", "_labelnames", "_labelvalues", "_type", "_unit")
        return [getattr(one, name) for one in (metric, child) for name in names], sorted(
            getattr(metric, "_metrics", ())
        )

    same(read)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [(), ("x",)])
def test_a_child_is_an_object_of_its_metrics_class(kind, labels):
    def read(library):
        _, metric = declare(library, kind, labels, **options_of(kind))
        child = metric.labels(*labels) if labels else metric
        return isinstance(child, getattr(library, kind)), child is (metric.labels(*labels) if labels else metric)

    assert same(read) == (True, True)


def test_private_numbers():
    def read(library):
        registry = library.CollectorRegistry()
        counter = library.Counter("c", "C.", ["x"], registry=registry)
        counter.labels("1").inc(3)
        summary = library.Summary("s", "S.", registry=registry)
        summary.observe(2)
        histogram = library.Histogram("h", "H.", buckets=[1, 2], registry=registry)
        for value in (0.5, 1.5, 1.5, 9):
            histogram.observe(value)
        return (
            counter.labels("1")._value.get(),
            (summary._count.get(), summary._sum.get()),
            [bucket.get() for bucket in histogram._buckets],
            histogram._upper_bounds,
            histogram._sum.get(),
        )

    same(read)


@pytest.mark.parametrize("kind", ["Counter", "Gauge"])
def test_a_private_number_that_a_test_sets(kind):
    def reset(library):
        registry, metric = declare(library, kind)
        metric.inc(5)
        metric._value.set(2)
        return [sample.value for family in registry.collect() for sample in family.samples][0]

    assert same(reset) == 2


def test_the_names_of_a_registry():
    def read(library):
        registry = library.CollectorRegistry()
        for kind in KINDS:
            getattr(library, kind)(kind.lower(), "M.", registry=registry, **options_of(kind))
        collectors = {str(one): sorted(names) for one, names in registry._collector_to_names.items()}
        return collectors, sorted(registry._names_to_collectors)

    same(read)


@pytest.mark.parametrize("kind", KINDS)
def test_creation_times_are_exposed_until_they_are_disabled(kind):
    def read(library):
        registry, _ = declare(library, kind, **options_of(kind))
        enabled = [sample.name for family in registry.collect() for sample in family.samples]
        library.disable_created_metrics()
        try:
            disabled = [sample.name for family in registry.collect() for sample in family.samples]
        finally:
            library.enable_created_metrics()
        return enabled, disabled

    same(read)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda library: declare(library, "Counter", ["x"])[1].labels("1", "2"), "Incorrect label count"),
        (lambda library: declare(library, "Counter", ["x"])[1].labels(y="1"), "Incorrect label names"),
        (lambda library: declare(library, "Counter", ["x"])[1].inc(), "counter metric is missing label values"),
        (lambda library: declare(library, "Counter")[1].labels("1"), "No label names were set when constructing"),
        (lambda library: register(library, *[library.Gauge("m", "M.", registry=None)] * 2), "Duplicated timeseries in"),
        (lambda library: part(library, "validation")._validate_metric_name(""), "metric name cannot be empty"),
    ],
)
def test_the_words_that_programs_match(call, pattern):
    for error in both(call):
        assert isinstance(error, ValueError)
        assert re.search(pattern, str(error))


@given(name=st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=6))
def test_names_in_utf_8(name):
    def make(library):
        metric = library.Gauge(name, "M.", registry=None)
        return metric._name, [sample.name for family in metric.collect() for sample in family.samples]

    same(make)


@pytest.mark.parametrize("name", ["a-b", "1a", "é", "a:b", "_a"])
def test_names_under_the_legacy_validation(name):
    def make(library):
        validation = part(library, "validation")
        validation.enable_legacy_validation()
        try:
            library.Gauge(name, "M.", registry=None)
        except ValueError:
            return False
        finally:
            validation.disable_legacy_validation()
        return True

    assert same(make) == bool(re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", name))


SWITCHED = """
import {package} as library
from {package} import validation
counter = library.Counter("m", "M.", registry=None)
names = [sample.name for family in counter.collect() for sample in family.samples]
print(names, validation.get_legacy_validation())
"""


@pytest.mark.parametrize("name", ["PROMETHEUS_DISABLE_CREATED_SERIES", "PROMETHEUS_LEGACY_NAME_VALIDATION"])
@pytest.mark.parametrize("value", ["true", "1", "false", ""])
def test_the_switches_in_the_environment(name, value):
    def read(library):
        return subprocess.run(
            [sys.executable, "-c", SWITCHED.format(package=library.__name__)],
            env={**os.environ, name: value},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert same(read)


ACCEPTS = [
    None,
    "",
    "text/plain",
    "text/plain; version=1.0.0",
    "text/plain; version=1.0.0; escaping=allow-utf-8",
    "application/openmetrics-text",
    "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text; version=1.0.0; escaping=dots",
]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_content_type_of_a_format(accept):
    same(lambda library: part(library, "exposition").choose_encoder(accept)[1])


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"QUERY_STRING": "name[]=m"},
        {"QUERY_STRING": "name[]=nothing"},
        {"REQUEST_METHOD": "OPTIONS"},
        {"REQUEST_METHOD": "HEAD"},
        {"REQUEST_METHOD": "POST"},
        {"PATH_INFO": "/favicon.ico"},
        {"HTTP_ACCEPT": "application/openmetrics-text; version=1.0.0"},
        {"HTTP_ACCEPT_ENCODING": "gzip"},
    ],
)
def test_the_answers_of_the_wsgi_application(request_):
    def answer(library):
        started = []
        registry, _ = declare(library, "Gauge")
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", **request_}
        body = library.make_wsgi_app(registry)(environ, lambda *start: started.extend(start))
        return started, len(body), environ["PATH_INFO"]

    same(answer)


def test_collected_families_can_be_changed_and_compared():
    def change(library):
        registry, gauge = declare(library, "Gauge", ["x"])
        gauge.labels("1").set(1)
        before = list(registry.collect())
        gauge.labels("1").set(2)
        (after,) = registry.collect()
        after.add_sample("m", {"x": "2"}, 3)
        return [sample[:3] for sample in before[0].samples], [sample[:3] for sample in after.samples], before == [after]

    same(change)


def test_a_duck_typed_registry_is_rendered():
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.", value=1)
        return library.generate_latest(Yielding(family))

    assert same(render) == b"# HELP m M.\n# TYPE m gauge\nm 1.0\n"


def test_a_collector_that_prefixes_the_names_of_another_registry():
    class Prefixing:
        def __init__(self, library, registry):
            self.library, self.registry = library, registry

        def collect(self):
            for family in self.registry.collect():
                renamed = part(self.library, "core").Metric(f"p_{family.name}", family.documentation, family.type)
                for sample in family.samples:
                    renamed.samples.append(sample._replace(name=f"p_{sample.name}"))
                yield renamed

    def render(library):
        inner, _ = declare(library, "Gauge")
        outer = library.CollectorRegistry()
        outer.register(Prefixing(library, inner))
        return library.generate_latest(outer)

    assert same(render) == b"# HELP p_m M.\n# TYPE p_m gauge\np_m 0.0\n"


def test_a_class_that_overrides_an_operation():
    def count(library):
        class Doubling(library.Counter):
            def inc(self, amount=1, exemplar=None):
                super().inc(2 * amount, exemplar)

        registry = library.CollectorRegistry()
        Doubling("a", "A.", registry=registry).inc()
        Doubling("b", "B.", ["x"], registry=registry).labels("1").inc(3)
        return registry.get_sample_value("a_total"), registry.get_sample_value("b_total", {"x": "1"})

    assert same(count) == (2, 6)


def test_no_call_here_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both(lambda library: library.generate_latest(declare(library, "Gauge")[0]))
