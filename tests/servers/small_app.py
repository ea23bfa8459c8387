"""The application that every server serves: one route for each thing that a client can do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from asyncmetrics import CollectorRegistry, instrument
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS

GATES: dict[str, anyio.Event] = {}


async def item(request: Request) -> Response:
    return PlainTextResponse("item")


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def raising(request: Request) -> Response:
    raise LookupError


async def gated(request: Request) -> Response:
    """Send a part, and the next only when `/open/NAME` was asked for."""
    gate = GATES[request.path_params["name"]] = anyio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await gate.wait()
        yield b"second"

    return StreamingResponse(parts())


async def opening(request: Request) -> Response:
    GATES[request.path_params["name"]].set()
    return PlainTextResponse("open")


async def events(request: Request) -> Response:
    """Send an event, and the next only when `/open/NAME` was asked for."""
    response = await gated(request)
    response.headers["content-type"] = "text/event-stream"
    return response


async def endless_events(request: Request) -> Response:
    response = await endless(request)
    response.headers["content-type"] = "text/event-stream"
    return response


async def endless(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"more"
            await anyio.sleep(0.01)

    return StreamingResponse(parts())


async def waiting(request: Request) -> Response:
    """Answer only to a client that has gone."""
    with anyio.move_on_after(PATIENCE_SECONDS):
        while (await request.receive())["type"] != "http.disconnect":
            pass
    return PlainTextResponse("too late")


async def probing(request: Request) -> Response:
    """Answer only after the client has gone, which Starlette's probe reports."""
    with anyio.move_on_after(PATIENCE_SECONDS):
        while not await request.is_disconnected():
            await anyio.sleep(0.01)
    return PlainTextResponse("too late")


async def lazy(request: Request) -> Response:
    await anyio.sleep(0.2)
    return PlainTextResponse("lazy")


app = instrument(
    Starlette(
        routes=[
            Route("/items/{n:int}", item),
            Route("/echo", echo, methods=["POST"]),
            Route("/raising", raising),
            Route("/gated/{name}", gated),
            Route("/open/{name}", opening),
            Route("/endless", endless),
            Route("/events/endless", endless_events),
            Route("/events/{name}", events),
            Route("/waiting", waiting),
            Route("/probing", probing),
            Route("/lazy", lazy),
            Mount("/mounted/{tenant}", routes=[Route("/items/{n:int}", item)]),
        ]
    ),
    registry=CollectorRegistry(),
    stream_after=PROGRAM_SECONDS,  # so that a busy machine makes no stream of a request
)
