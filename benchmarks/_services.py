"""The applications for the benchmarks of middleware, and each library added to them as its documentation says.

A request asks for the route in the middle, so a library that searches the routes again goes through half of them. A
peer uses its own registry if it has such an option. OpenTelemetry makes metrics here, but no spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

from benchmarks._rows import OURS

__all__ = ("BARE", "BY_HAND", "INCLUDED", "MANY", "ONE", "RAW", "SERVICES", "WRAPPERS", "Service", "make_service")

BARE = "bare app"
BY_HAND = "prometheus_client by hand"
RAW, ONE, MANY, INCLUDED = "raw ASGI", "Starlette, 1 route", "Starlette, 100 routes", "FastAPI, 30 routers"


@dataclass(frozen=True)
class Service:
    """How to make an application, how to add a middleware to it, and the path of a request."""

    make: Callable[..., Any]
    add: Callable[..., Any]
    path: str

    def make_with(self, middleware: Any, **options: Any) -> Any:
        """Return a new application with a middleware."""
        return self.add(self.make(), middleware, **options)


Wrapper: TypeAlias = Callable[[Service], Any]
"""Import a library and return the application of a service, measured by the library."""


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def _starlette(routes: int) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def make_endpoint() -> Any:
        async def item(request: Any) -> PlainTextResponse:
            return PlainTextResponse(request.path_params["item"])

        return item

    return Starlette(routes=[Route(f"/shop{number}/{{item}}", make_endpoint()) for number in range(routes)])


def _fastapi(routers: int, **options: Any) -> Any:
    from fastapi import APIRouter, FastAPI

    def make_router() -> Any:
        router = APIRouter()

        @router.get("/items")
        async def items() -> list[int]:
            return [1, 2, 3]

        @router.get("/items/{item}")
        async def item(item: int) -> dict[str, int]:
            return {"item": item}

        return router

    app = FastAPI(**options)
    for number in range(routers):
        app.include_router(make_router(), prefix=f"/shop{number}")
    return app


def _wrap(app: Any, middleware: Any, **options: Any) -> Any:
    return middleware(app, **options)


def _add(app: Any, middleware: Any, **options: Any) -> Any:
    app.add_middleware(middleware, **options)
    return app


SERVICES: Mapping[str, Service] = {
    RAW: Service(lambda: _hello, _wrap, "/"),
    ONE: Service(lambda: _starlette(1), _add, "/shop0/7"),
    MANY: Service(lambda: _starlette(100), _add, "/shop50/7"),
    INCLUDED: Service(lambda **options: _fastapi(30, **options), _add, "/shop15/items/7"),
}


def _asyncmetrics(service: Service) -> Any:
    from asyncmetrics import CollectorRegistry, MetricsMiddleware

    return MetricsMiddleware(service.make(), registry=CollectorRegistry())


def _asyncmetrics_instrument(service: Service) -> Any:
    from asyncmetrics import CollectorRegistry, instrument

    return instrument(service.make(), registry=CollectorRegistry())


def _by_hand(service: Service) -> Any:
    """Return the application with a middleware that uses the client library and the framework's route only."""
    from prometheus_client import CollectorRegistry, Gauge, Histogram

    registry = CollectorRegistry()
    duration = Histogram("http_duration_seconds", "Duration.", ["method", "route", "status"], registry=registry)
    active = Gauge("http_in_progress", "In progress.", ["method"], registry=registry)

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await self.app(scope, receive, send)
                return
            method, status = scope["method"], "500"

            async def send_and_note_status(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            active.labels(method).inc()
            started = perf_counter()
            try:
                await self.app(scope, receive, send_and_note_status)
            finally:
                active.labels(method).dec()
                route = getattr(scope.get("route"), "path", "")
                duration.labels(method, route, status).observe(perf_counter() - started)

    return service.make_with(Middleware)


def _aioprometheus(service: Service) -> Any:
    from aioprometheus import MetricsMiddleware
    from aioprometheus.collectors import Registry

    return service.make_with(MetricsMiddleware, registry=Registry())


def _asgi_prometheus(service: Service) -> Any:
    from asgi_prometheus import PrometheusMiddleware

    return service.make_with(PrometheusMiddleware)


def _opentelemetry(service: Service) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.trace import NoOpTracerProvider

    silent = {"tracer_provider": NoOpTracerProvider(), "exclude_spans": ["receive", "send"]}
    return service.make_with(OpenTelemetryMiddleware, meter_provider=_make_meters(), **silent)


def _fastapi_telemetry(service: Service) -> Any:
    import fastapi.telemetry  # noqa: F401  # shown as missing if this FastAPI has no telemetry

    return service.make(telemetry={"meter_provider": _make_meters(), "tracing": False, "logs": False})


def _make_meters() -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()])


def _instrumentator(service: Service) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_fastapi_instrumentator import Instrumentator

    app = service.make()
    Instrumentator(registry=CollectorRegistry()).instrument(app)
    return app


def _starlette_exporter(service: Service) -> Any:
    from starlette_exporter import PrometheusMiddleware

    # A prefix, because starlette-prometheus uses the names that are the default here.
    return service.make_with(PrometheusMiddleware, prefix="exporter")


def _starlette_prometheus(service: Service) -> Any:
    from starlette_prometheus import PrometheusMiddleware

    return service.make_with(PrometheusMiddleware)


_ANYWHERE: Mapping[str, Wrapper] = {
    BY_HAND: _by_hand,
    "aioprometheus": _aioprometheus,
    "asgi-prometheus": _asgi_prometheus,
    "OpenTelemetry ASGI": _opentelemetry,
}
_ON_STARLETTE: Mapping[str, Wrapper] = {
    OURS: _asyncmetrics_instrument,
    **_ANYWHERE,
    "instrumentator": _instrumentator,
    "starlette_exporter": _starlette_exporter,
    "starlette-prometheus": _starlette_prometheus,
}
WRAPPERS: Mapping[str, Mapping[str, Wrapper]] = {
    RAW: {OURS: _asyncmetrics, **_ANYWHERE},
    ONE: _ON_STARLETTE,
    MANY: _ON_STARLETTE,
    INCLUDED: {**_ON_STARLETTE, "FastAPI telemetry": _fastapi_telemetry},
}
"""The wrapper of each library, by service."""


def make_service(discipline: str, contender: str) -> Any:
    """Return the application of a service, measured by ``contender``; `BARE` is the application without a library."""
    service = SERVICES[discipline]
    return service.make() if contender == BARE else WRAPPERS[discipline][contender](service)
