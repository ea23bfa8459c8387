"""The programs of 'Monitoring your Python with Prometheus' (2015), with nothing changed but the import."""

from __future__ import annotations

import time
import urllib.request

import pytest

from asyncmetrics import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    start_http_server,
    write_to_textfile,
)
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily


@pytest.fixture(autouse=True)
def default_registry():
    """What a snippet registers by default leaves the default registry again."""
    before = set(REGISTRY._registrations.get().list_collectors())
    yield
    for collector in set(REGISTRY._registrations.get().list_collectors()) - before:
        REGISTRY.unregister(collector)


async def call(function):
    result = function()
    return await result if hasattr(result, "__await__") else result


def both(body):
    """Give ``body`` as a function and as a coroutine function."""

    def sync():
        return body()

    async def coroutine():
        return body()

    return [sync, coroutine]


def foo():
    """Do as the talk's foo does."""


def fail():
    raise ValueError


@pytest.mark.parametrize("mymethod", both(fail))
async def test_exceptions_are_counted(mymethod):
    EX = Counter("mymethod_exceptions_total", "Exceptions in mymethod")
    with pytest.raises(ValueError):
        await call(EX.count_exceptions()(mymethod))
    with pytest.raises(ValueError), EX.count_exceptions():
        fail()
    assert REGISTRY.get_sample_value("mymethod_exceptions_total") == 2


def test_requests_are_counted():
    requests = Counter("requests_total", "Total number of requests")
    requests.inc()
    requests.inc(42)
    assert REGISTRY.get_sample_value("requests_total") == 43


@pytest.mark.parametrize("mymethod", both(lambda: REGISTRY.get_sample_value("mymethod_inprogress")))
async def test_what_is_in_progress_is_tracked(mymethod):
    INPROGRESS = Gauge("mymethod_inprogress", "mymethod in progress")
    INPROGRESS.inc()
    INPROGRESS.dec()
    assert await call(INPROGRESS.track_inprogress()(mymethod)) == 1
    with INPROGRESS.track_inprogress():
        assert REGISTRY.get_sample_value("mymethod_inprogress") == 1
    assert REGISTRY.get_sample_value("mymethod_inprogress") == 0


def test_gauges_are_set():
    MYGAUGE = Gauge("my_gauge", "A gauge")
    MYGAUGE.set(42)
    assert REGISTRY.get_sample_value("my_gauge") == 42
    before = time.time()
    MYGAUGE.set_to_current_time()
    assert before <= REGISTRY.get_sample_value("my_gauge") <= time.time()
    some_dict = {"a": 1}
    MYGAUGE.set_function(lambda: len(some_dict))
    some_dict["b"] = 2
    assert REGISTRY.get_sample_value("my_gauge") == 2


@pytest.mark.parametrize("mymethod", both(foo))
@pytest.mark.parametrize("kind", [Summary, Histogram])
async def test_latencies_are_timed(kind, mymethod):
    LATENCY = kind("request_latency_seconds", "Request latency in seconds")
    await call(LATENCY.time()(mymethod))
    with LATENCY.time():
        foo()
    assert REGISTRY.get_sample_value("request_latency_seconds_count") == 2


def test_labels_are_chosen():
    LATENCY = Summary("request_bytes_sent", "Request bytes sent", ["method"])
    LATENCY.labels("GET").observe(42)
    assert REGISTRY.get_sample_value("request_bytes_sent_sum", {"method": "GET"}) == 42


def test_metrics_are_served():
    server, _ = start_http_server(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            assert b"process_cpu_seconds_total" in answer.read()
    finally:
        server.shutdown()


def test_metrics_are_written_to_a_textfile(tmp_path):
    registry = CollectorRegistry()
    Gauge("last_success", "Last success", registry=registry).set_to_current_time()
    write_to_textfile(str(tmp_path / "batch.prom"), registry)
    assert "last_success 1" in (tmp_path / "batch.prom").read_text()


class MyCollector:
    def collect(self):
        yield GaugeMetricFamily("my_gauge", "Help text", value=7)
        c = CounterMetricFamily("my_counter_total", "Help text", labels=["foo"])
        c.add_metric(["bar"], 1.7)
        yield c


def test_a_custom_collector_is_collected():
    REGISTRY.register(MyCollector())
    assert REGISTRY.get_sample_value("my_counter_total", {"foo": "bar"}) == 1.7


def test_samples_are_pulled_out_of_the_registry():
    Counter("pulled", "Pulled").inc()
    lines = [
        "Name: {} Labels: {} Value: {}".format(*sample[:3])
        for family in REGISTRY.collect()
        for sample in family.samples
    ]
    assert "Name: pulled_total Labels: {} Value: 1.0" in lines
