"""The metrics of OpenTelemetry's own instrumentations, and of FastAPI, land in the registry, on asyncio and trio."""

from __future__ import annotations

from collections.abc import Callable

import fastapi
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asyncmetrics.bridges.opentelemetry import MeterProvider

pytest.importorskip("opentelemetry.instrumentation.fastapi")
pytest.importorskip("opentelemetry.instrumentation.starlette")
pytest.importorskip("opentelemetry.instrumentation.httpx")

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: E402
from opentelemetry.instrumentation.starlette import StarletteInstrumentor  # noqa: E402

pytestmark = [pytest.mark.anyio, pytest.mark.blocking]  # OpenTelemetry looks for its packages at first


@pytest.fixture
def count(registry) -> Callable[..., float]:
    """Read the sum of the samples of one name that have these labels."""

    def read(name: str, **labels: str) -> float:
        samples = [one for family in registry.collect() for one in family.samples if one.name == name]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())

    return read


async def item(request: Request) -> PlainTextResponse:  # of either framework
    return PlainTextResponse("item")


async def fetch(app, *paths: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        for path in paths:
            await client.get(path)


async def test_the_instrumentation_of_fastapi(registry, count):
    app = fastapi.FastAPI()
    app.get("/items/{item}")(item)
    FastAPIInstrumentor.instrument_app(app, meter_provider=MeterProvider(registry))
    try:
        await fetch(app, "/items/1", "/items/2")
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    scope = {"otel_scope_name": "opentelemetry.instrumentation.fastapi"}
    assert count("otel_http_server_duration_milliseconds_count", http_target="/items/{item}", **scope) == 2
    assert count("otel_http_server_active_requests", **scope) == 0


async def test_the_instrumentation_of_starlette(registry, count):
    app = Starlette(routes=[Route("/items/{item}", item)])
    StarletteInstrumentor.instrument_app(app, meter_provider=MeterProvider(registry))
    await fetch(app, "/items/1", "/nothing")
    assert count("otel_http_server_duration_milliseconds_count", http_status_code="200") == 1
    assert count("otel_http_server_duration_milliseconds_count", http_status_code="404") == 1


async def test_the_instrumentation_of_httpx(registry, count):
    app = Starlette(routes=[Route("/items/{item}", item)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        HTTPXClientInstrumentor.instrument_client(client, meter_provider=MeterProvider(registry))
        await client.get("/items/1")
        await client.get("/nothing")
    assert count("otel_http_client_duration_milliseconds_count", http_status_code="200") == 1
    assert count("otel_http_client_duration_milliseconds_count", http_status_code="404") == 1


async def test_the_native_telemetry_of_fastapi(registry, count):
    pytest.importorskip("fastapi.telemetry")
    app = fastapi.FastAPI(telemetry={"meter_provider": MeterProvider(registry, namespace="")})
    app.get("/items/{item}")(item)
    await fetch(app, "/items/1", "/items/2")
    name = "http_server_request_duration_seconds_count"
    assert count(name, http_route="/items/{item}", http_response_status_code="200", otel_scope_name="fastapi") == 2
