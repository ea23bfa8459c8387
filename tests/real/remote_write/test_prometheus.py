"""A real Prometheus returns all that was written: 2.42 after the fallback to 1.0, a newer one as 2.0."""

from __future__ import annotations

import time
from typing import Literal

import httpx
import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.core import BucketSpan, GaugeMetricFamily, Metric, NativeHistogram
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until
from tests.real.remote_write.receivers import (
    FEATURES,
    Everything,
    list_exemplars,
    list_samples,
    push,
    query,
    read_exemplars,
    wait_for_samples,
)
from tests.servers.newer_programs import find_newer_program
from tests.servers.prometheus_server import run_prometheus

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("remote_write")]

RECEIVER = "--web.enable-remote-write-receiver"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Prometheus of Debian 12."""
    with run_prometheus(tmp_path_factory.mktemp("old"), [], "1m", RECEIVER, FEATURES) as server:
        yield server.base


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """A newer Prometheus, which takes 2.0."""
    options = RECEIVER, f"{FEATURES},created-timestamp-zero-ingestion"
    program = find_newer_program("prometheus")
    with run_prometheus(tmp_path_factory.mktemp("new"), [], "1m", *options, program=program) as server:
        yield server.base


@pytest.fixture(scope="module", params=["old", "new"])
def base(request):
    return request.getfixturevalue(request.param)


def make_sink(base: str, version: Literal[1, 2] = 2, **options) -> RemoteWrite:
    return RemoteWrite(f"{base}/api/v1/write", version=version, **options)


@pytest.fixture(scope="module")
def everything(base):
    """What was written to the server, and the sink."""
    sink = make_sink(base)
    everything = Everything()
    push(sink, everything.collect())
    return everything, sink


def test_every_value_is_read_back(base, everything):
    wait_for_samples(base, list_samples(everything[0].collect()))


def test_every_exemplar_is_read_back(base, everything):
    assert wait_until(lambda: read_exemplars(base)) == list_exemplars(everything[0].collect())


def test_a_native_histogram_is_read_back(base, everything):
    (row,) = query(base, "histogram_count(latency_seconds)")
    assert float(row["value"][1]) == 4
    (row,) = query(base, "histogram_sum(latency_seconds)")
    assert float(row["value"][1]) == 10


def test_live_native_histograms_are_read_back_and_end_at_once(base):
    """One beside a classic histogram, and one alone, with negative numbers and none."""
    registry = CollectorRegistry()
    both = Histogram("both", "B.", ["kind"], buckets=[1, 2], native=True, registry=registry)
    alone = Histogram("alone", "A.", ["kind"], buckets=(), native=True, registry=registry)
    for number in range(1, 1001):
        both.labels("x").observe(number / 1000)
        alone.labels("x").observe(-number / 1000)
    alone.labels("y")
    sink = make_sink(base, labels={"instance": "live"})
    began = time.time()
    push(sink, collect_within(registry), began)
    wait_until(lambda: query(base, '{instance="live",__name__="alone"}'))

    def read(expression: str) -> dict[str, float]:
        rows = query(base, expression.replace("<>", 'instance="live"'))
        return {row["metric"]["kind"]: float(row["value"][1]) for row in rows}

    assert read("histogram_count(both{<>})") == read("both_count{<>}") == {"x": 1000}
    assert read("histogram_count(alone{<>})") == {"x": 1000, "y": 0}
    assert read("histogram_sum(alone{<>})")["x"] == pytest.approx(-500.5)
    assert read("histogram_quantile(0.9, both{<>})")["x"] == pytest.approx(0.9, rel=0.011)
    assert read("histogram_quantile(0.9, alone{<>})")["x"] == pytest.approx(-0.1, rel=0.011)
    assert read("alone_count{<>}") == {}
    for histogram in (both, alone):
        histogram.remove("x")
    push(sink, collect_within(registry), began + 1)
    wait_until(lambda: read("histogram_count(both{<>})"), lambda found: found == {})
    assert read("histogram_count(alone{<>})") == {"y": 0}


def test_a_native_histogram_that_is_hours_old_does_not_end_the_server(new):
    """Prometheus 3.5 ends if it reads a start that is older than an hour: issue 16318."""
    family = Metric("old", "O.", "histogram")
    family.add_sample("old", {}, 0, None, None, NativeHistogram(1, 1.0, 0, 0.5, 0, [BucketSpan(0, 1)], None, [1]))
    family.add_sample("old_created", {}, time.time() - 7200)
    push(make_sink(new, labels={"instance": "old"}), [family])
    assert wait_until(lambda: query(new, 'old{instance="old"}'))


def test_exemplars_of_live_native_histograms_are_read_back(base):
    registry = CollectorRegistry()
    taken = Histogram("traced", "T.", buckets=[1, 2, 4], native=True, registry=registry)
    sink = make_sink(base, labels={"instance": "traced"})
    began = time.time()
    push(sink, collect_within(registry), began)  # 2.42 stores no exemplar of a series that is new
    for number in range(3):  # a repeated exemplar would be refused
        for size in (3, 1.5):
            taken.observe(size, exemplar={"trace": f"{number}/{size}"})
            time.sleep(0.002)
        push(sink, collect_within(registry), time.time())
    parameters = {"query": 'traced{instance="traced"}', "start": began - 60, "end": began + 60}
    address = f"{base}/api/v1/query_exemplars"
    (row,) = wait_until(lambda: httpx.get(address, params=parameters).json()["data"])
    found = [one["labels"]["trace"] for one in row["exemplars"]]
    assert found == [f"{number}/{size}" for number in range(3) for size in (3, 1.5)]


def test_a_series_that_is_gone_ends_at_once(base, everything):
    families, sink = everything
    wait_for_samples(base, list_samples(families.collect()))
    families.counter.remove("us", "")
    push(sink, families.collect())
    wait_for_samples(base, list_samples(families.collect()))


def test_2_42_gets_1_and_a_newer_one_gets_2(request, everything):
    assert everything[1].version == (1 if request.node.callspec.params["base"] == "old" else 2)


def test_an_older_sample_is_refused_with_the_text_of_the_server(old):
    sink = make_sink(old, 1, labels={"only": "here"})
    families = Everything().collect()
    push(sink, families)
    with pytest.raises(OSError, match="out of order sample|out of bounds"):
        push(sink, families, time.time() - 3600)


def test_a_sample_that_is_too_old_and_a_wrong_native_histogram_cost_no_other_sample(base):
    late, good = GaugeMetricFamily("late", "L."), GaugeMetricFamily("good", "G.")
    late.add_metric([], 1, time.time() - 7 * 86400)
    good.add_metric([], 2)
    wrong = Metric("wrong", "W.", "histogram")
    wrong.add_sample("wrong", {}, 0, None, None, NativeHistogram(99, 1.0, 0, 0.5, 0, [BucketSpan(0, 1)], None, [1]))
    push(make_sink(base, labels={"cell": "before"}), [good])
    with pytest.raises(OSError, match="out of bounds"):
        push(make_sink(base, labels={"cell": "odd"}), [late, wrong, good])
    (row,) = wait_until(lambda: query(base, '{cell="odd"}'))
    assert (row["metric"]["__name__"], row["value"][1]) == ("good", "2")


def test_increase_counts_from_the_start_of_the_series(new):
    sink = make_sink(new, labels={"cell": "start"})
    everything = Everything()
    began = time.time()
    push(sink, everything.collect(), began + 10)
    push(sink, everything.collect(), began + 20)
    expression = f'increase(orders_total{{cell="start",Zone="eu"}}[1m] @ {began + 21})'
    (row,) = wait_until(lambda: query(new, expression))
    assert float(row["value"][1]) > 3


def test_names_of_any_script_are_kept_by_2(new):
    sink = make_sink(new, labels={"cell": "script"})
    family = GaugeMetricFamily("queue.größe", "Q.", labels=["a.b"])
    family.add_metric(["x"], 5)
    push(sink, [family])
    (row,) = wait_until(lambda: query(new, '{"queue.größe",cell="script"}'))
    assert row["metric"]["a.b"] == "x"
