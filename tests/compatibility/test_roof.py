"""What the roof, `asyncmetrics`, does differently from prometheus_client on purpose: each claim on both libraries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from math import inf, nan

import prometheus_client
import prometheus_client.core
import pytest

import asyncmetrics
import asyncmetrics.core

THEIRS, OURS = prometheus_client, asyncmetrics


def made(library, kind, *arguments, **options):
    registry = library.CollectorRegistry()
    return registry.get_sample_value, getattr(library, kind)("m", "M.", *arguments, registry=registry, **options)


@pytest.mark.parametrize("amount", [nan, inf])
def test_a_counter_that_cannot_be_undone(amount):
    value, counter = made(THEIRS, "Counter")
    counter.inc(amount)
    assert not value("m_total") < inf
    value, counter = made(OURS, "Counter")
    with pytest.raises(ValueError, match="the value is unchanged"):
        counter.inc(amount)
    assert value("m_total") == 0


@pytest.mark.parametrize("kind", ["Summary", "Histogram"])
def test_a_sum_that_is_nan_for_ever(kind):
    value, metric = made(THEIRS, kind)
    metric.observe(nan)
    assert value("m_sum") != value("m_sum")
    value, metric = made(OURS, kind)
    metric.observe(nan)
    assert (value("m_sum"), value("m_count")) == (0, 0)
    assert value("asyncmetrics_dropped_observations_total", {"metric": "m"}) == 1


@pytest.mark.parametrize(
    ("kind", "use", "sample"), [("Counter", "inc", "m_total"), ("Histogram", "observe", "m_count")]
)
def test_an_exemplar_that_is_refused_after_counting(kind, use, sample):
    counted = []
    for library in (THEIRS, OURS):
        value, metric = made(library, kind)
        with pytest.raises(ValueError):
            getattr(metric, use)(1, exemplar={"trace_id": "x" * 129})
        counted.append(value(sample))
    assert counted == [1, 0]


def test_a_coroutine_that_is_timed_before_it_runs():
    timed = []
    for library in (THEIRS, OURS):
        value, histogram = made(library, "Histogram")

        @histogram.time()
        async def work():
            timed.append(value("m_count"))

        asyncio.run(work())
        timed.append(value("m_count"))
    assert timed == [1, 1, 0, 1]


def test_an_exception_that_leaves_a_coroutine():
    counted = []
    for library in (THEIRS, OURS):
        value, counter = made(library, "Counter")

        @counter.count_exceptions()
        async def fail():
            raise LookupError

        with pytest.raises(LookupError):
            asyncio.run(fail())
        counted.append(value("m_total"))
    assert counted == [0, 1]


def test_a_string_as_a_number():
    value, gauge = made(THEIRS, "Gauge")
    gauge.set("5")
    assert value("m") == 5
    _, gauge = made(OURS, "Gauge")
    with pytest.raises(TypeError):
        gauge.set("5")


def test_a_child_is_its_own_class():
    (_, theirs), (_, ours) = (made(library, "Counter", ["x"]) for library in (THEIRS, OURS))
    assert isinstance(theirs.labels("1"), THEIRS.Counter)
    assert not isinstance(ours.labels("1"), OURS.Counter)


def test_a_lone_surrogate_costs_no_scrape():
    (_, theirs), (_, ours) = (made(library, "Counter", ["x"]) for library in (THEIRS, OURS))
    theirs.labels("\ud800").inc()
    ours.labels("\ud800").inc()
    with pytest.raises(UnicodeEncodeError):
        THEIRS.generate_latest(theirs)
    assert 'm_total{x="\ufffd"} 1.0' in OURS.generate_latest(ours._registry).decode()


@pytest.mark.parametrize("name", ["a b", "a-b", "1a", 'a"b'])
def test_a_name_that_is_a_slip(name):
    THEIRS.Counter(name, "M.", registry=None)
    with pytest.raises(ValueError, match="expected letters, digits"):
        OURS.Counter(name, "M.", registry=None)


def test_labels_that_do_not_fit_a_family():
    theirs = THEIRS.core.GaugeMetricFamily("m", "M.", labels=["x", "y"])
    theirs.add_metric(["1"], 1)
    assert theirs.samples[0].labels == {"x": "1"}
    with pytest.raises(ValueError, match="each of the labels"):
        asyncmetrics.core.GaugeMetricFamily("m", "M.", labels=["x", "y"]).add_metric(["1"], 1)


class Broken:
    """A collector that fails."""

    def collect(self):
        raise LookupError("broken")


def test_a_collector_that_fails_costs_only_itself():
    theirs, ours = THEIRS.CollectorRegistry(), OURS.CollectorRegistry()
    for library, registry in ((THEIRS, theirs), (OURS, ours)):
        registry.register(Broken())
        library.Gauge("m", "M.", registry=registry)
    with pytest.raises(LookupError):
        THEIRS.generate_latest(theirs)
    text = OURS.generate_latest(ours)
    assert b"m 0.0" in text
    assert b'asyncmetrics_collector_errors_total{collector="Broken"} 1.0' in text


def test_the_same_collector_again():
    theirs, ours = THEIRS.CollectorRegistry(), OURS.CollectorRegistry()
    collector = Broken()
    for registry in (theirs, ours):
        registry.register(collector)
    theirs.register(collector)
    with pytest.raises(ValueError, match="cannot be registered"):
        ours.register(collector)


def test_a_restricted_registry_of_a_family():
    found = []
    for library in (THEIRS, OURS):
        registry = library.CollectorRegistry()
        library.Summary("m", "M.", registry=registry)
        families = registry.restricted_registry(["m"]).collect()
        found.append([sample.name for family in families for sample in family.samples])
    assert found == [[], ["m_count", "m_sum"]]


CREATED = """
import {library} as library
counter = library.Counter("m", "M.", registry=None)
print(sum(sample.name == "m_created" for family in counter.collect() for sample in family.samples))
"""


@pytest.mark.parametrize(("switch", "expected"), [(None, (1, 0)), ("true", (0, 0)), ("false", (1, 1))])
def test_created_samples_and_their_switch(switch, expected):
    environment = {key: text for key, text in os.environ.items() if key != "PROMETHEUS_DISABLE_CREATED_SERIES"}
    if switch is not None:
        environment["PROMETHEUS_DISABLE_CREATED_SERIES"] = switch
    found = []
    for library in ("prometheus_client", "asyncmetrics"):
        command = [sys.executable, "-c", CREATED.format(library=library)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(int(done.stdout))
    assert tuple(found) == expected


def test_a_server_on_the_loopback():
    server, _ = OURS.start_http_server(0, registry=OURS.CollectorRegistry())
    try:
        assert server.server_address[0] == "127.0.0.1"
    finally:
        server.shutdown()
