"""Exemplars with the trace that OpenTelemetry makes of a request, whichever middleware is outside of the other."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import anyio
import httpx
import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import asyncmetrics
from asyncmetrics import CallMetrics, Counter, Histogram
from tests.asgi import make_scope
from tests.loops import on_every_loop

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.instrumentation.fastapi")

import fastapi  # noqa: E402
import sqlalchemy  # noqa: E402
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF  # noqa: E402

pytestmark = [pytest.mark.edge("neighbours"), pytest.mark.blocking]  # OpenTelemetry looks for its packages at first

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
DURATION = "http_server_request_duration_seconds_bucket"


class Spans:
    def __init__(self) -> None:
        self.provider = TracerProvider()
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def read_server(self) -> dict[str, str]:
        """Return the ids of the only span of a request."""
        (span,) = (one for one in self.exporter.get_finished_spans() if one.kind.name == "SERVER")
        return {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}"}


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.provider.shutdown()


def find_exemplars(registry):
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.name: dict(sample.exemplar.labels) for sample in samples if sample.exemplar}


async def pass_on(request, call_next):
    return await call_next(request)


def make_app(inner, *, has_base):
    async def item(request):
        inner.inc()
        return PlainTextResponse("item", background=BackgroundTask(int))

    async def stream(request):
        async def produce():
            yield b"1"
            inner.inc()
            yield b"2"

        return StreamingResponse(produce())

    async def fail(request):
        inner.inc()
        raise ValueError

    routes = [Route("/item", item), Route("/stream", stream), Route("/fail", fail)]
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)] if has_base else []
    return fastapi.FastAPI(routes=routes, middleware=middleware)


def surround(app, order, provider, **options):
    if order == "theirs inside":
        return asyncmetrics.MetricsMiddleware(OpenTelemetryMiddleware(app, tracer_provider=provider), **options)
    if order == "theirs outside":
        return OpenTelemetryMiddleware(asyncmetrics.MetricsMiddleware(app, **options), tracer_provider=provider)
    steps = [
        lambda: FastAPIInstrumentor.instrument_app(app, tracer_provider=provider),
        lambda: asyncmetrics.instrument(app, **options),
    ]
    for step in steps if order == "theirs first" else steps[::-1]:
        step()
    return app


async def get(app, path, headers=None):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        await client.get(path, headers=headers)


ORDERS = ["theirs first", "ours first", "theirs inside", "theirs outside"]


@pytest.mark.parametrize("has_base", [False, True], ids=["", "BaseHTTPMiddleware"])
@pytest.mark.parametrize("path", ["/item", "/stream", "/fail"])
@pytest.mark.parametrize("order", ORDERS)
async def test_each_number_of_a_request_has_its_span(order, path, has_base, spans, registry):
    inner = Counter("inner", "I.", registry=registry, exemplars="trace")
    app = make_app(inner, has_base=has_base)
    options = {"registry": registry, "background": True, "exemplars": "trace"}
    await get(surround(app, order, spans.provider, **options), path)
    names = {"inner_total", DURATION, "http_server_background_duration_seconds_bucket"}
    if path == "/fail":
        names.add("http_server_exceptions_total")
    found = find_exemplars(registry)
    assert found.pop("inner_total")["trace_id"] == spans.read_server()["trace_id"]
    assert found == dict.fromkeys(names - {"inner_total"}, spans.read_server())


async def serve(app, kind, received=()):
    """Serve one request or connection, which gets ``received`` and then a disconnect."""
    left = [*received, {"type": f"{kind}.disconnect", "code": 1001}]

    async def receive():
        return left.pop(0)

    async def send(message):
        await anyio.sleep(0)
        if message.get("body") == b"lost":
            raise OSError

    with contextlib.suppress(ValueError, OSError):
        await app(make_scope(type=kind, path="/"), receive, send)


async def stream_and_fail(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1", "more_body": True})
    raise ValueError


async def stream_until_disconnected(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1", "more_body": True})
    await receive()


async def send_to_nobody(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"lost", "more_body": True})


UNFINISHED = {
    stream_and_fail: {DURATION, "http_server_exceptions_total"},
    stream_until_disconnected: {DURATION},
    send_to_nobody: {DURATION},
}


@on_every_loop
@pytest.mark.parametrize("order", ["theirs inside", "theirs outside"])
@pytest.mark.parametrize("app", UNFINISHED, ids=lambda app: app.__name__)
async def test_a_response_that_is_not_finished_has_the_span_of_its_request(app, order, spans, registry):
    await serve(surround(app, order, spans.provider, registry=registry, exemplars="trace"), "http")
    assert find_exemplars(registry) == dict.fromkeys(UNFINISHED[app], spans.read_server())


async def leave(scope, receive, send):
    pass


async def crash(scope, receive, send):
    raise ValueError


async def close(scope, receive, send):
    await send({"type": "websocket.close", "code": 1000})


async def wait_for_the_client(scope, receive, send):
    await receive()


@on_every_loop
@pytest.mark.parametrize("order", ["theirs inside", "theirs outside"])
@pytest.mark.parametrize("end", [leave, crash, close, wait_for_the_client], ids=lambda end: end.__name__)
async def test_a_websocket_has_the_trace_of_its_handshake(end, order, spans, registry):
    inner = Counter("inner", "I.", registry=registry, exemplars="trace")

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        inner.inc()
        await send({"type": "websocket.send", "text": "hello"})
        await end(scope, receive, send)

    received = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"}]
    await serve(surround(app, order, spans.provider, registry=registry, exemplars="trace"), "websocket", received)
    names = ["connection_duration_seconds_bucket", "messages_total", "message_bytes_total"]
    names += ["exceptions_total"] if end is crash else []
    found = {name: labels["trace_id"] for name, labels in find_exemplars(registry).items()}
    expected = ["inner_total", *(f"websocket_server_{name}" for name in names)]
    assert found == dict.fromkeys(expected, spans.read_server()["trace_id"])


@pytest.mark.parametrize("order", ORDERS)
async def test_a_span_that_continues_a_trace_wins_over_the_header(order, spans, registry):
    inner = Counter("inner", "I.", registry=registry, exemplars="traceparent")
    app = surround(make_app(inner, has_base=False), order, spans.provider, registry=registry, exemplars="traceparent")
    await get(app, "/item", {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert spans.read_server()["trace_id"] == TRACE
    assert find_exemplars(registry)[DURATION] == spans.read_server()


async def test_a_trace_that_is_not_sampled_is_no_exemplar(registry):
    provider = TracerProvider(sampler=ALWAYS_OFF)
    inner = Counter("inner", "I.", registry=registry, exemplars="trace")
    app = surround(make_app(inner, has_base=False), "theirs inside", provider, registry=registry, exemplars="trace")
    await get(app, "/item")
    assert find_exemplars(registry) == {}
    assert registry.get_sample_value("inner_total") == 1


def test_metrics_calls_and_timers_have_the_current_span(spans, registry):
    counter = Counter("c", "C.", registry=registry, exemplars="trace")
    histogram = Histogram("h", "H.", buckets=[60], registry=registry, exemplars="trace")
    calls = CallMetrics("calls", "Calls.", buckets=[60], registry=registry, exemplars="trace")
    counter.inc()
    with spans.provider.get_tracer("test").start_as_current_span("work") as span:
        counter.inc()
        with pytest.raises(ValueError), histogram.time(), calls:  # noqa: PT011, PT012
            raise ValueError
    context = span.get_span_context()
    ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    assert find_exemplars(registry) == dict.fromkeys(
        ["c_total", "h_bucket", "calls_duration_seconds_bucket", "calls_exceptions_total"], ids
    )


def test_clients_have_the_span_of_their_caller(spans, registry):
    engine = sqlalchemy.create_engine("sqlite://")
    logger = logging.getLogger("shop")
    for client in (engine, logger):
        asyncmetrics.instrument(client, registry=registry, exemplars="trace")
    try:
        with spans.provider.get_tracer("test").start_as_current_span("work") as span:
            logger.error("no")
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))
    finally:
        for client in (engine, logger):
            asyncmetrics.uninstrument(client)
        engine.dispose()
    ids = {name: labels["trace_id"] for name, labels in find_exemplars(registry).items()}
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert ids == dict.fromkeys(["db_client_operation_duration_seconds_bucket", "log_records_total"], trace_id)
