"""OpenTelemetry's instrumentation of HTTP clients beside ours: no span is lost, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3

from asyncmetrics import instrument_all

pytest.importorskip("opentelemetry.sdk")
for module in ("httpx", "requests", "urllib3"):
    pytest.importorskip(f"opentelemetry.instrumentation.{module}")

from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: E402
from opentelemetry.instrumentation.requests import RequestsInstrumentor  # noqa: E402
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

pytestmark = [pytest.mark.blocking]


def send_httpx(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)


def send_httpx_async(url: str) -> None:
    import anyio  # noqa: PLC0415

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    anyio.run(main)


def send_requests(url: str) -> None:
    with requests.Session() as session:
        session.get(url)


def send_urllib3(url: str) -> None:
    with urllib3.PoolManager() as manager:
        manager.request("GET", url)


CASES = {
    "httpx": ("httpx", HTTPXClientInstrumentor, send_httpx),
    "httpx-async": ("httpx", HTTPXClientInstrumentor, send_httpx_async),
    "requests": ("urllib3", RequestsInstrumentor, send_requests),
    "urllib3": ("urllib3", URLLib3Instrumentor, send_urllib3),
}
OWNERS = (
    httpx.HTTPTransport,
    httpx.AsyncHTTPTransport,
    urllib3.HTTPConnectionPool,
    urllib3.HTTPResponse,
    requests.Session,
)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, Any, Callable[[str], None]]:
    """Each client in turn: its library, its instrumentor, and what sends a request."""
    return CASES[request.param]


@pytest.fixture
def spans() -> Iterator[Callable[[], int]]:
    """Count the spans since the last call."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def take() -> int:
        found = len(exporter.get_finished_spans())
        exporter.clear()
        return found

    take.provider = provider
    yield take
    provider.shutdown()


# OpenTelemetry leaves its wrapper in place if it is asked to remove it while another one is around it.
ORDERS = [("ours", "ours"), ("ours", "theirs"), ("theirs", "ours")]


@pytest.mark.parametrize(("first", "removed_first"), ORDERS)
def test_both_measure_in_each_order_and_one_goes_on_alone(
    case, spans, server, registry, statuses, first, removed_first
):
    library, instrumentor, send = case
    before = [dict(vars(owner)) for owner in OWNERS]
    steps = {
        "theirs": lambda: instrumentor().instrument(tracer_provider=spans.provider),
        "ours": lambda: running.append(instrument_all(only=[library], registry=registry)),
    }
    ends = {"theirs": lambda: instrumentor().uninstrument(), "ours": lambda: running.pop().undo()}
    running: list[Any] = []
    second = "ours" if first == "theirs" else "theirs"
    left = "ours" if removed_first == "theirs" else "theirs"
    try:
        steps[first]()
        steps[second]()
        send(f"{server.url}/ok")
        assert (statuses(), spans()) == ({"200": 1}, 1)
        ends[removed_first]()
        send(f"{server.url}/ok")
        assert (statuses(), spans()) == (({"200": 2}, 0) if left == "ours" else ({"200": 1}, 1))
    finally:
        ends[left]()
    counted = statuses()
    send(f"{server.url}/ok")
    assert (statuses(), spans()) == (counted, 0)
    with instrument_all(only=[library], registry=registry):  # removes a wrapper of ours that was below theirs
        send(f"{server.url}/ok")
    assert sum(statuses().values()) == sum(counted.values()) + 1
    assert [dict(vars(owner)) for owner in OWNERS] == before
