"""`StatsD` and StatsD's own server, of Node.js: it adds up what the registry has."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Info
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.statsd import StatsD
from asyncmetrics.errors import PushError
from asyncmetrics.model.family import Metric
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until
from tests.servers.statsd_server import Statsd, run_statsd

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("statsd")]

IDENTITY = Identity("shop", "host")
ADDED = ".instance.host.job.shop"


@pytest.fixture(scope="module")
def statsd(tmp_path_factory):
    with run_statsd(tmp_path_factory.mktemp("statsd")) as server:
        yield server


def push(sink: StatsD, registry: CollectorRegistry) -> None:
    async def send() -> None:
        await sink.send(sink.encode(collect_within(registry), 1.0, IDENTITY))
        await sink.close()

    anyio.run(send)


def read(statsd: Statsd, kind: str, prefix: str, is_expected: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    def read_own() -> dict[str, float]:
        found = statsd.read(kind)
        return {name.replace(ADDED, ""): value for name, value in found.items() if name.startswith(f"{prefix}.")}

    return wait_until(read_own, is_expected)


def list_values(registry: CollectorRegistry) -> list[float]:
    families: list[Metric] = list(registry.collect())
    return sorted(sample.value for family in families for sample in family.samples)


def test_what_the_server_adds_up_is_what_the_registry_has(statsd):
    registry = CollectorRegistry()
    counter = Counter("c_total", "", ["text"], registry=registry)
    histogram = Histogram("h", "", registry=registry)
    sink = StatsD("127.0.0.1", statsd.port, prefix="sums")
    for text in ("", ".", "a.b", "a_b", "a-b", "a/b", "ü", "A", "a", "a b", "a:b|c", "a@b"):
        for amount in (1, 0.25, 1e16, 3e-7):
            counter.labels(text).inc(amount)
            histogram.observe(amount)
            push(sink, registry)
    expected = [value for value in list_values(registry) if value]
    found = read(statsd, "counters", "sums", lambda found: len(found) == len(expected))
    assert sorted(found.values()) == pytest.approx(expected, rel=1e-12)
    assert statsd.bad_lines == 0


def test_gauges_are_set_whatever_their_sign(statsd):
    registry = CollectorRegistry()
    gauge = Gauge("g", "", ["n"], registry=registry)
    Info("build", "", registry=registry).info({"version": "1.2"})
    sink = StatsD("127.0.0.1", statsd.port, prefix="gauges")
    for first, second in ((5, -3), (-5, -5), (-1, 7), (0, -0.5)):
        gauge.labels(f"{first}").set(first)
        push(sink, registry)
        gauge.labels(f"{first}").set(second)
    push(sink, registry)
    found = read(statsd, "gauges", "gauges", lambda found: sorted(found.values()) == list_values(registry))
    assert found["gauges.build_info.version.1-2E2"] == 1


def test_tags_of_dogstatsd_and_of_graphite_are_the_same_to_the_server(statsd):
    for tags in ("datadog", "graphite"):
        registry = CollectorRegistry()
        Counter("c_total", "", ["zone"], registry=registry).labels("eu").inc(2)
        push(StatsD("127.0.0.1", statsd.port, prefix="tags", tags=tags), registry)
    expected = {"tags.c_total;instance=host;job=shop;zone=eu": 4}
    read(statsd, "counters", "tags", lambda found: found == expected)


@pytest.mark.slow
def test_none_of_ten_thousand_series_is_lost(statsd):
    """In pushes that fit into the server's buffer each: the kernel drops what a busy server has not read."""
    registry = CollectorRegistry()
    counter = Counter("c_total", "", ["n"], registry=registry)
    sink = StatsD("127.0.0.1", statsd.port, prefix="many")
    for sent in range(0, 10_000, 1000):
        for number in range(sent, sent + 1000):
            counter.labels(number).inc(number + 0.5)
        push(sink, registry)
        found = read(statsd, "counters", "many", lambda found, expected=sent + 1000: len(found) == expected)
    assert sorted(found.values()) == list_values(registry)


def test_a_server_that_comes_back_loses_no_count(tmp_path):
    registry = CollectorRegistry()
    counter = Counter("c_total", "", registry=registry)
    with run_statsd(tmp_path) as first:
        sink = StatsD("127.0.0.1", first.port, prefix="back")
        counter.inc()
        push(sink, registry)
        read(first, "counters", "back", lambda found: found == {"back.c_total": 1})
    for _ in range(3):
        counter.inc()
        with pytest.raises(PushError):
            push(sink, registry)
    with run_statsd(tmp_path, first.port) as second:
        push(sink, registry)
        read(second, "counters", "back", lambda found: found == {"back.c_total": 3})
