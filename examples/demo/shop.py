"""The shop: a FastAPI application with a database, a bank, a queue, its worker and a job. Two lines measure them."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import asyncmetrics
from asyncmetrics.jobs import Heartbeat, Periodic
from examples.demo.stock import Stock, open_stock

# One line for the database, the calls of the bank, and the log. The bank has another port each time: give it a name.
asyncmetrics.instrument_all(server=lambda _: "bank")

log = logging.getLogger("shop")
log.addHandler(logging.NullHandler())
log.propagate = False  # its records are counted, and not printed into the table

jobs = asyncmetrics.Histogram("shop_job_duration_seconds", "Background jobs.", ["kind"], context_labels=["tenant"])
waiting = asyncmetrics.Gauge("shop_baskets", "Baskets that wait for payment.")
orders = asyncmetrics.instrument(asyncio.Queue[str](maxsize=100), name="orders")  # the tenants of paid orders


async def do_a_job() -> None:
    """Do one job. The code does not mention the tenant; its histogram reads it from the context."""
    with jobs.labels(random.choice(("mail", "invoice"))).time():
        await anyio.sleep(random.expovariate(4))


async def worker() -> None:
    """Work off the queue. The heart beats once a second at least, also while no order comes."""
    heartbeat = Heartbeat("worker", interval=5)
    while True:
        heartbeat.beat()
        tenant = None
        with anyio.move_on_after(1):
            tenant = await orders.get()
        if tenant:
            with asyncmetrics.bound_labels(tenant=tenant):
                await do_a_job()
            orders.task_done()


def read_stock() -> None:
    """Stand for a client of a database that is not async: nothing else runs on the event loop meanwhile."""
    time.sleep(random.uniform(0.12, 0.2))


async def count_stock() -> None:
    """Run every two seconds, and block the event loop. Without `async` it would run in a thread, and block nothing."""
    read_stock()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the worker and the job, and have a database and a client of the bank, as long as the app runs."""
    async with (
        open_stock() as app.state.stock,
        httpx.AsyncClient(base_url=app.state.bank) as app.state.bank_client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(worker)
        tasks.start_soon(Periodic("count_stock", count_stock, interval=2).run)
        yield
        tasks.cancel_scope.cancel()


app = FastAPI(title="A small shop", lifespan=lifespan)
app.state.bank = "http://127.0.0.1:9"  # where no bank is, unless the program runs one
# One line for requests, streams and the event loop, and for the live page.
asyncmetrics.instrument(app, runtime=True, client_totals=True, live=True)


def get_stock() -> Stock:
    stock: Stock = app.state.stock
    return stock


@app.get("/")
async def front() -> dict[str, str]:
    return {"shop": "open"}


@app.get("/products/{product_id}")
async def product(product_id: int) -> dict[str, str]:
    name = await get_stock().find_product(product_id)
    if name is None:
        raise HTTPException(status_code=404, detail="We have 90 products.")
    return {"product": name}


@app.post("/baskets/{id}/items")
async def add_item(id: int) -> dict[str, int]:
    waiting.set(await get_stock().add_item(id, random.randint(1, 90)))
    return {"basket": id}


@app.get("/baskets/{id}")
async def basket(id: int) -> list[str]:
    """Ask the database once for each item, which is too often."""
    return await get_stock().list_items(id)


@app.get("/search")
async def search(q: str = "") -> dict[str, str]:
    """Respond slowly: this is the route that a dashboard should show."""
    await anyio.sleep(0.2 + random.expovariate(5))
    return {"searched": q}


@app.post("/baskets/{id}/payment")
async def pay(id: int) -> dict[str, str]:
    """Fail where the bank fails."""
    try:
        answer = await app.state.bank_client.post("/charges")
    except httpx.TransportError as error:
        raise HTTPException(status_code=502, detail="The bank does not answer.") from error
    if answer.is_error:
        log.warning("the bank does not charge basket %s", id)
        raise HTTPException(status_code=502, detail="The bank is busy.")
    await get_stock().empty_basket(id)
    await orders.put(random.choice(("acme", "initech", "hooli")))
    return {"paid": "yes"}


@app.get("/export/{year}.csv")
async def export(year: int) -> StreamingResponse:
    """Stream the response: the request ends when the last line is sent."""

    async def lines() -> AsyncIterator[str]:
        for day in range(20):
            yield f"{year},{day},{random.randrange(1000)}\n"
            await anyio.sleep(0.02)

    return StreamingResponse(lines(), media_type="text/csv")


@app.get("/news")
async def news() -> StreamingResponse:
    """Send events for some seconds: a stream, whose duration is in no figure of the requests."""

    async def events() -> AsyncIterator[str]:
        for day in range(10):
            yield f"data: day {day}\n\n"
            await anyio.sleep(0.5)

    return StreamingResponse(events(), media_type="text/event-stream")
