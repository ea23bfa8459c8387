"""Prometheus knows the trace of each request that has one: from text and protobuf, from one process and from three."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from tests.patience import wait_until
from tests.servers.prometheus_server import Prometheus, make_job
from tests.servers.worker_servers import Workers, run_workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

TRACES = 5
DURATION = '{__name__=~"http_server_request_duration_seconds.*"}'


@pytest.fixture(params=["text", "protobuf"])
def features(request, generation) -> str:
    """The features with which the server asks for each format."""
    return "exemplar-storage" if request.param == "text" else generation.features


def make_trace() -> tuple[str, str]:
    """Return a trace id and the header of a sampled request."""
    trace, span = random.getrandbits(128) | 1, random.getrandbits(64) | 1
    return f"{trace:032x}", f"00-{trace:032x}-{span:016x}-01"


def read_traces(prometheus: Prometheus, query: str) -> set[str]:
    now = time.time()
    found = prometheus.get("/api/v1/query_exemplars", query=query, start=repr(now - 600), end=repr(now + 60))
    return {exemplar["labels"].get("trace_id", "") for series in found for exemplar in series["exemplars"]}


def send_traces(prometheus: Prometheus, queries: list[str], send: Callable[[str], str], processes: int = 1) -> None:
    """Send requests until the server knows the traces of some, which so many processes answered, and no others.

    Each bucket takes one exemplar a scrape, so not every trace is kept. ``send`` returns which process answered.
    """
    sent: dict[str, str] = {}

    def send_one(query: str) -> set[str]:
        trace, header = make_trace()
        sent[trace] = send(header)
        return read_traces(prometheus, query)

    def are_enough(known: set[str]) -> bool:
        return len(known) >= TRACES and len({sent[trace] for trace in known & sent.keys()}) >= processes

    for query in queries:
        prometheus.wait_for(f"count({query})", bool)
        assert wait_until(lambda query=query: send_one(query), are_enough, pause=0.1) <= sent.keys()


async def answer(request: Request) -> PlainTextResponse:  # noqa: ARG001  # a route is given it
    return PlainTextResponse("here")


def test_the_traces_of_requests_are_known(start, serve, features):
    registry = asyncmetrics.CollectorRegistry()
    app = Starlette(routes=[Route("/", answer)])
    asyncmetrics.instrument(app, registry=registry, native=True, exemplars="traceparent")
    base = serve(app)
    httpx.get(base)
    with start([make_job("app", base)], features=features) as prometheus:
        send_traces(prometheus, [DURATION], lambda header: httpx.get(base, headers={"traceparent": header}).text)


@contextmanager
def keep_busy(server: Workers) -> Iterator[None]:
    """Send requests meanwhile, so that others are not all accepted by one worker."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            server.get("/items/0")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def place(tmp_path_factory) -> Iterator[Path]:
    """A directory in memory where workers may make theirs."""
    path = Path(f"/dev/shm/native-{random.getrandbits(32):x}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


def test_the_traces_of_requests_are_known_over_workers(start, place, features):
    with run_workers("uvicorn", "", 3, place, {}, "native_app") as server, keep_busy(server):

        def send(header: str) -> str:
            status, pid = server.get("/observe/0.5", traceparent=header)
            assert status == 200
            return pid

        send("")
        with start([make_job("workers", f"http://127.0.0.1:{server.port}")], features=features) as prometheus:
            send_traces(prometheus, ["answered_total", DURATION], send, processes=2)


def test_a_native_histogram_without_classic_buckets_has_exemplars(start, generation):
    """2.42 reads exemplars of classic buckets only: it gets the bucket ``+Inf``, with the latest one, beside it."""
    registry = asyncmetrics.CollectorRegistry()
    sizes = asyncmetrics.Histogram("sizes", "S.", native=True, buckets=(), registry=registry)
    for exponent in range(3):
        sizes.observe(2.0**exponent, {"trace_id": f"{exponent}"})
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    with start([make_job("sizes", f"http://127.0.0.1:{server.port}")]) as prometheus:
        prometheus.wait_for("histogram_count(sizes) == 3", bool)
        assert read_traces(prometheus, "sizes") == ({"0", "1", "2"} if generation.is_new else {"2"})
    server.shutdown()
    thread.join()
