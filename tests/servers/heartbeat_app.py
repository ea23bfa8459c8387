"""An application whose workers each have a consumer that beats, until ``/stick``, and again from ``/release`` on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Gauge, instrument
from asyncmetrics.jobs import Heartbeat

INTERVAL = 3.0  # the alert comes after three of them: a worker must be replaced by then, also on a busy machine

heartbeat = Heartbeat("consumer", interval=INTERVAL)
process_id = Gauge("process_id", "The process of a worker.", multiprocess_mode="all")
is_stuck = False


async def consume() -> None:
    """Beat in each turn, unless the consumer is stuck."""
    while True:
        if not is_stuck:
            heartbeat.beat()
        await anyio.sleep(INTERVAL / 20)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Run the consumer beside the requests."""
    process_id.set(os.getpid())
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(consume)
        yield
        task_group.cancel_scope.cancel()


async def item(_: Request) -> Response:
    """Answer with the id of this process."""
    return PlainTextResponse(str(os.getpid()))


async def stick(_: Request) -> Response:
    """Let the consumer hang, in a worker that serves on."""
    global is_stuck
    is_stuck = True
    return PlainTextResponse("stuck")


async def release(_: Request) -> Response:
    """Let the consumer go on."""
    global is_stuck
    is_stuck = False
    return PlainTextResponse("released")


routes = [Route("/items/{n:int}", item), Route("/stick", stick), Route("/release", release)]
app = instrument(Starlette(routes=routes, lifespan=lifespan))
