"""The sink `Pushgateway`: its requests, its group, handlers, and its end."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter, generate_latest
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.pushgateway import Pushgateway
from asyncmetrics.errors import DefinitionError, PushError
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.test_pushgateway import Gateway

IDENTITY = Identity("shop", "host:0")
SHORT_SECONDS = 0.05


class Server(ThreadingHTTPServer):
    """A gateway that keeps the requests as ``(method, path, headers, body)``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Gateway)
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def gateway() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def filled(registry) -> CollectorRegistry:
    Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    return registry


def push(sink: Pushgateway, registry: CollectorRegistry, backend: str = "asyncio", *, times: int = 1) -> None:
    async def run() -> None:
        for _ in range(times):
            await sink.send(sink.encode(collect_within(registry), 1.0, IDENTITY))
        await sink.close()

    anyio.run(run, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_push_replaces_the_group_of_this_instance(gateway, filled, backend):
    push(Pushgateway(gateway.base), filled, backend)
    [(method, path, headers, body)] = gateway.got
    assert (method, path) == ("PUT", "/metrics/job/shop/instance/host%3A0")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert body == generate_latest(filled)


@pytest.fixture
def large(filled) -> CollectorRegistry:
    """A registry whose text has about 300 KB."""
    rows = Counter("rows_total", "Rows.", ["table"], registry=filled)
    for number in range(5000):
        rows.labels(f"a table with the number {number}").inc()
    return filled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_large_push_arrives_whole_with_its_length(gateway, large, backend, compression):
    push(Pushgateway(gateway.base, compression=compression), large, backend)
    [(_, _, headers, body)] = gateway.got
    assert headers["Content-Length"] == str(len(body))
    assert (gzip.decompress(body) if compression else body) == generate_latest(large)


def test_no_piece_of_a_large_push_holds_the_loop_for_long(large):
    payload = Pushgateway("gateway:9091").encode(collect_within(large), 1.0, IDENTITY)
    [part] = payload.parts
    assert max(map(len, part.pieces)) < 200_000
    assert payload.size == len(generate_latest(large))


def test_a_handler_gets_a_large_push_in_one(large):
    got = []

    def handler(url, method, timeout, headers, data):
        return lambda: got.append(data)

    push(Pushgateway("gateway:9091", handler=handler), large)
    assert got == [generate_latest(large)]


def test_the_samples_of_a_payload_are_the_lines_that_are_no_comments(filled):
    Counter("texts_total", "A # in\n# HELP text.", ["text"], registry=filled).labels("\n# TYPE").inc()
    assert Pushgateway("gateway:9091").encode(collect_within(filled), 1.0, IDENTITY).samples == 2


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"job": "a/b", "grouping_key": {}}, "/metrics/job@base64/YS9i"),
        ({"grouping_key": {"zone": 1}}, "/metrics/job/shop/zone/1"),
        ({"labels": {"team": "a"}}, "/metrics/job/shop/instance/host%3A0/team/a"),
    ],
)
def test_the_labels_of_the_group_are_in_the_path(gateway, filled, options, path):
    push(Pushgateway(gateway.base, **options), filled)
    assert [found[1] for found in gateway.got] == [path]


def test_a_push_can_add_and_compress(gateway, filled):
    push(Pushgateway(gateway.base, method="POST", compression="gzip", auth=("me", "secret")), filled)
    [(method, _, headers, body)] = gateway.got
    assert (method, headers["Content-Encoding"]) == ("POST", "gzip")
    assert headers["Authorization"] == "Basic bWU6c2VjcmV0"
    assert gzip.decompress(body) == generate_latest(filled)


def test_the_group_is_deleted_at_the_end(gateway, filled):
    push(Pushgateway(gateway.base, delete_on_close=True), filled, times=2)
    assert [(method, path) for method, path, _, _ in gateway.got] == [
        ("PUT", "/metrics/job/shop/instance/host%3A0"),
        ("PUT", "/metrics/job/shop/instance/host%3A0"),
        ("DELETE", "/metrics/job/shop/instance/host%3A0"),
    ]


def test_a_group_that_cannot_be_deleted_is_logged(gateway, filled, caplog):
    push(Pushgateway(f"{gateway.base}/bad", delete_on_close=True), CollectorRegistry(), times=0)
    assert "the metrics were not deleted from the Pushgateway: DELETE http://127.0.0.1" in caplog.text


def test_a_refusal_is_permanent_and_has_its_reason(gateway, filled):
    with pytest.raises(PushError, match="400 Bad Request: pushed metrics are invalid") as caught:
        push(Pushgateway(f"{gateway.base}/bad"), filled)
    assert caught.value.is_permanent


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handler_sends_instead_in_a_thread(filled, backend):
    got = []

    def handler(url, method, timeout, headers, data):
        return lambda: got.append((url, method, timeout, dict(headers), data, threading.current_thread()))

    push(Pushgateway("gateway:9091", "job", handler=handler, headers={"X-Tenant": "a"}, timeout=600), filled, backend)
    [(url, method, timeout, headers, data, thread)] = got
    assert (url, method, timeout) == ("http://gateway:9091/metrics/job/job/instance/host%3A0", "PUT", 600)
    assert headers == {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "X-Tenant": "a"}
    assert data == generate_latest(filled)
    assert thread is not threading.main_thread()


def test_what_a_handler_raises_is_a_failed_push(filled):
    def handler(url, method, timeout, headers, data):
        raise KeyError("missing")

    with pytest.raises(PushError, match="'missing'") as caught:
        push(Pushgateway("gateway:9091", handler=handler), filled)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_handler_that_hangs_costs_the_timeout(filled):
    is_over = threading.Event()

    def handler(url, method, timeout, headers, data):
        def send() -> None:
            is_over.wait()

        return send

    with pytest.raises(PushError):
        push(Pushgateway("gateway:9091", handler=handler, timeout=SHORT_SECONDS), filled)
    is_over.set()


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"url": ""}, "url"),
        ({"url": None}, "url"),
        ({"url": "ftp://gateway"}, "url"),
        ({"url": "http://me:secret@gateway"}, r"got the string 'http://gateway': write auth=\('user', 'password'\)"),
        ({"job": 7}, "job"),
        ({"grouping_key": {"job": "x"}}, "grouping_key"),
        ({"grouping_key": ["a"]}, "grouping_key"),
        ({"labels": {"a-b": "x"}}, "labels"),
        ({"method": "DELETE"}, "method"),
        ({"compression": "snappy"}, "compression"),
        ({"handler": "h"}, "handler"),
        ({"delete_on_close": 1}, "delete_on_close"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_wrong_option_is_named(options, subject):
    with pytest.raises(DefinitionError, match=subject):
        Pushgateway(**{"url": "gateway:9091", **options})


def test_the_scheme_may_be_left_out():
    assert repr(Pushgateway("gateway:9091")) == "Pushgateway('http://gateway:9091')"


def test_credentials_are_not_shown():
    assert repr(Pushgateway("http://gateway:9091", auth=("me", "secret"))) == "Pushgateway('http://gateway:9091')"
