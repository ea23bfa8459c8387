"""What is exposed and parsed differently on purpose, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import pytest

from tests.compatibility.libraries import Yielding, both, declare, part, register


class Broken:
    """A collector that fails."""

    def collect(self):
        raise LookupError("broken")


@pytest.mark.difference("broken-collectors")
def test_a_collector_that_fails():
    theirs, ours = both(lambda library: library.generate_latest(register(library, Broken())))
    assert isinstance(theirs, LookupError)
    assert b"\nother 7.0\n" in ours
    assert b'asyncmetrics_collector_errors_total{collector="Broken"} 1.0' in ours


@pytest.mark.difference("no-numbers")
@pytest.mark.parametrize("value", ["x", None, ["1"]])
def test_a_sample_that_is_no_number(value):
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.", labels=["x"])
        family.add_metric(["bad"], value)
        family.add_metric(["good"], 1)
        return library.generate_latest(register(library, Yielding(family)))

    theirs, ours = both(render)
    assert isinstance(theirs, (TypeError, ValueError))
    assert b"\nother 7.0\n" in ours
    assert b'm{x="good"} 1.0' in ours
    assert b"bad" not in ours


@pytest.mark.difference("one-series-once")
def test_a_series_that_a_collector_yields_twice():
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.")
        family.add_metric([], 1)
        family.add_metric([], 2)
        return library.generate_latest(register(library, Yielding(family))).count(b"\nm ")

    assert both(render) == (2, 1)


@pytest.mark.difference("one-series-once")
def test_a_family_that_two_collectors_yield():
    def render(library):
        kind = part(library, "core").GaugeMetricFamily
        collectors = [Yielding(kind("m", "M.", value)) for value in (1, 2)]
        return library.generate_latest(register(library, *collectors)).count(b"# TYPE m gauge")

    assert both(render) == (2, 1)


@pytest.mark.difference("negative-timestamps")
def test_a_sample_with_a_negative_timestamp():
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.")
        family.add_metric([], 1, timestamp=-5)
        return b"\nm 1.0 -5" in library.generate_latest(register(library, Yielding(family)))

    assert both(render) == (True, False)


@pytest.mark.difference("openmetrics-forbids")
def test_a_negative_counter_in_openmetrics():
    def render(library):
        family = part(library, "core").CounterMetricFamily("m", "M.", -1)
        return b"m_total -1.0" in part(library, "openmetrics.exposition").generate_latest(
            register(library, Yielding(family))
        )

    assert both(render) == (True, False)


@pytest.mark.difference("openmetrics-forbids")
@pytest.mark.parametrize("kind", ["Summary", "Histogram"])
def test_the_sum_of_negative_observations_in_openmetrics(kind):
    def render(library):
        options = {"buckets": [-1, 1]} if kind == "Histogram" else {}
        registry, metric = declare(library, kind, **options)
        metric.observe(-2)
        return b"m_sum -2.0" in part(library, "openmetrics.exposition").generate_latest(registry)

    theirs, ours = both(render)
    assert theirs is (kind == "Summary")  # both leave it out of a histogram
    assert ours is False


@pytest.mark.difference("openmetrics-2")
def test_a_server_that_asks_for_a_draft():
    accept = "application/openmetrics-text; version=2.0.0"
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert "version=2.0.0" in theirs
    assert "version=2.0.0" not in ours


@pytest.mark.difference("quality")
@pytest.mark.parametrize(
    "accept",
    ["text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.1", "application/openmetrics-text;q=0"],
)
def test_a_format_that_a_server_likes_less(accept):
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert theirs.startswith("application/openmetrics-text")
    assert ours == "text/plain; version=0.0.4; charset=utf-8"


def parse(library, text):
    return [
        (family.name, sample.labels, sample.value, sample.timestamp)
        for family in part(library, "parser").text_string_to_metric_families(text)
        for sample in family.samples
    ]


@pytest.mark.difference("parser-strictness")
@pytest.mark.parametrize("text", ["a 1 2 3\n", "a 1 1.5\n"])
def test_a_line_that_prometheus_refuses(text):
    theirs, ours = both(lambda library: parse(library, text))
    assert len(theirs) == 1
    assert isinstance(ours, ValueError)


@pytest.mark.difference("parser-numbers")
def test_the_type_of_a_parsed_number():
    theirs, ours = both(lambda library: type(parse(library, "a 1\n")[0][2]))
    assert (theirs, ours) == (int, float)
