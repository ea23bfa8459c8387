"""How far a binding reaches in an application of FastAPI: the table in docs/middleware.md, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
import websockets
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

import asyncmetrics
from asyncmetrics import CollectorRegistry, Counter, bind_labels, bound_labels
from tests.patience import eventually

pytestmark = [pytest.mark.edge("context labels"), pytest.mark.framework("fastapi")]

PAGE = Path(__file__).parents[2] / "docs/middleware.md"
TABLE = re.search(r"^\| bound in .*?\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
assert TABLE
ROWS = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in TABLE[0].strip().splitlines()[2:]]
CLAIMS = {place: (in_endpoint.split(",")[0], in_middleware.split(",")[0]) for place, in_endpoint, in_middleware in ROWS}
# From FastAPI 0.118 on, a dependency ends after the response.
ENDS_LATE = tuple(map(int, version("fastapi").split(".")[:2])) >= (0, 118)


def bind():
    bind_labels(plan="gold")


async def abind():
    bind()


def block():
    with bound_labels(plan="gold"):
        yield


async def ablock():
    with bound_labels(plan="gold"):
        yield


class Wrong(Exception):
    """What the handlers handle."""


class AlsoWrong(Exception):
    """What the sync handler handles."""


class Binding:
    """Pure ASGI middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/asgi":
            bind()
        await self.app(scope, receive, send)


async def bind_in_dispatch(request, call_next):
    if request.url.path == "/dispatch":
        bind()
    return await call_next(request)


def make_app(work: Counter) -> tuple[FastAPI, dict[str, str]]:
    """Return an application, and the path for each place that a label can be bound in."""
    app = FastAPI()
    paths = {"ASGI middleware": "/asgi", "`dispatch` of a `BaseHTTPMiddleware`": "/dispatch"}

    def at(place: str, **options):
        paths[place] = f"/{len(paths)}"
        return app.get(paths[place], **options)

    async def record():
        work.inc()

    for path in paths.values():
        app.get(path)(record)

    @at("`async def` endpoint")
    async def _():
        bind()
        work.inc()

    @at("`def` endpoint")
    def _():
        bind()
        work.inc()

    @at("a `with bound_labels` block of an endpoint")
    async def _():
        with bound_labels(plan="gold"):
            work.inc()

    at("`async def` dependency", dependencies=[Depends(abind)])(record)
    at("`def` dependency", dependencies=[Depends(bind)])(record)
    at("a block around the `yield` of an `async def` dependency", dependencies=[Depends(ablock)])(record)
    at("a block around the `yield` of a `def` dependency", dependencies=[Depends(block)])(record)

    @at("a task that an endpoint starts")
    async def _():
        async with anyio.create_task_group() as group:
            group.start_soon(abind)
        work.inc()

    @at("a function that an endpoint runs in a thread")
    async def _():
        await anyio.to_thread.run_sync(bind)
        work.inc()

    @at("the async generator of a `StreamingResponse`")
    async def _():
        async def stream():
            bind()
            yield "a"

        work.inc()
        return StreamingResponse(stream())

    @at("the generator of a `StreamingResponse`")
    async def _():
        def stream():
            bind()
            yield "a"

        work.inc()
        return StreamingResponse(stream())

    @at("an `async def` exception handler")
    async def _():
        work.inc()
        raise Wrong

    @at("a `def` exception handler")
    async def _():
        work.inc()
        raise AlsoWrong

    @app.exception_handler(Wrong)
    async def _(request, error):
        bind()
        return PlainTextResponse("wrong")

    @app.exception_handler(AlsoWrong)
    def _(request, error):
        bind()
        return PlainTextResponse("wrong")

    @at("a background task")
    async def _(tasks: BackgroundTasks):
        tasks.add_task(abind)
        tasks.add_task(bind)
        work.inc()

    inner = asyncmetrics.instrument(FastAPI(), registry=CollectorRegistry())
    inner.get("/")(abind)

    @at("another application that an endpoint requests in the same process")
    async def _():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner") as client:
            await client.get("/")
        work.inc()

    paths["a WebSocket endpoint"] = "/ws"

    @app.websocket("/ws")
    async def _(websocket: WebSocket):
        bind()
        work.inc()
        await websocket.accept()
        await websocket.close()

    return app, paths


class Service:
    """An application, its paths, and what its metrics say."""

    def __init__(self, dispatch: Callable[..., object] | None) -> None:
        self.registry = CollectorRegistry()
        work = Counter("work", "Done.", context_labels=["plan", "route"], registry=self.registry)
        self.app, self.paths = make_app(work)
        self.app.add_middleware(Binding)
        if dispatch is not None:
            self.app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
        asyncmetrics.instrument(self.app, registry=self.registry, context_labels=["plan"])

    def read(self, place: str) -> tuple[str, ...]:
        """Return whether a metric in the endpoint, and whether the middleware, had the value that was bound."""
        own = "websocket_server_connection" if place == SOCKET else "http_server_request"
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        plans = (
            [s.labels["plan"] for s in samples if s.name == name and s.labels["route"] == self.paths[place]]
            for name in ("work_total", f"{own}_duration_seconds_count")
        )
        return tuple({"gold": "yes", "": "no"}[plan] for found in plans for plan in found)


DISPATCH = "`dispatch` of a `BaseHTTPMiddleware`"
SOCKET = "a WebSocket endpoint"
DISPATCHES = {"plain": None, "BaseHTTPMiddleware": bind_in_dispatch}
CASES = [(kind, place) for kind in DISPATCHES for place in CLAIMS if place != DISPATCH or kind != "plain"]
# The block has ended when these versions send the response.
EARLIER = {
    "a block around the `yield` of an `async def` dependency": ("yes", "no"),
    "a block around the `yield` of a `def` dependency": ("no", "no"),
}


def expect(place: str) -> tuple[str, ...]:
    return CLAIMS[place] if ENDS_LATE else EARLIER.get(place, CLAIMS[place])


@pytest.fixture(scope="module")
def services(serving):
    """Serve each service, and return them with their addresses."""
    with ExitStack() as stack:
        made = {kind: Service(dispatch) for kind, dispatch in DISPATCHES.items()}
        yield {kind: (service, stack.enter_context(serving(service.app))) for kind, service in made.items()}


def test_the_table_has_every_place():
    assert list(CLAIMS) == list(Service(None).paths)


@pytest.mark.parametrize(("kind", "place"), CASES)
async def test_a_binding_reaches_as_far_as_the_table_says(kind, place, services):
    service, base = services[kind]
    url = base + service.paths[place]
    if place == SOCKET:
        async with websockets.connect(url.replace("http", "ws")) as connection:
            await connection.wait_closed()
    else:
        async with httpx.AsyncClient() as client:
            await client.get(url)
    await eventually(lambda: service.read(place), expect(place))


@pytest.mark.parametrize("kind", DISPATCHES)
def test_a_binding_reaches_as_far_with_trio(kind):
    service = Service(DISPATCHES[kind])
    places = [place for of, place in CASES if of == kind and place != SOCKET]

    async def ask_for_all():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://shop") as client:
            for place in places:
                await client.get(service.paths[place])

    anyio.run(ask_for_all, backend="trio")
    assert {place: service.read(place) for place in places} == {place: expect(place) for place in places}
