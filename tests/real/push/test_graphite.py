"""`Graphite` and a real carbon-cache: every value is read back from what it has stored."""

from __future__ import annotations

import time

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Info
from asyncmetrics.bridges.graphite import Graphite
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Payload
from asyncmetrics.errors import PushError
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until
from tests.servers.carbon_server import Carbon, run_carbon

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("carbon")]

IDENTITY = Identity("shop", "host:0")
ODD = ["a b", '{x="y"}', "", "~x", ".", "..", "/", "//", "ü", "a;b", "a=b", "%", "\u2028", "a\nb", "x" * 200]


@pytest.fixture(scope="module")
def carbon(tmp_path_factory):
    with run_carbon(tmp_path_factory.mktemp("carbon")) as server:
        yield server


def fill() -> CollectorRegistry:
    registry = CollectorRegistry()
    odd = Gauge("odd", "", ["text"], registry=registry)
    named = Gauge("named", "", ["name"], registry=registry)
    for number, text in enumerate(ODD):
        odd.labels(text).set(number / 3)
        named.labels(text).set(-number)
    gauge = Gauge("special", "", ["is"], registry=registry)
    for number in (float("inf"), float("-inf"), 1e300, 5e-324, 0.1 + 0.2):
        gauge.labels(repr(number)).set(number)
    Counter("dotted.orders", "", registry=registry).inc(2**53)
    Histogram("h", "", registry=registry).observe(0.3)
    Info("build", "", registry=registry).info({"version": "1.2"})
    return registry


def read_lines(payload: Payload) -> dict[str, float]:
    lines = b"".join(part.data for part in payload.parts).decode().splitlines()
    return {path: float(value) for path, value, _ in map(str.split, lines)}


def wait_for_values(carbon: Carbon, expected: dict[str, float], now: int) -> dict[str, float | None]:
    return wait_until(lambda: carbon.read(list(expected), now), lambda found: None not in found.values())


@pytest.mark.parametrize("tags", [True, False])
def test_every_value_is_stored_in_a_series_of_its_own(carbon, tags):
    now = int(time.time())
    before = carbon.count_files()
    sink = Graphite("127.0.0.1", carbon.port, tags=tags, prefix="shop")
    payload = sink.encode(collect_within(fill()), now, IDENTITY)
    expected = read_lines(payload)
    assert payload.samples == len(expected) == 2 * len(ODD) + 5 + 1 + 17 + 1
    anyio.run(sink.send, payload)
    assert wait_for_values(carbon, expected, now) == expected
    assert carbon.count_files() - before == len(expected)
    anyio.run(sink.close)


def test_carbon_drops_nan_so_it_is_left_out():
    """The server of the other tests has no way to say so; what it does is in its ``metricReceived``."""
    registry = CollectorRegistry()
    Gauge("g", "", registry=registry).set(float("nan"))
    assert Graphite("127.0.0.1").encode(collect_within(registry), 1.0, IDENTITY).samples == 0


def test_a_server_that_comes_back_gets_what_it_has_missed(tmp_path):
    registry = CollectorRegistry()
    counter = Counter("c_total", "", registry=registry)
    now = int(time.time()) - 10
    with run_carbon(tmp_path) as first:
        sink = Graphite("127.0.0.1", first.port)
        payload = sink.encode(collect_within(registry), now, IDENTITY)
        anyio.run(sink.send, payload)
    counter.inc(5)
    missed = sink.encode(collect_within(registry), now + 1, IDENTITY)
    (path,) = read_lines(missed)
    with pytest.raises(PushError, match="nothing listens there"):
        anyio.run(sink.send, missed)
    with run_carbon(tmp_path, first.port) as second:
        anyio.run(sink.send, missed)
        assert wait_for_values(second, {path: 5.0}, now + 1) == {path: 5.0}
    anyio.run(sink.close)
