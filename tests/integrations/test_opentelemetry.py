"""OpenTelemetry's instrumentation of FastAPI and Starlette beside ours: every order, and either taken out again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, applications
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asyncmetrics

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.instrumentation.fastapi")
pytest.importorskip("opentelemetry.instrumentation.starlette")

import fastapi  # noqa: E402
import starlette.applications  # noqa: E402
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.instrumentation.starlette import StarletteInstrumentor  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

pytestmark = [pytest.mark.edge("neighbours"), pytest.mark.blocking]  # OpenTelemetry looks for its packages at first

INSTRUMENTORS = {"fastapi": FastAPIInstrumentor, "starlette": StarletteInstrumentor}


async def item(request: fastapi.Request) -> PlainTextResponse:
    return PlainTextResponse("item")


async def raising(request: fastapi.Request) -> None:
    raise RuntimeError


async def unavailable(request: fastapi.Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("sorry", 503)


def make_fastapi():
    app = fastapi.FastAPI(exception_handlers={Exception: unavailable})  # the class may be OpenTelemetry's
    app.get("/items/{item}")(item)
    app.add_route("/raising", raising)
    return app


def make_starlette():
    routes = [Route("/items/{item}", item), Route("/raising", raising)]
    return starlette.applications.Starlette(routes=routes, exception_handlers={Exception: unavailable})


MAKERS = {"fastapi": make_fastapi, "starlette": make_starlette}


class Spans:
    """The spans that OpenTelemetry makes of requests."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def take(self) -> list[str]:
        """Return the names of the spans of requests since the last call."""
        spans = [span.name for span in self._exporter.get_finished_spans() if span.kind.name == "SERVER"]
        self._exporter.clear()
        return spans


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.provider.shutdown()


@pytest.fixture(params=["fastapi", "starlette"])
def framework(request):
    return request.param


@pytest.fixture
def look(ask, counted, spans, framework):
    """Send requests, and return who has seen them: ``{"asyncmetrics", "OpenTelemetry"}``."""

    async def looking(app):
        before = counted()
        spans.take()
        answers = [(await ask(app, path)).status_code for path in ("/items/1", "/raising", "/metrics")]
        seen = {
            route: status
            for (_, route, status), value in counted().items()
            if value != before.get(("GET", route, status))
        }
        found = set()
        if seen == {"/items/{item}": "200", "/raising": "503"} and answers == [200, 503, 200]:
            found.add("asyncmetrics")
        else:
            assert (seen, answers) == ({}, [200, 503, 404])
        names = spans.take()
        if "GET /items/{item}" in names:
            found.add("OpenTelemetry")
        else:
            assert names == []
        return found

    return looking


ORDERS = [
    "ours theirs",
    "theirs ours",
    "ours theirs -theirs",
    "theirs ours -theirs",
    "ours theirs -ours",
    "theirs ours -ours",
    "ours theirs -theirs -ours",
    "ours theirs -ours -theirs",
    "theirs ours -theirs -ours",
    "theirs ours -ours -theirs",
    "ours theirs -ours ours",
    "theirs ours -ours ours",
    "theirs ours -theirs -ours ours",
]


@pytest.mark.parametrize("served", [False, True], ids=["", "with requests in between"])
@pytest.mark.parametrize("order", ORDERS)
async def test_both_see_each_request_in_any_order_until_they_are_taken_out(
    order, served, framework, look, spans, registry
):
    app = MAKERS[framework]()
    theirs = INSTRUMENTORS[framework]
    steps = {
        "ours": lambda: asyncmetrics.instrument(app, registry=registry),
        "-ours": lambda: asyncmetrics.uninstrument(app),
        "theirs": lambda: theirs.instrument_app(app, tracer_provider=spans.provider),
        "-theirs": lambda: theirs.uninstrument_app(app),
    }
    expected = set()
    for number, step in enumerate(order.split()):
        steps[step]()
        who = {"ours": "asyncmetrics", "theirs": "OpenTelemetry"}[step.removeprefix("-")]
        expected = expected - {who} if step.startswith("-") else expected | {who}
        if served and number > 0:  # OpenTelemetry ignores an application that has served
            assert await look(app) == expected
    assert await look(app) == expected


@pytest.mark.parametrize("order", ["all create ours", "create all ours", "create ours all"])
async def test_its_instrumentation_of_all_applications_may_come_and_go_around_ours(
    order, framework, look, spans, registry
):
    """It reaches the applications that are created after it, and leaves all of them."""
    apps = []
    instrumentor = INSTRUMENTORS[framework]()
    steps = {
        "all": lambda: instrumentor.instrument(tracer_provider=spans.provider),
        "create": lambda: apps.append(MAKERS[framework]()),
        "ours": lambda: asyncmetrics.instrument(apps[0], registry=registry),
    }
    try:
        for step in order.split():
            steps[step]()
        reached = {"OpenTelemetry"} if order.startswith("all") else set()
        assert await look(apps[0]) == {"asyncmetrics"} | reached
    finally:
        instrumentor.uninstrument()
        gc.collect()
    assert await look(apps[0]) == {"asyncmetrics"}
    assert (fastapi.FastAPI, starlette.applications.Starlette) == (FastAPI, Starlette)
    assert applications.FastAPI is FastAPI


@pytest.mark.parametrize("middleware", ["inside", "outside"])
async def test_its_middleware_may_be_added_by_hand_on_either_side(middleware, framework, ask, counted, spans, registry):
    app = MAKERS[framework]()
    if middleware == "inside":
        app.add_middleware(OpenTelemetryMiddleware, tracer_provider=spans.provider)
        served = asyncmetrics.instrument(app, registry=registry)
    else:
        served = OpenTelemetryMiddleware(
            asyncmetrics.instrument(app, registry=registry), tracer_provider=spans.provider
        )
    await ask(served, "/items/1")
    assert counted() == {("GET", "/items/{item}", "200"): 1}
    assert len(spans.take()) == 1


@pytest.mark.parametrize("inner", ["ours", "theirs"])
async def test_our_middleware_and_its_may_be_wrapped_around_each_other(inner, framework, ask, counted, spans, registry):
    app = MAKERS[framework]()
    if inner == "ours":
        app = OpenTelemetryMiddleware(
            asyncmetrics.MetricsMiddleware(app, registry=registry), tracer_provider=spans.provider
        )
    else:
        app = asyncmetrics.MetricsMiddleware(
            OpenTelemetryMiddleware(app, tracer_provider=spans.provider), registry=registry
        )
    await ask(app, "/items/1")
    assert counted() == {("GET", "/items/{item}", "200"): 1}
    assert len(spans.take()) == 1


# Of other frameworks OpenTelemetry's documentation wraps the application that is inside.
ATTRIBUTES = {"quart": "asgi_app", "litestar": "asgi_handler"}


@pytest.mark.parametrize("order", ["ours theirs", "theirs ours", "ours theirs -ours", "theirs ours -ours"])
@pytest.mark.parametrize("name", ATTRIBUTES)
async def test_the_applications_of_other_frameworks_may_be_wrapped_on_either_side(
    name, order, request, ask, counted, spans, registry
):
    pytest.importorskip(name)
    from tests.integrations.conftest import BUILDERS

    app = BUILDERS[name](None)

    def wrap():
        inside = getattr(app, ATTRIBUTES[name])
        setattr(app, ATTRIBUTES[name], OpenTelemetryMiddleware(inside, tracer_provider=spans.provider))

    steps = {
        "ours": lambda: asyncmetrics.instrument(app, registry=registry),
        "-ours": lambda: asyncmetrics.uninstrument(app),
        "theirs": wrap,
    }
    for step in order.split():
        steps[step]()
    assert (await ask(app, "/items/1")).status_code == 200
    assert counted() == ({} if order.endswith("-ours") else {("GET", "/items/{item}", "200"): 1})
    assert len(spans.take()) == 1
    assert (await ask(app, "/metrics")).status_code == (404 if order.endswith("-ours") else 200)
