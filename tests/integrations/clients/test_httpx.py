"""httpx and httpx2, on asyncio and trio: each request on the wire is one call, which ends with its response's body."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from collections.abc import Coroutine
from functools import partial
from types import coroutine
from typing import Any

import anyio
import pytest

from asyncmetrics import instrument_all
from tests.patience import eventually
from tests.servers.processes import find_free_port

pytestmark = pytest.mark.blocking


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


def test_streams_of_http2_that_share_a_connection_are_calls_of_their_own(measured, library, statuses, active):
    pytest.importorskip("h2")
    from tests.servers.http2_server import run_http2_server  # noqa: PLC0415  # it needs h2

    async def main():
        with run_http2_server() as url:
            async with library.AsyncClient(http1=False, http2=True) as client:
                await asyncio.gather(*[client.get(url) for _ in range(5)])

    asyncio.run(main())
    assert (statuses(), active()) == ({"200": 5}, 0)
