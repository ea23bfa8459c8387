"""A program that uses all parts of the package, and prints the problems and the names of all metrics as JSON.

Its argument is the name of the conventions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from asyncmetrics import REGISTRY, CallMetrics, bound_labels, instrument
from asyncmetrics.integrations import instrument_all
from asyncmetrics.jobs import BatchJob, HealthChecks, Heartbeat, Periodic
from asyncmetrics.lint import problems
from asyncmetrics.metrics.pools import get_pools
from asyncmetrics.runtime import RuntimeMonitor


async def _answer(request: object) -> PlainTextResponse:
    return PlainTextResponse("x")


async def _work() -> None:
    return


def _make_app(conventions: str) -> Starlette:
    routes = [Route("/", _answer), WebSocketRoute("/ws", _work)]
    app = Starlette(routes=routes)
    instrument(
        app,
        runtime=True,
        on_loop=True,
        body_sizes=True,
        first_byte=True,
        background=True,
        client_totals=True,
        extra_labels={"tenant": "acme"},
        context_labels=["kind"],
        conventions=conventions,
    )
    return app


async def main(conventions: str) -> None:
    """Use everything once."""
    app = _make_app(conventions)
    if conventions == "prometheus":
        get_pools(REGISTRY, "http_client_connection")
    queue: asyncio.Queue[int] = asyncio.Queue()
    instrument(queue, name="orders")
    checks = HealthChecks()
    checks.add("store", _work)
    Periodic("refresh", _work, interval=3600)
    async with RuntimeMonitor():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            with bound_labels(kind="a"):
                await client.get("/")
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.execute(text("select 1"))
        await engine.dispose()
        with ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, int)
        await queue.put(1)
        await queue.get()
        Heartbeat("consumer", interval=60).beat()
        with BatchJob("import", registry=REGISTRY):
            logging.getLogger("shop").error("x")
        CallMetrics("worker_jobs", "Jobs of the worker.")
        found = await asyncio.to_thread(problems, REGISTRY, ignore=())
        names = [family.name for family in await REGISTRY.collect_async()]
    sys.stdout.write(json.dumps([[asdict(problem) for problem in found], names]))


if __name__ == "__main__":
    instrument(httpx.AsyncClient(), body_sizes=True, first_byte=True, conventions=sys.argv[1])
    with instrument_all(conventions=sys.argv[1]):
        asyncio.run(main(sys.argv[1]))
