"""httpx and httpx2, on asyncio and trio: each request on the wire is one call, which ends with its response's body."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType, coroutine
from typing import Any

import anyio
import pytest

from asyncmetrics import CollectorRegistry, instrument, instrument_all, uninstrument
from tests.patience import eventually
from tests.servers.processes import find_free_port

pytestmark = pytest.mark.blocking

NEVER = anyio.sleep_forever


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Either library in turn."""
    pytest.importorskip(request.param)
    return import_module(request.param)


@pytest.fixture
def measured(library, registry) -> Iterator[None]:
    with instrument_all(only=[library.__name__], registry=registry):
        yield


@pytest.fixture
def using(measured, library, run) -> Callable[..., Any]:
    """Run a function of a client of either library, on either event loop."""

    def use(function: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any) -> Any:
        async def main() -> Any:
            async with library.AsyncClient(**{"timeout": None, **options}) as client:
                return await function(client)

        return run(main)

    return use


def test_a_request_counts_once_with_its_method_server_and_status(using, server, samples):
    using(lambda client: client.get(f"{server.url}/status/404"))
    found = samples("http_client_request_duration_seconds_count", "method", "server", "status")
    assert found == {("GET", server.netloc, "404"): 1}


def test_a_request_of_a_sync_client_counts_once(measured, library, server, statuses, active):
    with library.Client() as client:
        assert client.get(f"{server.url}/ok").text == "hello"
    assert library.get(f"{server.url}/ok").text == "hello"
    assert (statuses(), active()) == ({"200": 2}, 0)


def test_an_unknown_method_is_other(using, server, samples):
    using(lambda client: client.request("BREW", f"{server.url}/ok"))
    assert samples("http_client_request_duration_seconds_count", "method") == {("_OTHER",): 1}


def test_each_redirect_is_a_call_of_its_own(using, server, statuses):
    using(lambda client: client.get(f"{server.url}/redirect/2"), follow_redirects=True)
    assert statuses() == {"302": 2, "200": 1}


def test_a_refused_connection_is_an_error(using, statuses, exceptions, active, library):
    with pytest.raises(library.ConnectError):
        using(lambda client: client.get(f"http://127.0.0.1:{find_free_port()}"))
    assert (statuses(), exceptions(), active()) == ({"error": 1}, {"ConnectError": 1}, 0)


def test_a_response_that_does_not_come_in_time_is_an_error(using, server, library, statuses, exceptions):
    with pytest.raises(library.ReadTimeout):
        using(lambda client: client.get(f"{server.url}/silent", timeout=library.Timeout(None, read=0.05)))
    assert (statuses(), exceptions()) == ({"error": 1}, {"ReadTimeout": 1})


def test_a_pool_without_a_free_connection_is_an_error(using, server, library, statuses, exceptions):
    async def request(client):
        async with client.stream("GET", f"{server.url}/slow"):
            await client.get(f"{server.url}/ok", timeout=library.Timeout(None, pool=0.05))

    with pytest.raises(library.PoolTimeout):
        using(request, limits=library.Limits(max_connections=1))
    assert (statuses(), exceptions()) == ({"error": 1, "200": 1}, {"PoolTimeout": 1})


def test_a_cancelled_call_is_cancelled(using, server, statuses, exceptions, active):
    async def request(client):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, f"{server.url}/silent")
            await eventually(lambda: server.seen["/silent"], 1)
            assert active() == 1
            tasks.cancel_scope.cancel()

    using(request)
    assert (statuses(), exceptions(), active()) == ({"cancelled": 1}, {}, 0)


def test_a_call_that_is_cancelled_while_its_body_is_read_keeps_its_status(using, server, statuses, exceptions, active):
    async def request(client):
        async with anyio.create_task_group() as tasks, client.stream("GET", f"{server.url}/slow") as response:
            async for _ in response.aiter_raw():
                tasks.cancel_scope.cancel()

    using(request)
    assert (statuses(), exceptions(), active()) == ({"200": 1}, {}, 0)


@coroutine
def cancel_at(step: int, awaited: Coroutine[Any, Any, Any]):
    """Run a coroutine, whose task is cancelled when it waits for the time number ``step``."""
    waits = 0
    resume = partial(awaited.send, None)
    try:
        while True:
            future = resume()
            waits += 1
            if waits == step:
                asyncio.current_task().cancel()
            try:
                yield future
                resume = partial(awaited.send, None)
            except asyncio.CancelledError as error:
                resume = partial(awaited.throw, error)
    except StopIteration as end:
        return end.value


def test_a_cancellation_at_any_await_ends_the_call_once(measured, library, server, statuses, exceptions, active):
    async def read(client) -> None:
        async with client.stream("GET", f"{server.url}/chunks/3") as response:
            async for _ in response.aiter_raw():
                await asyncio.sleep(0)

    async def main() -> int:
        async with library.AsyncClient() as client:
            for step in range(1, 1000):
                task = asyncio.create_task(_to_coroutine(cancel_at(step, read(client))))
                await asyncio.wait([task])
                assert active() == 0
                assert sum(statuses().values()) == step
                if not task.cancelled():
                    await task
                    return step
        raise AssertionError

    steps = asyncio.run(main())
    assert steps > 4
    assert exceptions() == {}
    assert set(statuses()) == {"cancelled", "200"}


async def _to_coroutine(awaitable: Any) -> Any:
    return await awaitable


@pytest.mark.parametrize("path", ["broken", "broken-chunks"])
def test_a_body_that_breaks_off_counts_its_exception_and_keeps_its_status(
    using, server, library, statuses, exceptions, active, path
):
    with pytest.raises(library.RemoteProtocolError):
        using(lambda client: client.get(f"{server.url}/{path}"))
    assert (statuses(), exceptions(), active()) == ({"200": 1}, {"RemoteProtocolError": 1}, 0)


def test_a_body_of_a_sync_client_that_breaks_off_counts_its_exception(measured, library, server, statuses, exceptions):
    with pytest.raises(library.RemoteProtocolError):
        library.get(f"{server.url}/broken")
    assert (statuses(), exceptions()) == ({"200": 1}, {"RemoteProtocolError": 1})


async def read(response):
    assert await response.aread() == b"x" * 30


async def close(response):
    await response.aclose()


async def read_a_part(response):
    async for _ in response.aiter_raw():
        break
    await response.aclose()


@pytest.mark.parametrize("backend", ["asyncio"], indirect=True)  # trio warns of each generator that is not exhausted
def test_a_call_whose_body_is_read_in_part_ends_when_it_is_closed(using, server, statuses):
    async def request(client):
        async with client.stream("GET", f"{server.url}/chunks/3") as response:
            await read_a_part(response)
            assert statuses() == {"200": 1}

    using(request)


@pytest.mark.parametrize("end", [read, close])
def test_a_call_ends_with_its_body(using, server, statuses, active, end):
    async def request(client):
        async with client.stream("GET", f"{server.url}/chunks/3") as response:
            assert (statuses(), active()) == ({}, 1)
            await end(response)
            assert (statuses(), active()) == ({"200": 1}, 0)

    using(request)


def test_a_response_that_is_dropped_ends_when_it_is_collected(measured, library, server, statuses, active):
    with library.Client(timeout=None) as client:
        response = client.send(client.build_request("GET", f"{server.url}/slow"), stream=True)
        assert active() == 1
        del response
        gc.collect()
        assert (statuses(), active()) == ({"200": 1}, 0)


@pytest.mark.parametrize(("method", "path"), [("HEAD", "ok"), ("GET", "status/204"), ("GET", "close")])
def test_a_response_without_a_body_or_a_connection_to_keep_ends(using, server, statuses, active, method, path):
    async def request(client):
        response = await client.request(method, f"{server.url}/{path}")
        assert (statuses(), active()) == ({str(response.status_code): 1}, 0)

    using(request)


def test_a_switch_of_protocols_ends_the_call_at_its_head(using, server, statuses, active):
    async def request(client):
        headers = {"Connection": "upgrade", "Upgrade": "echo"}
        async with client.stream("GET", f"{server.url}/upgrade", headers=headers) as response:
            assert (statuses(), active()) == ({"101": 1}, 0)
            stream = response.extensions["network_stream"]
            await stream.write(b"ping\n")
            assert await stream.read(100) == b"ping\n"

    using(request)


def test_calls_inside_a_stream_are_calls_of_their_own(using, server, statuses, active):
    async def request(client):
        async with client.stream("GET", f"{server.url}/chunks/2") as response:
            async for _ in response.aiter_raw():
                await client.get(f"{server.url}/ok")
                assert active() == 1

    using(request)
    assert statuses()["200"] > 1


def test_mock_and_asgi_transports_are_not_counted(using, library, statuses):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    def answer(_):
        return library.Response(200)

    for transport in (library.MockTransport(answer), library.ASGITransport(app)):
        using(lambda client: client.get("http://shop.example"), transport=transport)
    with library.Client(transport=library.MockTransport(answer)) as client:
        client.get("http://shop.example")
    assert statuses() == {}


def test_each_attempt_of_a_transport_that_tries_again_is_a_call(measured, library, server, statuses):
    class Retrying(library.HTTPTransport):
        def handle_request(self, request):
            for _ in range(2):
                response = super().handle_request(request)
            return response

    with library.Client(transport=Retrying()) as client:
        client.get(f"{server.url}/retry/2")
    gc.collect()
    assert statuses() == {"503": 1, "200": 1}


def test_a_subclass_that_overrides_the_method_is_left_alone(measured, library, statuses):
    class Own(library.HTTPTransport):
        def handle_request(self, request):
            return library.Response(200)

    with library.Client(transport=Own()) as client:
        assert client.get("http://shop.example").status_code == 200
    assert statuses() == {}


def test_a_response_is_that_of_the_library(using, library, server):
    async def request(client):
        async with client.stream("GET", f"{server.url}/chunks/1") as response:
            assert isinstance(response.stream, library.AsyncByteStream)
            assert "network_stream" in response.extensions
            assert not response.is_closed
            await response.aread()
            assert response.is_closed
            assert response.elapsed
            return response

    response = using(request)
    for clone in (pickle.loads(pickle.dumps(response)), copy.deepcopy(response)):  # noqa: S301
        assert clone.content == b"x" * 10


def test_a_stream_has_the_attributes_of_that_of_the_library_and_can_be_copied(measured, library, server):
    with library.HTTPTransport() as transport:
        response = transport.handle_request(library.Request("GET", f"{server.url}/chunks/1"))
        assert isinstance(response.stream, library.SyncByteStream)
        assert response.stream._httpcore_stream is not None
        assert isinstance(copy.copy(response.stream), library.SyncByteStream)
        assert response.read() == b"x" * 10


def test_a_stream_of_both_kinds_fits_a_sync_client(library, registry, monkeypatch, statuses):
    """A mock of a transport's class answers with such streams, and is replaced after us."""
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda *_: library.Response(200, content=b"mock"))
    with instrument_all(only=[library.__name__], registry=registry):
        assert library.get("http://shop.example").content == b"mock"
    assert statuses() == {"200": 1}


def test_a_request_through_a_proxy_has_the_server_of_its_url(measured, library, server, samples):
    with library.Client(mounts={"http://": library.HTTPTransport(proxy=library.Proxy(server.url))}) as client:
        assert client.get("http://shop.example:8080/ok").text == "hello"
    assert samples("http_client_request_duration_seconds_count", "server") == {("shop.example:8080",): 1}


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


def test_objects_do_not_grow_with_the_number_of_requests(measured, library, server):
    def count():
        gc.collect()
        return len(gc.get_objects())

    with library.Client() as client:
        for _ in range(100):
            client.get(f"{server.url}/ok")
        before = count()
        for _ in range(300):
            client.get(f"{server.url}/ok")
        assert count() - before < 150


def test_streams_of_http2_that_share_a_connection_are_calls_of_their_own(measured, library, statuses, active):
    pytest.importorskip("h2")
    from tests.servers.http2_server import run_http2_server  # noqa: PLC0415  # it needs h2

    async def main():
        with run_http2_server() as url:
            async with library.AsyncClient(http1=False, http2=True) as client:
                await asyncio.gather(*[client.get(url) for _ in range(5)])

    asyncio.run(main())
    assert (statuses(), active()) == ({"200": 5}, 0)
