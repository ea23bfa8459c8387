"""The applications that middleware is measured on, and each library put onto them as its own documentation says.

Asked for is the route in the middle: who looks for it once more, as some peers do, goes through half of them. A peer
counts into a registry of its own where it has such an option. OpenTelemetry makes no spans here, only metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

from benchmarks._rows import OURS

__all__ = ("BARE", "BY_HAND", "INCLUDED", "MANY", "ONE", "RAW", "SERVICES", "WRAPPERS", "Service", "serving")

BARE = "bare app"
BY_HAND = "prometheus_client by hand"
RAW, ONE, MANY, INCLUDED = "raw ASGI", "Starlette, 1 route", "Starlette, 100 routes", "FastAPI, 30 routers"


@dataclass(frozen=True)
class Service:
    """How to make an application and put a middleware on it, and the path to ask it for."""

    make: Callable[..., Any]
    put: Callable[..., Any]
    path: str

    def measured(self, middleware: Any, **options: Any) -> Any:
        """Return a new application with a middleware on it."""
        return self.put(self.make(), middleware, **options)


Wrapper: TypeAlias = Callable[[Service], Any]
"""Import a library and return the application of a service as measured by it."""


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def _starlette(routes: int) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def endpoint() -> Any:
        async def item(request: Any) -> PlainTextResponse:
            return PlainTextResponse(request.path_params["item"])

        return item

    return Starlette(routes=[Route(f"/shop{number}/{{item}}", endpoint()) for number in range(routes)])


def _fastapi(routers: int, **options: Any) -> Any:
    from fastapi import APIRouter, FastAPI

    def router() -> Any:
        made = APIRouter()

        @made.get("/items")
        async def items() -> list[int]:
            return [1, 2, 3]

        @made.get("/items/{item}")
        async def item(item: int) -> dict[str, int]:
            return {"item": item}

        return made

    app = FastAPI(**options)
    for number in range(routers):
        app.include_router(router(), prefix=f"/shop{number}")
    return app


def _around(app: Any, middleware: Any, **options: Any) -> Any:
    return middleware(app, **options)


def _added(app: Any, middleware: Any, **options: Any) -> Any:
    app.add_middleware(middleware, **options)
    return app


SERVICES: Mapping[str, Service] = {
    RAW: Service(lambda: _hello, _around, "/"),
    ONE: Service(lambda: _starlette(1), _added, "/shop0/7"),
    MANY: Service(lambda: _starlette(100), _added, "/shop50/7"),
    INCLUDED: Service(lambda **options: _fastapi(30, **options), _added, "/shop15/items/7"),
}


def _asyncmetrics(service: Service) -> Any:
    from asyncmetrics import CollectorRegistry, MetricsMiddleware

    return MetricsMiddleware(service.make(), registry=CollectorRegistry())


def _asyncmetrics_instrument(service: Service) -> Any:
    from asyncmetrics import CollectorRegistry, instrument

    return instrument(service.make(), registry=CollectorRegistry())


def _by_hand(service: Service) -> Any:
    """Return what one writes who has only the client library, and the framework's word for the route."""
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

            async def noting_send(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            active.labels(method).inc()
            started = perf_counter()
            try:
                await self.app(scope, receive, noting_send)
            finally:
                active.labels(method).dec()
                route = getattr(scope.get("route"), "path", "")
                duration.labels(method, route, status).observe(perf_counter() - started)

    return service.measured(Middleware)


def _aioprometheus(service: Service) -> Any:
    from aioprometheus import MetricsMiddleware
    from aioprometheus.collectors import Registry

    return service.measured(MetricsMiddleware, registry=Registry())


def _asgi_prometheus(service: Service) -> Any:
    from asgi_prometheus import PrometheusMiddleware

    return service.measured(PrometheusMiddleware)


def _opentelemetry(service: Service) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.trace import NoOpTracerProvider

    silent = {"tracer_provider": NoOpTracerProvider(), "exclude_spans": ["receive", "send"]}
    return service.measured(OpenTelemetryMiddleware, meter_provider=_meters(), **silent)


def _fastapi_telemetry(service: Service) -> Any:
    import fastapi.telemetry  # noqa: F401  # told as missing where FastAPI has none

    return service.make(telemetry={"meter_provider": _meters(), "tracing": False, "logs": False})


def _meters() -> Any:
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

    return service.measured(PrometheusMiddleware, prefix="exporter")  # the next one's metrics have its default names


def _starlette_prometheus(service: Service) -> Any:
    from starlette_prometheus import PrometheusMiddleware

    return service.measured(PrometheusMiddleware)


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
"""By service, by library."""


def serving(what: str, who: str) -> Any:
    """Return the application of a service as ``who`` measures it; nobody does for the `BARE` one."""
    service = SERVICES[what]
    return service.make() if who == BARE else WRAPPERS[what][who](service)
