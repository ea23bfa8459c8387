"""`StatsD`: lines, datagrams, what counts as sent, and its sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Summary
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Payload
from asyncmetrics.bridges.statsd import StatsD
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.errors import DefinitionError, PushError
from asyncmetrics.registry.collectables import collect_within
from tests.patience import PATIENCE_SECONDS

IDENTITY = Identity("shop", "host")
ADDED = ".instance.host.job.shop"


def encode(sink: StatsD, registry: CollectorRegistry) -> Payload:
    return sink.encode(collect_within(registry), 1.0, IDENTITY)


def send(payload: Payload, parts: int | None = None) -> list[str]:
    """Mark the first ``parts`` datagrams as sent, or all of them, and return their lines without the added labels."""
    lines: list[str] = []
    for _ in range(len(payload.parts) if parts is None else parts):
        part = payload.parts.popleft()
        lines += part.data.decode("ascii").replace(ADDED, "").splitlines()
        if part.on_sent is not None:
            part.on_sent()
    return lines


def push(sink: StatsD, registry: CollectorRegistry) -> list[str]:
    return send(encode(sink, registry))


def add_up(lines: list[str]) -> dict[str, float]:
    """Return what a server makes of the counters."""
    totals: dict[str, float] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        totals[name] = totals.get(name, 0) + float(rest.removesuffix("|c"))
    return totals


class TestLines:
    def test_a_counter_is_sent_as_its_growth(self, registry):
        counter, sink = Counter("c_total", "", ["a"], registry=registry), StatsD()
        counter.labels("x.y").inc(3)
        assert push(sink, registry) == ["c_total.a.x-2Ey:3|c"]
        counter.labels("x.y").inc(0.25)
        assert push(sink, registry) == ["c_total.a.x-2Ey:0.25|c"]
        assert push(sink, registry) == []

    def test_buckets_counts_and_sums_are_sent_as_their_growth(self, registry):
        histogram, sink = Histogram("h", "", buckets=[1, 2], registry=registry), StatsD()
        histogram.observe(1.5)
        everything = ["h_bucket.LE.2-2E0:1|c", "h_bucket.LE.-2BInf:1|c", "h_count:1|c", "h_sum:1.5|c"]
        sent = [line.replace(".instance.host.job.shop", "") for line in push(sink, registry)]
        assert sent == [line.replace("LE", "le") for line in everything]
        histogram.observe(5)
        assert push(sink, registry) == ["h_bucket.le.-2BInf:1|c", "h_count:1|c", "h_sum:5|c"]

    def test_a_sum_that_falls_is_no_new_beginning(self, registry):
        summary, sink = Summary("s", "", registry=registry), StatsD()
        summary.observe(10)
        push(sink, registry)
        summary.observe(-4)
        assert push(sink, registry) == ["s_count:1|c", "s_sum:-4|c"]

    def test_a_counter_that_has_begun_again_is_sent_whole(self):
        sink = StatsD()
        values = iter([5, 2])

        class Collector:
            def collect(self):
                yield CounterMetricFamily("c", "", value=next(values))

        registry = CollectorRegistry()
        registry.register(Collector())
        assert push(sink, registry) == ["c_total:5|c"]
        assert push(sink, registry) == ["c_total:2|c"]

    def test_a_removed_series_is_forgotten(self, registry):
        counter, sink = Counter("c_total", "", ["a"], registry=registry), StatsD()
        counter.labels("x").inc(3)
        counter.labels("y").inc(3)
        push(sink, registry)
        counter.remove("x")
        assert push(sink, registry) == []
        counter.labels("x").inc(5)
        assert push(sink, registry) == ["c_total.a.x:5|c"]

    def test_the_sum_of_a_native_histogram_may_fall(self, registry):
        loads = Histogram("loads", "", buckets=(), native=True, registry=registry)
        sink = StatsD()
        lines = []
        for load in (5, -3):
            loads.observe(load)
            lines += push(sink, registry)
        assert add_up(lines) == {"loads_bucket.le.-2BInf": 2, "loads_count": 2, "loads_sum": 2}

    def test_a_negative_gauge_is_set_by_way_of_zero(self, registry):
        Gauge("g", "", registry=registry).set(-5)
        assert push(StatsD(), registry) == ["g:0|g", "g:-5|g"]

    def test_dogstatsd_has_no_decrements(self, registry):
        Gauge("g", "", registry=registry).set(-5)
        assert push(StatsD(tags="datadog"), registry) == ["g:-5|g|#instance:host,job:shop"]

    def test_states_are_gauges(self, registry):
        Enum("e", "", states=["on", "off"], registry=registry).state("off")
        assert push(StatsD(), registry) == ["e.e.on:0|g", "e.e.off:1|g"]

    @pytest.mark.parametrize(
        ("tags", "line"),
        [
            ("datadog", "c_total:1|c|#a:us-east/1,instance:host,job:shop"),
            ("graphite", "c_total;a=us-2Deast-2F1;instance=host;job=shop:1|c"),
            ("influx", "c_total,a=us-2Deast-2F1,instance=host,job=shop:1|c"),
        ],
    )
    def test_labels_are_tags(self, registry, tags, line):
        Counter("c_total", "", ["a"], registry=registry).labels("us-east/1").inc()
        assert push(StatsD(tags=tags), registry) == [line]

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_a_number_is_read_back(self, number):
        registry = CollectorRegistry()
        Gauge("g", "", registry=registry).set(number)
        line = push(StatsD(tags="datadog"), registry)[0]
        assert float(line.removeprefix("g:").partition("|")[0]) == number

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_what_statsd_has_no_text_for_is_left_out_and_logged(self, number, registry, caplog):
        Gauge(f"statsd_{abs(number)}", "", registry=registry).set(number)
        assert push(StatsD(), registry) == []
        assert "out of the statsd format: StatsD has no text for NaN and infinities" in caplog.text


class TestDatagrams:
    @given(st.lists(st.integers(1, 80), max_size=40), st.integers(260, 600))
    def test_a_datagram_is_not_too_long_and_has_whole_lines(self, lengths, longest):
        family = GaugeMetricFamily("g", "", labels=["n", "a"])
        for number, length in enumerate(lengths):
            family.add_metric([str(number), "x" * length], -1)
        payload = StatsD(max_datagram_bytes=longest).encode([family], 1.0, IDENTITY)
        assert all(len(part.data) <= longest for part in payload.parts)
        lines = [line for part in payload.parts for line in part.data.decode().split("\n")]
        expected = [
            f"g.a.{'x' * length}.instance.host.job.shop.n.{number}:{value}|g"
            for number, length in enumerate(lengths)
            for value in (0, -1)
        ]
        assert lines == expected

    def test_a_line_that_no_datagram_can_hold_is_left_out_and_logged(self, registry, caplog):
        Gauge("statsd_long", "", ["a"], registry=registry).labels("x" * 100).set(1)
        assert push(StatsD(max_datagram_bytes=64), registry) == []
        assert "left a sample of statsd_long out of the statsd format: the line is longer" in caplog.text

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.floats(0, 9), st.integers(0, 6)), max_size=12), st.integers(60, 400)
    )
    def test_what_is_sent_is_sent_once_whatever_datagrams_are_lost(self, rounds, longest):
        registry = CollectorRegistry()
        histogram = Histogram("h", "", ["n"], buckets=[1, 4], registry=registry)
        sink = StatsD(max_datagram_bytes=longest)
        received: list[str] = []
        for child, amount, parts in rounds:
            histogram.labels(child).observe(round(amount))
            payload = encode(sink, registry)
            received += send(payload, min(parts, len(payload.parts)))
        received += push(sink, registry)
        totals = add_up(received)
        lines = add_up(push(StatsD(), registry))
        assert totals == {name: value for name, value in lines.items() if value}


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(PATIENCE_SECONDS)
        yield found


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestSockets:
    def test_datagrams_arrive_by_udp(self, receiver, registry, backend):
        Gauge("g", "", registry=registry).set(1)
        sink = StatsD("localhost", receiver.getsockname()[1])  # which is two addresses
        anyio.run(sink.send, encode(sink, registry), backend=backend)
        assert receiver.recv(2000) == b"g.instance.host.job.shop:1|g"
        anyio.run(sink.close)

    def test_datagrams_arrive_at_a_unix_socket_that_is_full(self, registry, backend, tmp_path):
        gauge = Gauge("g", "", ["n"], registry=registry)
        for number in range(500):
            gauge.labels(number).set(number)
        path = tmp_path / "s"
        sink = StatsD(path=path, max_datagram_bytes=64)
        received: list[bytes] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(path))
            server.settimeout(PATIENCE_SECONDS)

            def receive() -> None:
                received.extend(server.recv(2000) for _ in range(500))

            async def run() -> None:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.to_thread.run_sync, receive)
                    await sink.send(encode(sink, registry))
                await sink.close()

            anyio.run(run, backend=backend)
        assert len(set(received)) == 500

    def test_nothing_counts_as_sent_while_nothing_listens(self, registry, backend):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        counter, sink = Counter("c_total", "", registry=registry), StatsD("127.0.0.1", port)

        async def fail() -> None:
            counter.inc()
            with pytest.raises(PushError, match="nothing listens there"):
                await sink.send(encode(sink, registry))

        for _ in range(3):
            anyio.run(fail, backend=backend)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(("127.0.0.1", port))
            back.settimeout(PATIENCE_SECONDS)
            anyio.run(sink.send, encode(sink, registry), backend=backend)
            assert back.recv(2000) == b"c_total.instance.host.job.shop:3|c"
        anyio.run(sink.close)

    def test_a_missing_unix_socket_is_named(self, registry, backend):
        Gauge("g", "", registry=registry).set(1)
        sink = StatsD(path=Path("/nowhere/statsd"))
        with pytest.raises(PushError, match=r"Unix datagram /nowhere/statsd: .*No such file"):
            anyio.run(sink.send, encode(sink, registry), backend=backend)

    def test_a_datagram_that_the_system_refuses_is_never_sent_again(self, receiver, registry, backend):
        gauge = Gauge("g", "", ["n"], registry=registry)
        for number in range(3000):
            gauge.labels(number).set(number)
        sink = StatsD("127.0.0.1", receiver.getsockname()[1], max_datagram_bytes=65_507)
        payload = encode(sink, registry)
        payload.parts[0] = type(payload.parts[0])(b"x" * 70_000)
        with pytest.raises(PushError, match="Message too long") as caught:
            anyio.run(sink.send, payload, backend=backend)
        assert caught.value.is_permanent


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"host": 1}, "host"),
        ({"host": "udp://statsd:8125"}, "write host='statsd', port=8125$"),
        ({"host": "unix:///run/dsd.socket"}, "write path='/run/dsd.socket' for a Unix socket$"),
        ({"port": 0}, "port"),
        ({"path": ""}, "path"),
        ({"tags": "dogstatsd"}, "tags"),
        ({"max_datagram_bytes": 0}, "max_datagram_bytes"),
        ({"max_datagram_bytes": 70_000}, "max_datagram_bytes"),
        ({"timeout": "10"}, "timeout"),
    ],
)
def test_a_wrong_option_is_named(options, subject):
    with pytest.raises(DefinitionError, match=subject):
        StatsD(**options)


def test_the_sink_says_where_it_sends():
    assert [repr(StatsD()), repr(StatsD(path="/run/s"))] == ["StatsD('localhost:8125')", "StatsD('/run/s')"]
