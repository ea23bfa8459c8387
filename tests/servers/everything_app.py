"""An application with everything on that has metrics; a background task of each worker makes them move.

``EVERYTHING_FOLDER`` is a folder for its database. ``/items/0`` answers with the id of the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket as sockets
import sys
import time
import warnings
from collections.abc import AsyncIterator, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.background import BackgroundTask

import asyncmetrics
from asyncmetrics.bridges import Part, Payload, Pusher, Sink
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.statsd_server import StatsDServer
from asyncmetrics.core import Metric
from asyncmetrics.jobs import HealthChecks, Heartbeat, Periodic, batch_job

logging.getLogger("asyncmetrics").setLevel(logging.CRITICAL)  # blocks and failures are on purpose
asyncmetrics.instrument_all()
orders = asyncmetrics.Counter("own_orders", "Orders, by kind.", ["kind"])
sizes = asyncmetrics.Histogram("own_size_bytes", "Sizes of orders.", ["kind"], buckets=[1, 10, 100])
steps = asyncmetrics.Summary("own_step_seconds", "Duration of steps.", ["step"])
stock = asyncmetrics.Gauge("own_stock_ratio", "Stock that is left.", multiprocess_mode="sum")
build = asyncmetrics.Info("own_build", "The build.")
mode = asyncmetrics.Enum("own_mode", "The mode of the shop.", states=["open", "closed"])
limited = asyncmetrics.Counter("own_limited", "Users of two plans.", ["plan"], max_children=2)
queue = asyncmetrics.instrument(asyncio.Queue[int](maxsize=10), name="orders")
pool = asyncmetrics.instrument(ThreadPoolExecutor(2), name="pictures")
database = create_async_engine(f"sqlite+aiosqlite:///{os.environ['EVERYTHING_FOLDER']}/{os.getpid()}.db")
checks = HealthChecks()
statsd = StatsDServer(0)
nightly = batch_job("nightly")
warnings.simplefilter("always")
sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # where warnings are shown
log = logging.getLogger("own")
log.propagate = False
log.addHandler(logging.NullHandler())


class _Nowhere(Sink):
    """A sink that takes everything."""

    name = "nowhere"

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        for _ in families:
            yield
        return Payload(now, [Part(b"1", 1)])

    async def send_part(self, part: Part) -> None:
        await asyncio.sleep(0)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as the server that the clients of this application ask."""
    with suppress(OSError, asyncio.IncompleteReadError):
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        status = b"500 Broken" if b"broken" in line else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
    writer.close()


async def _fail() -> None:
    raise LookupError("nothing awaits this")


def _draw() -> None:
    """Stand for work in a thread."""


async def _refresh() -> None:
    """Run every half second."""


async def _refuse() -> None:
    raise ValueError("this job always fails")


async def _move(base: str) -> None:
    """Change every metric once."""
    for kind in ("retail", "bulk"):
        orders.labels(kind).inc()
        sizes.labels(kind).observe(20)
        steps.labels(kind).observe(0.1)
    if statsd.is_listening:
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as sender:
            sender.sendto(b"own.clicks:1|c\nnonsense", ("127.0.0.1", statsd.port))
    for plan in ("free", "gold", "third", "fourth"):
        limited.labels(plan).inc()
    sizes.labels("bulk").observe(float("nan"))
    stock.set(0.5)
    async with database.connect() as connection:
        await connection.execute(text("SELECT 1"))
        with suppress(Exception):
            await connection.execute(text("SELECT nothing FROM nowhere"))
    async with asyncmetrics.instrument(httpx.AsyncClient(), body_sizes=True, first_byte=True) as client:
        for path in ("/stock", "/broken"):
            await client.post(f"{base}{path}", content=b"1")
        with suppress(httpx.ConnectError):
            await client.get("http://127.0.0.1:9/")
    await queue.put(1)
    await queue.get()
    queue.task_done()
    await asyncio.get_running_loop().run_in_executor(pool, _draw)
    await asyncio.to_thread(_draw)
    with nightly:
        nightly.records(3)
    log.warning("a warning")
    try:
        raise KeyError("logged")
    except KeyError:
        log.exception("an exception")
    warnings.warn("on purpose", stacklevel=1)
    task = asyncio.create_task(_fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task


async def _move_always(base: str) -> None:
    heartbeat = Heartbeat("mover", interval=5)
    while True:
        heartbeat.beat()
        await _move(base)
        await asyncio.sleep(0.5)


async def _check() -> None:
    """Succeed."""


async def _check_in_vain() -> None:
    raise OSError("down")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the jobs, the checks and the task that moves the metrics."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    build.info({"version": "1.2"})
    mode.state("open")
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    checks.add("up", _check, interval=0.5)
    checks.add("down", _check_in_vain, interval=0.5, required=False)
    jobs = (Periodic("refresh", _refresh, interval=0.5), Periodic("refuse", _refuse, interval=0.5))
    async with server, checks, statsd:
        tasks = [asyncio.create_task(job.run()) for job in jobs]
        tasks.append(asyncio.create_task(_move_always(f"http://127.0.0.1:{port}")))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await database.dispose()


app = FastAPI(lifespan=lifespan)
asyncmetrics.instrument(
    app,
    runtime=True,
    first_byte=True,
    body_sizes=True,
    background=True,
    on_loop=True,
    client_totals=True,
    worker_label=True,
    push=Pusher(_Nowhere(), interval=0.5),
)


@app.api_route("/items/{n}", methods=["GET", "POST"])
async def item(n: int) -> PlainTextResponse:
    """Answer with the id of this process, and work on after that."""
    async with database.connect() as connection:
        await connection.execute(text("SELECT 1"))
    return PlainTextResponse(str(os.getpid()), background=BackgroundTask(_refresh))


@app.get("/broken")
async def broken() -> None:
    """Fail."""
    raise HTTPException(503)


@app.get("/raises")
async def raises() -> None:
    """Raise."""
    raise LookupError("on purpose")


@app.get("/block")
async def block() -> None:
    """Block the event loop."""
    time.sleep(0.15)


@app.get("/wait")
async def wait() -> None:
    """Be an active request for some seconds."""
    await asyncio.sleep(3)


@app.get("/events")
async def events() -> StreamingResponse:
    """Stream one event."""

    async def stream() -> AsyncIterator[str]:
        yield "data: 1\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    """Answer one message, then raise."""
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
    raise LookupError("on purpose")
