"""A stream of events and a slow download of a real server: what counts them, and what leaves them out."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asyncmetrics import instrument
from asyncmetrics.formats.reading.text import parse_prometheus
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, wait_for, wait_until

pytestmark = pytest.mark.real

AT_ONCE = 0.01  # seconds after its start when a download is a stream
BLOCK = b"data: %b\n\n" % (b"x" * 1_000_000)
BLOCKS = 50  # more than the buffers of two sockets hold

Read = Callable[..., dict[tuple[str, ...], float]]


async def send_blocks() -> AsyncIterator[bytes]:
    """Send more than a client takes before it reads."""
    for _ in range(BLOCKS):
        yield BLOCK


async def events(_: Request) -> Response:
    """Send events."""
    return StreamingResponse(send_blocks(), media_type="text/event-stream")


async def download(_: Request) -> Response:
    """Send a body that says nothing of events."""
    return StreamingResponse(send_blocks(), media_type="application/octet-stream")


async def slow(request: Request) -> Response:
    """Answer when the client has gone; the response has not started until then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return PlainTextResponse("too late")


# A stream of events is one from its start on, a download only after a while.
OPTIONS: dict[str, Any] = {"/events": {"stream_after": PROGRAM_SECONDS}, "/download": {"stream_after": AT_ONCE}}


@pytest.fixture(params=OPTIONS)
def path(request) -> str:
    """The path of either stream in turn."""
    return request.param


@pytest.fixture
def base(path, serve, registry) -> str:
    """A server of both streams."""
    routes = [Route("/events", events), Route("/download", download), Route("/slow", slow)]
    return serve(instrument(Starlette(routes=routes), registry=registry, **OPTIONS[path]))


@pytest.fixture
def read(base) -> Read:
    """Scrape the samples of a name by some of their labels, apart from those that are 0."""

    def read(name: str, *labels: str) -> dict[tuple[str, ...], float]:
        families = parse_prometheus(httpx.get(f"{base}/metrics").raise_for_status().text)
        found: list[Any] = [sample for family in families for sample in family.samples if sample.name == name]
        return {tuple(sample.labels[label] for label in labels): sample.value for sample in found if sample.value}

    return read


@pytest.fixture
def active(read) -> Callable[[], dict[tuple[str, ...], float]]:
    """Scrape the active streams."""
    return lambda: read("http_server_active_streams", "route")


@pytest.fixture
def ended(read) -> Callable[[], dict[tuple[str, ...], float]]:
    """Scrape the number of streams that have ended."""
    return lambda: read("http_server_stream_duration_seconds_count", "route", "outcome")


@pytest.fixture
def requests(read) -> Callable[[], dict[tuple[str, ...], float]]:
    """Scrape the number of requests that have ended, which are no streams."""
    return lambda: read("http_server_request_duration_seconds_count", "route")


@pytest.fixture
def open_stream(base, path, active) -> Callable[[], AbstractContextManager[Iterator[bytes]]]:
    """Read the first part of the stream, until the server counts it: ``with open_stream() as parts: …``."""

    @contextmanager
    def open_stream() -> Iterator[Iterator[bytes]]:
        with httpx.stream("GET", base + path) as response:
            parts = response.iter_raw()
            next(parts)
            wait_for(active, {(path,): 1})
            yield parts

    return open_stream


def test_a_stream_is_active_until_its_client_leaves(open_stream, active):
    with open_stream():
        pass
    wait_for(active, {})


def test_a_stream_that_is_read_to_its_end_is_completed_and_no_request(open_stream, path, ended, requests):
    with open_stream() as parts:
        for _ in parts:
            pass
    wait_for(ended, {(path, "completed"): 1})
    assert requests() == {}


def test_a_stream_whose_client_leaves_is_closed_by_it_and_no_request(open_stream, path, ended, requests):
    with open_stream():
        pass
    wait_for(ended, {(path, "client_closed"): 1})
    assert requests() == {}


def test_the_age_of_the_oldest_request_leaves_streams_out(base, open_stream, read):
    """It is that of a request whose response has not started, although the stream began before."""
    port = int(base.rpartition(":")[2])
    with open_stream(), socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n")
        oldest = wait_until(lambda: read("http_server_oldest_active_request_seconds", "route"))
        assert set(oldest) == {("/slow",)}
