"""httpx and httpx2: the names of labels, pools of connections, single clients, sizes of bodies, and undoing."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

import anyio
import pytest

from asyncmetrics import CollectorRegistry, instrument, instrument_all, uninstrument
from tests.growth import count_objects, find_growth
from tests.patience import eventually
from tests.servers.processes import find_free_port

pytestmark = pytest.mark.blocking


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (lambda netloc: "shop", "shop"),
        (lambda netloc: 1 / 0, "_OTHER"),
        (lambda netloc: None, "_OTHER"),
        ({"127.0.0.1": "other"}, None),
    ],
)
def test_the_server_is_named_by_a_function_or_a_mapping(library, server, registry, samples, given, name):
    with instrument_all(only=[library.__name__], registry=registry, server=given):
        library.get(f"{server.url}/ok")
    assert samples("http_client_request_duration_seconds_count", "server") == {(name or server.netloc,): 1}


def test_an_ipv6_server_is_named_as_in_a_url(measured, library, samples):
    with pytest.raises(library.ConnectError):
        library.get(f"http://[::1]:{(port := find_free_port())}/")
    assert samples("http_client_request_duration_seconds_count", "server") == {(f"[::1]:{port}",): 1}


def test_the_labels_follow_the_conventions_of_opentelemetry(library, server, registry):
    options = {"registry": registry, "namespace": "shop", "conventions": "opentelemetry"}
    with instrument_all(only=[library.__name__], **options):
        library.get(f"{server.url}/ok")
    labels = {"http_request_method": "GET", "server_address": server.netloc, "http_response_status_code": "200"}
    assert registry.get_sample_value("shop_http_client_request_duration_seconds_count", labels) == 1


def test_a_pool_exposes_its_connections_and_the_calls_that_wait(using, library, server, samples):
    def numbers():
        return (
            samples("http_client_connection_count", "state"),
            samples("http_client_connection_max", "pool"),
            samples("http_client_connection_pending_requests", "pool"),
        )

    pool = (f"{library.__name__}-1",)

    async def request(client):
        async with anyio.create_task_group() as tasks:
            async with client.stream("GET", f"{server.url}/slow") as response:
                tasks.start_soon(client.get, f"{server.url}/ok")
                await eventually(numbers, ({("idle",): 0, ("used",): 1}, {pool: 1}, {pool: 1}))
                server.release.set()
                await response.aread()
        assert numbers() == ({("idle",): 1, ("used",): 0}, {pool: 1}, {pool: 0})

    using(request, limits=library.Limits(max_connections=1))
    assert numbers() == ({}, {}, {})


@pytest.mark.parametrize("path", ["reset", "broken", "close"])
def test_a_connection_that_is_lost_is_no_longer_in_its_pool(measured, library, server, samples, path):
    with library.Client() as client:
        with suppress(library.HTTPError):
            client.get(f"{server.url}/{path}")
        assert samples("http_client_connection_count", "state") == {("idle",): 0, ("used",): 0}
        client.get(f"{server.url}/ok")
        assert samples("http_client_connection_count", "state") == {("idle",): 1, ("used",): 0}


def test_a_transport_without_a_pool_is_measured(measured, library, server, statuses):
    class Pooled(library.HTTPTransport):
        def __init__(self):
            self.inner = library.HTTPTransport()

        @property
        def _pool(self):
            raise AttributeError("renamed")

    transport = Pooled()
    with pytest.raises(AttributeError, match="renamed"):
        transport.handle_request(library.Request("GET", server.url))
    transport.inner.close()
    assert statuses() == {"error": 1}


def test_a_pool_without_a_limit_has_no_maximum(measured, library, server, samples):
    with library.Client(limits=library.Limits(max_connections=None)) as client:
        client.get(f"{server.url}/ok")
        assert samples("http_client_connection_max", "pool") == {}
        assert len(samples("http_client_connection_count", "pool", "state")) == 2


def test_many_clients_one_after_the_other_have_one_name(measured, library, server, samples):
    for _ in range(3):
        with library.Client() as client:
            client.get(f"{server.url}/ok")
            assert samples("http_client_connection_max", "pool") == {(f"{library.__name__}-1",): 100}


def test_a_client_alone_is_measured_with_its_mounts_and_wrapped_transports(library, server, registry, statuses):
    class Outer(library.BaseTransport):
        def __init__(self, inner):
            self.inner = inner

        def handle_request(self, request):
            return self.inner.handle_request(request)

        def close(self):
            self.inner.close()

    mounts = {"all://shop.example": None, server.url: Outer(library.HTTPTransport())}
    with library.Client(mounts=mounts) as client, library.Client() as other:
        assert instrument(client, registry=registry) is client
        client.get(f"{server.url}/ok")
        other.get(f"{server.url}/ok")
        assert statuses() == {"200": 1}
        uninstrument(client)
        client.get(f"{server.url}/ok")
        assert statuses() == {"200": 1}


def test_a_client_in_a_measured_library_counts_once_by_its_own_metrics(measured, library, server, statuses, samples):
    own = CollectorRegistry()
    with library.Client() as client:
        client.get(f"{server.url}/ok")
        instrument(client, registry=own, name="shop")
        assert samples("http_client_connection_max", "pool") == {}
        client.get(f"{server.url}/ok")
        assert own.get_sample_value("http_client_connection_max", {"pool": "shop"}) == 100
        uninstrument(client)
        client.get(f"{server.url}/ok")
    labels = {"method": "GET", "server": server.netloc, "status": "200"}
    assert own.get_sample_value("http_client_request_duration_seconds_count", labels) == 1
    assert own.get_sample_value("http_client_connection_max", {"pool": "shop"}) is None
    assert statuses() == {"200": 2}


async def _produce():
    yield b"ab"
    yield b"c"


@pytest.mark.parametrize(("content", "size"), [(None, 0), (b"four", 4), (_produce, 3)])
def test_the_size_of_a_body_is_measured_on_request(library, server, registry, run, content, size):
    async def main():
        async with library.AsyncClient() as client:
            instrument(client, registry=registry, body_sizes=True, first_byte=True)
            body = content() if callable(content) else content
            request = client.build_request("POST", f"{server.url}/echo", content=body)
            stream = request.stream
            assert len((await client.send(request)).content) == size
            assert request.stream is stream
            uninstrument(client)

    run(main)
    labels = {"method": "POST", "server": server.netloc}
    for name in ("request", "response"):
        assert registry.get_sample_value(f"http_client_{name}_body_size_bytes_sum", labels) == size
        assert registry.get_sample_value(f"http_client_{name}_body_size_bytes_count", labels) == 1
    assert registry.get_sample_value("http_client_time_to_first_byte_seconds_count", labels) == 1


def test_undo_leaves_the_classes_as_they_were(library, server, registry, samples):
    owners = (library.AsyncHTTPTransport, library.HTTPTransport)
    before = [dict(vars(owner)) for owner in owners]
    with library.Client() as client:
        with instrument_all(only=[library.__name__], registry=registry):
            client.get(f"{server.url}/ok")
            assert [dict(vars(owner)) for owner in owners] != before
            assert samples("http_client_connection_max", "pool") != {}
        assert [dict(vars(owner)) for owner in owners] == before
        assert samples("http_client_connection_max", "pool") == {}


def test_two_event_loops_and_two_threads_count_each_call(measured, library, server, statuses, active):
    async def main():
        async with library.AsyncClient() as client:
            for _ in range(10):
                await client.get(f"{server.url}/ok")

    asyncio.run(main())
    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses(), active()) == ({"200": 30}, 0)


def test_objects_do_not_grow_with_the_number_of_requests(measured, library, server, caplog):
    caplog.set_level(logging.CRITICAL, library.__name__)  # pytest keeps every record, and httpx logs each request

    def count(requests):
        for _ in range(requests):
            client.get(f"{server.url}/ok")
        return count_objects()

    with library.Client() as client:
        count(20)
        assert find_growth([count(100) for _ in range(4)]) < 10
