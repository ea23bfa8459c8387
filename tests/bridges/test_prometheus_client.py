"""prometheus_client and asyncmetrics in one process: what goes over the bridges, both ways, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import prometheus_client
import prometheus_client.core
import pytest
from prometheus_client.openmetrics import exposition as their_openmetrics

import asyncmetrics
import asyncmetrics.core
from asyncmetrics.bridges.prometheus_client import SHARED_FAMILIES, AsyncmetricsCollector, PrometheusClientCollector
from asyncmetrics.prometheus_client.openmetrics import exposition as our_openmetrics
from asyncmetrics.prometheus_client.openmetrics.parser import text_string_to_metric_families
from asyncmetrics.storage import SharedStorage


@pytest.fixture
def theirs():
    """A registry of prometheus_client's."""
    return prometheus_client.CollectorRegistry()


@pytest.fixture(params=["in", "out"])
def way(request, registry, theirs):
    """A direction: the library to declare metrics with, its registry, the bridge, and OpenMetrics over there."""
    if request.param == "in":
        return (
            prometheus_client,
            theirs,
            lambda: PrometheusClientCollector(theirs, registry),
            lambda: our_openmetrics.generate_latest(registry).decode(),
        )
    return (
        asyncmetrics,
        registry,
        lambda: AsyncmetricsCollector(registry, theirs),
        lambda: their_openmetrics.generate_latest(theirs).decode(),
    )


@pytest.fixture
def _created():
    asyncmetrics.enable_created_metrics()
    yield
    asyncmetrics.disable_created_metrics()


def declare(library, registry):
    """One metric of each type, with labels that have to be escaped."""
    options = {"labelnames": ["x"], "registry": registry}
    library.Counter("jobs_total", "Jobs\nrun.", **options).labels('a"b').inc(2, exemplar={"trace_id": "abc"})
    library.Gauge("level", "Level.", **options).labels("\\").set(float("-inf"))
    library.Summary("wait_seconds", "Waited.", unit="seconds", **options).labels("é").observe(0.5)
    library.Histogram("size", "Size.", buckets=[1, 2], **options).labels("").observe(1.5, exemplar={"trace_id": "def"})
    library.Info("build", "Build.", registry=registry).info({"version": "1"})
    library.Enum("state", "State.", states=["on", "off"], **options).labels("c").state("off")


def plain(families):
    return {
        family.name: (
            family.type,
            family.unit,
            family.documentation,
            [(s.name, s.labels, s.value, s.exemplar and s.exemplar[:2]) for s in family.samples],
        )
        for family in families
    }


@pytest.mark.usefixtures("_created")
def test_every_type_comes_over_with_labels_exemplars_and_times_of_creation(way, registry, theirs):
    library, source, bridge, text = way
    declare(library, source)
    bridge()
    assert plain(registry.collect()) == plain(theirs.collect())
    assert "jobs_created" in text()


@pytest.mark.usefixtures("_created")
def test_what_has_come_over_is_a_valid_exposition(way):
    library, source, bridge, text = way
    declare(library, source)
    bridge()
    names = [family.name for family in text_string_to_metric_families(text())]
    assert sorted(names) == ["build", "jobs", "level", "size", "state", "wait_seconds"]


class Timed:
    """A collector that knows when its numbers were taken."""

    def __init__(self, core):
        self.core = core

    def collect(self):
        core = self.core
        exact = core.Timestamp(1700000000, 123456789)
        family = core.CounterMetricFamily("taken", "Taken.", labels=["x"])
        exemplar = core.Exemplar({"trace_id": "abc"}, 1.0, core.Timestamp(1700000000, 5))
        family.add_metric(["1"], 1, created=1600000000.5, timestamp=exact, exemplar=exemplar)
        family.add_metric(["2"], 2, timestamp=1700000001.25)
        yield family
        yield core.GaugeHistogramMetricFamily("ages", "Ages.", [("1.0", 1), ("+Inf", 3)], 4.5)
        yield core.UnknownMetricFamily("odd", "Odd.", 1)


def core_of(library):
    return prometheus_client.core if library is prometheus_client else asyncmetrics.core


def test_timestamps_come_over_to_the_nanosecond(way):
    library, source, bridge, text = way
    source.register(Timed(core_of(library)))
    bridge()
    taken = text().splitlines()
    assert 'taken_total{x="1"} 1.0 1700000000.123456789 # {trace_id="abc"} 1.0 1700000000.000000005' in taken
    assert 'taken_total{x="2"} 2.0 1700000001.25' in taken
    (created,) = (line.split() for line in taken if line.startswith("taken_created"))
    assert (float(created[1]), created[2]) == (1600000000.5, "1700000000.123456789")


def test_the_types_that_only_collectors_have_come_over(way, registry, theirs):
    library, source, bridge, _ = way
    source.register(Timed(core_of(library)))
    bridge()
    ours, others = plain(registry.collect()), plain(theirs.collect())
    assert (ours["ages"], ours["odd"]) == (others["ages"], others["odd"])
    assert ours["ages"][0] == "gaugehistogram"


def test_what_is_declared_later_comes_over_as_well(way, registry, theirs):
    library, source, bridge, _ = way
    bridge()
    library.Counter("late", "Late.", registry=source).inc()
    assert [found.get_sample_value("late_total") for found in (registry, theirs)] == [1, 1]


def test_a_family_that_both_sides_have_is_an_error_when_the_bridge_is_made(registry, theirs, way):
    _, _, bridge, _ = way
    asyncmetrics.Gauge("level", "Ours.", registry=registry)
    prometheus_client.Gauge("level", "Theirs.", registry=theirs)
    with pytest.raises(ValueError, match="level"):
        bridge()


def test_both_bridges_at_once_send_nothing_back(registry, theirs):
    asyncmetrics.Gauge("ours", "Ours.", registry=registry).set(1)
    prometheus_client.Gauge("theirs", "Theirs.", registry=theirs).set(2)
    PrometheusClientCollector(theirs, registry)
    AsyncmetricsCollector(registry, theirs)
    for found in (registry, theirs):
        assert sorted(family.name for family in found.collect()) == ["ours", "theirs"]


async def test_both_bridges_at_once_send_nothing_back_where_collectors_run_in_threads(registry, theirs, scrape):
    asyncmetrics.Gauge("ours", "Ours.", registry=registry).set(1)
    prometheus_client.Gauge("theirs", "Theirs.", registry=theirs).set(2)
    PrometheusClientCollector(theirs, registry)
    AsyncmetricsCollector(registry, theirs)
    text = await scrape(asyncmetrics.make_asgi_app(registry))
    assert sorted(line for line in text.splitlines() if line.startswith(("ours", "theirs"))) == [
        "ours 1.0",
        "theirs 2.0",
    ]


def test_a_chain_of_bridges_goes_through(registry, theirs):
    end = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("level", "Level.", registry=theirs).set(2)
    PrometheusClientCollector(theirs, registry)
    AsyncmetricsCollector(registry, end)
    assert end.get_sample_value("level") == 2


def test_a_single_collector_of_theirs_can_be_one_of_ours(registry):
    PrometheusClientCollector(Timed(prometheus_client.core), registry)
    assert registry.get_sample_value("taken_total", {"x": "2"}) == 2


def test_a_collector_of_theirs_without_a_bridge_is_logged_with_the_name_of_the_bridge(registry, caplog):
    registry.register(Timed(prometheus_client.core))
    assert registry.get_sample_value("taken_total", {"x": "2"}) is None
    assert "PrometheusClientCollector" in caplog.text


def test_an_async_collector_of_ours_is_one_of_theirs(registry, theirs):
    class Later:
        async def collect(self):
            return [asyncmetrics.core.GaugeMetricFamily("later", "Later.", 7)]

    registry.register(Later())
    AsyncmetricsCollector(registry, theirs)
    assert theirs.get_sample_value("later") == 7


def test_a_bridge_to_them_collects_nothing_of_ours_when_it_is_made(registry):
    """Their registry asks for a description; a collector of ours may be async, and run on the loop that waits."""
    calls = []

    class Counting:
        async def collect(self):
            calls.append(1)
            return []

    registry.register(Counting())
    AsyncmetricsCollector(registry, prometheus_client.CollectorRegistry(auto_describe=True))
    assert calls == []


def test_the_default_registries_go_together(monkeypatch):
    """Without arguments, whatever is in them, and nothing twice."""
    into, out = PrometheusClientCollector(), AsyncmetricsCollector()
    try:
        gauge = prometheus_client.Gauge("bridged_default", "Theirs.")
        names = [family.name for family in asyncmetrics.REGISTRY.collect()]
        theirs = [family.name for family in prometheus_client.REGISTRY.collect()]
        prometheus_client.REGISTRY.unregister(gauge)
    finally:
        asyncmetrics.REGISTRY.unregister(into)
        prometheus_client.REGISTRY.unregister(out)
    assert "bridged_default" in names
    assert "process_threads" in theirs
    assert len(set(theirs)) == len(theirs)


def test_the_shared_families_are_those_that_both_have():
    ours, theirs = (
        {family.name for family in library.REGISTRY.collect() if family.name.startswith(("process_", "python_"))}
        for library in (asyncmetrics, prometheus_client)
    )
    assert ours & theirs == SHARED_FAMILIES


def test_nothing_is_left_out_if_nothing_is_shared(registry, theirs):
    prometheus_client.PlatformCollector(theirs)
    PrometheusClientCollector(theirs, registry, leave_out=())
    assert [family.name for family in registry.collect()] == ["python_info"]


def test_a_bridge_can_be_registered_by_hand(registry, theirs):
    prometheus_client.Gauge("level", "Level.", registry=theirs)
    registry.register(PrometheusClientCollector(theirs, None))
    assert registry.get_sample_value("level") == 0


class Nonsense:
    """A collector of ours whose samples are none."""

    def collect(self):
        family = asyncmetrics.core.Metric("odd", "Odd \ud800.", "gauge")
        family.add_sample("odd", {"x": "\ud800"}, 1)
        family.add_sample("odd", {"x": "a"}, "two")
        family.add_sample("odd", {"x": 3}, 3, exemplar=asyncmetrics.core.Exemplar({}, 1))
        yield family


@pytest.mark.parametrize("generate", [prometheus_client.generate_latest, their_openmetrics.generate_latest])
def test_what_would_cost_their_exposition_is_left_out(registry, theirs, generate):
    registry.register(Nonsense())
    AsyncmetricsCollector(registry, theirs)
    lines = [line for line in generate(theirs).decode().splitlines() if line.startswith("odd")]
    assert lines == ['odd{x="\ufffd"} 1.0', 'odd{x="3"} 3.0']


def test_a_family_without_a_name_that_can_be_written_is_left_out(registry, theirs):
    class Bad:
        def collect(self):
            yield prometheus_client.core.GaugeMetricFamily("a\nb", "Bad.", 1)
            yield prometheus_client.core.GaugeMetricFamily("good", "Good.", 1)

    theirs.register(Bad())
    PrometheusClientCollector(theirs, registry)
    assert [family.name for family in registry.collect()] == ["good"]


def test_native_histograms_are_left_out(registry, theirs):
    class Native:
        def collect(self):
            native = prometheus_client.core.NativeHistogram(1, 2.0, 3, 0.1, 0)
            family = prometheus_client.core.Metric("size", "Size.", "histogram")
            family.add_sample("size", {}, 0, native_histogram=native)
            yield family

    theirs.register(Native())
    PrometheusClientCollector(theirs, registry)
    assert [family.samples for family in registry.collect()] == [[]]


@pytest.mark.parametrize("buckets", [(), (1, 2)])
def test_a_native_histogram_of_ours_goes_over_as_what_texts_have_of_it(registry, theirs, buckets):
    asyncmetrics.Histogram("size", "Size.", buckets=buckets, native=True, registry=registry).observe(1)
    AsyncmetricsCollector(registry, theirs)
    assert theirs.get_sample_value("size_count") == 1
    assert theirs.get_sample_value("size") is None
    assert b"\nsize " not in prometheus_client.generate_latest(theirs)


@pytest.mark.parametrize("bridge", ["AsyncmetricsCollector", "PrometheusClientCollector"])
def test_without_prometheus_client_the_error_says_what_to_install(bridge):
    program = f"""
import sys
sys.modules["prometheus_client"] = None
from asyncmetrics.bridges.prometheus_client import {bridge}
from asyncmetrics.errors import MissingExtraError
try:
    {bridge}()
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'prometheus_client>=0.22' (what asyncmetrics-prometheus[prometheus-client]" in done.stdout


def test_the_bridge_imports_prometheus_client_only_when_it_is_used():
    program = "import sys, asyncmetrics.bridges.prometheus_client; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_prometheus_client_pushes_a_registry_of_ours(registry):
    """What docs/migrating.md says of names that are not here: theirs take a registry of ours as it is."""
    pushed = []

    def handler(url, method, timeout, headers, data):
        return lambda: pushed.append((method, data))

    asyncmetrics.Counter("jobs", "Jobs.", registry=registry).inc()
    prometheus_client.push_to_gateway("127.0.0.1:1", "job", registry, handler=handler)
    assert pushed == [("PUT", prometheus_client.generate_latest(registry))]
    assert b"jobs_total 1.0" in pushed[0][1]


MULTIPROCESS = """
import os, sys
import prometheus_client
import prometheus_client.core
import asyncmetrics
from asyncmetrics.bridges.prometheus_client import PrometheusClientCollector

class Custom:
    def collect(self):
        yield prometheus_client.core.GaugeMetricFamily("free_bytes", "Of the disk.", 7)

chosen = prometheus_client.CollectorRegistry()
prometheus_client.REGISTRY.register(Custom())
prometheus_client.Counter("jobs_total", "Jobs.").inc()
prometheus_client.Counter("chosen_total", "In a registry.", registry=chosen).inc(2)
if sys.argv[1:]:
    prometheus_client.Counter("late_total", "Declared in one worker.").inc(5)
own = asyncmetrics.CollectorRegistry()
PrometheusClientCollector()
PrometheusClientCollector(chosen, own)
for registry in (asyncmetrics.REGISTRY, own):
    print(*(registry.get_sample_value(name) for name in ("jobs_total", "chosen_total", "late_total", "free_bytes")))
"""


def test_metrics_in_multiprocess_mode_have_the_numbers_of_all_workers(tmp_path):
    """Of all registries, since the library's files do not say which. Custom collectors are asked as ever."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    outputs = [
        subprocess.run(
            [sys.executable, "-c", MULTIPROCESS, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for arguments in (["late"], [])
    ]
    assert [done.stdout.splitlines()[0] for done in outputs] == ["1.0 2.0 5.0 7", "2.0 4.0 5.0 7"]
    assert [done.stdout.splitlines()[1] for done in outputs] == ["None 2.0 None None", "None 4.0 None None"]
    assert [done.stderr for done in outputs] == ["", ""]


@pytest.fixture
def shared(tmp_path):
    """The registries of two workers."""
    return [asyncmetrics.CollectorRegistry(storage=SharedStorage(str(tmp_path / "shared"))) for _ in range(2)]


def test_numbers_of_one_of_several_workers_are_logged_once_and_counted(theirs, shared, caplog):
    prometheus_client.Counter("jobs_total", "Jobs.", registry=theirs).inc()
    PrometheusClientCollector(theirs, shared[0])
    for registry in shared:
        asyncmetrics.Counter("ours_total", "Ours.", registry=registry)
    for _ in range(3):
        assert shared[0].get_sample_value("jobs_total") == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert "exposes the numbers of one worker" in line
    assert "set PROMETHEUS_MULTIPROC_DIR before prometheus_client is imported" in line
    labels = {"collector": "PrometheusClientCollector"}
    assert shared[1].get_sample_value("asyncmetrics_single_worker_collections_total", labels) == 3


def test_a_custom_collector_is_the_same_in_each_worker(theirs, shared, caplog):
    """So nothing is logged; nor where there is one worker."""
    theirs.register(prometheus_client.ProcessCollector(registry=None))
    PrometheusClientCollector(theirs, shared[0], leave_out=())
    for registry in shared:
        asyncmetrics.Counter("ours_total", "Ours.", registry=registry)
    assert shared[0].get_sample_value("process_max_fds") > 0
    assert caplog.records == []


def test_one_worker_has_all_numbers(theirs, tmp_path, caplog):
    prometheus_client.Counter("jobs_total", "Jobs.", registry=theirs).inc()
    registry = asyncmetrics.CollectorRegistry(storage=SharedStorage(str(tmp_path / "shared")))
    PrometheusClientCollector(theirs, registry)
    asyncmetrics.Counter("ours_total", "Ours.", registry=registry)
    assert registry.get_sample_value("jobs_total") == 1
    assert caplog.records == []
