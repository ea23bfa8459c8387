"""`Graphite`: lines, what is left out, and its connection."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing

import anyio
import pytest
import trustme

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Info
from asyncmetrics.bridges.graphite import Graphite
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Part, Payload
from asyncmetrics.core import GaugeMetricFamily, Metric
from asyncmetrics.errors import DefinitionError, PushError
from asyncmetrics.registry.collectables import collect_within
from tests.patience import PATIENCE_SECONDS

IDENTITY = Identity("shop", "host:0")
SHORT_SECONDS = 0.05


def encode(registry_or_families, **options) -> list[str]:
    """Return the lines of a push at the time 100.9."""
    families = registry_or_families
    if isinstance(families, CollectorRegistry):
        families = collect_within(families)
    payload = Graphite("localhost", **options).encode(families, 100.9, IDENTITY)
    return b"".join(part.data for part in payload.parts).decode("ascii").splitlines()


class TestLines:
    def test_labels_are_tags(self, registry):
        Counter("orders_total", "", ["kind"], registry=registry).labels("retail").inc(0.1)
        assert encode(registry) == ["orders_total;instance=host:0;job=shop;kind=retail 0.1 100"]

    def test_labels_are_parts_of_the_path(self, registry):
        Counter("orders_total", "", ["kind"], registry=registry).labels("re.tail").inc()
        expected = "a.b.orders_total.instance.host%3A0.job.shop.kind.re%2Etail 1.0 100"
        assert encode(registry, tags=False, prefix="a.b") == [expected]

    def test_added_labels_yield_to_those_of_the_series(self, registry):
        Gauge("g", "", ["job", "zone"], registry=registry).labels("own", "z1").set(2)
        assert encode(registry, labels={"zone": "added", "team": "a"}) == [
            "g;instance=host:0;job=own;team=a;zone=z1 2.0 100"
        ]

    def test_a_bucket_is_a_series(self, registry):
        Histogram("h", "", ["z"], buckets=[1, 2], registry=registry).labels("x").observe(1.5)
        names = ["h_bucket;le=1.0;z=x 0.0", "h_bucket;le=2.0;z=x 1.0", "h_bucket;le=+Inf;z=x 1.0"]
        names += ["h_count;z=x 1.0", "h_sum;z=x 1.5"]
        lines = [line.replace("instance=host:0;job=shop;", "") for line in encode(registry)]
        assert lines == [f"{name} 100" for name in names]

    def test_the_facts_of_an_info_are_tags(self, registry):
        Info("build", "", registry=registry).info({"version": "1.2"})
        assert encode(registry) == ["build_info;instance=host:0;job=shop;version=1.2 1.0 100"]

    def test_a_sample_keeps_its_own_time(self):
        family = GaugeMetricFamily("g", "", labels=[])
        family.add_metric([], 3, timestamp=7.9)
        assert encode([family]) == ["g;instance=host:0;job=shop 3.0 7"]

    def test_infinities_are_written_as_carbon_reads_them(self, registry):
        gauge = Gauge("g", "", ["s"], registry=registry)
        gauge.labels("+").set(float("inf"))
        gauge.labels("-").set(float("-inf"))
        values = [line.split(" ")[1] for line in encode(registry)]
        assert [float(value) for value in values] == [float("inf"), float("-inf")]

    def test_parts_hold_whole_lines(self, registry):
        gauge = Gauge("g", "", ["n"], registry=registry)
        for number in range(3000):
            gauge.labels(number).set(number)
        payload = Graphite("localhost").encode(collect_within(registry), 1.0, IDENTITY)
        assert len(payload.parts) > 1
        assert payload.samples == 3000
        assert all(part.data.endswith(b"\n") and part.data.count(b"\n") == part.samples for part in payload.parts)


class TestOmissions:
    @pytest.fixture
    def warnings(self, caplog):
        return lambda: [record.getMessage() for record in caplog.records if record.name == "asyncmetrics"]

    def test_nan_is_left_out_and_logged(self, warnings):
        family = GaugeMetricFamily("graphite_nan", "", labels=["a"])
        family.add_metric(["x"], float("nan"))
        family.add_metric(["y"], 1)
        assert len(encode([family])) == 1
        (message,) = warnings()
        assert message.startswith("left a sample of graphite_nan out of the graphite format: Graphite has no NaN")

    def test_a_line_that_carbon_would_close_the_connection_for_is_left_out(self, warnings):
        family = GaugeMetricFamily("graphite_long", "", labels=["a"])
        family.add_metric(["x" * 16_384], 1)
        assert encode([family]) == []
        assert "the line is too long" in warnings()[0]

    def test_what_is_no_sample_costs_only_itself(self):
        family = Metric("graphite_odd", "", "gauge")
        family.add_sample("graphite_odd", {"a": "1"}, 1)
        family.add_sample("graphite_odd", {"a": "2"}, "two")  # type: ignore[arg-type]  # which is the test
        family.add_sample("graphite_odd", {"a": "1"}, 3)
        broken = Metric("graphite_broken", "", "gauge")
        broken.type = "nothing"
        assert len(encode([broken, family])) == 1


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.settimeout(PATIENCE_SECONDS)
        yield found


def make_payload(text: bytes) -> Payload:
    return Payload(1.0, [Part(text)])


@pytest.mark.blocking
class TestConnection:
    async def receive(self, connection: socket.socket, size: int) -> bytes:
        def read() -> bytes:
            connection.settimeout(PATIENCE_SECONDS)
            data = b""
            while len(data) < size:
                data += connection.recv(size)
            return data

        return await anyio.to_thread.run_sync(read)

    async def accept(self, listener: socket.socket) -> socket.socket:
        return (await anyio.to_thread.run_sync(listener.accept))[0]

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_a_connection_is_kept_and_replaced_once_the_server_has_closed_it(self, listener, backend):
        sink = Graphite("127.0.0.1", listener.getsockname()[1])

        async def run() -> None:
            await sink.send(make_payload(b"one\n"))
            first = await self.accept(listener)
            await sink.send(make_payload(b"two\n"))
            with closing(first):
                assert await self.receive(first, 8) == b"one\ntwo\n"
            # The first write to a connection that was closed in order succeeds: it must go to another one.
            await sink.send(make_payload(b"three\n"))
            with closing(await self.accept(listener)) as second:
                assert await self.receive(second, 6) == b"three\n"
            await sink.close()

        anyio.run(run, backend=backend)

    def test_a_sink_is_used_on_a_second_loop(self, listener):
        sink = Graphite("127.0.0.1", listener.getsockname()[1])
        anyio.run(sink.send, make_payload(b"one\n"), backend="asyncio")
        anyio.run(sink.send, make_payload(b"two\n"), backend="trio")
        with closing(listener.accept()[0]) as connection:
            assert anyio.run(self.receive, connection, 8) == b"one\ntwo\n"
        anyio.run(sink.close)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_the_lines_go_over_tls(self, listener, backend):
        authority = trustme.CA()
        server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(server)
        authority.configure_trust(client)
        text = b"x" * 1_000_000
        got: list[bytes] = []

        def serve() -> None:
            with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                got.append(b"")
                while len(got[0]) < len(text):
                    got[0] += connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        sink = Graphite("localhost", listener.getsockname()[1], tls=client)
        anyio.run(sink.send, make_payload(text), backend=backend)
        thread.join(PATIENCE_SECONDS)
        anyio.run(sink.close)
        assert got == [text]

    def test_a_certificate_that_is_not_trusted_is_named(self, listener):
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("localhost").configure_cert(server)

        def serve() -> None:
            with pytest.raises(OSError), listener.accept()[0] as raw:  # noqa: PT011, PT012  # an alert, or the end
                server.wrap_socket(raw, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        sink = Graphite("localhost", listener.getsockname()[1], tls=True)
        with pytest.raises(PushError, match="certificate of the server is not trusted"):
            anyio.run(sink.send, make_payload(b"x\n"))
        thread.join(PATIENCE_SECONDS)

    def test_a_failed_part_stays_in_the_payload(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        payload = make_payload(b"one\n")
        with pytest.raises(PushError, match="nothing listens there") as caught:
            anyio.run(Graphite("127.0.0.1", port).send, payload)
        assert not caught.value.is_permanent
        assert payload.size == 4

    @pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 300])
    def test_an_unknown_host_is_named(self, host):
        with pytest.raises(PushError, match="the host is unknown"):
            anyio.run(Graphite(host).send, make_payload(b"one\n"))

    def test_a_server_that_does_not_read_costs_the_timeout(self, listener):
        sink = Graphite("127.0.0.1", listener.getsockname()[1], timeout=SHORT_SECONDS)
        with pytest.raises(PushError, match=r"it took more than 0\.05 s"):
            anyio.run(sink.send, make_payload(b"x" * 50_000_000))


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"host": ""}, "host"),
        ({"host": "http://graphite"}, "write host='graphite'$"),
        ({"host": "graphite:2003"}, "write host='graphite', port=2003$"),
        ({"host": "[::1]"}, "write host='::1'$"),
        ({"host": "a b"}, "got the string 'a b'$"),
        ({"port": 70_000}, "port"),
        ({"port": "2003"}, "port"),
        ({"tags": "yes"}, "tags"),
        ({"tls": "yes"}, "tls"),
        ({"timeout": 0}, "timeout"),
        ({"labels": {"a-b": "c"}}, "labels"),
        ({"labels": {"a": 1}}, "labels"),
    ],
)
def test_a_wrong_option_is_named(options, subject):
    with pytest.raises(DefinitionError, match=subject):
        Graphite(**{"host": "localhost", **options})


def test_the_sink_says_where_it_sends():
    assert repr(Graphite("::1")) == "Graphite('[::1]:2003')"
