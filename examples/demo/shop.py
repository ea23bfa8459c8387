"""The shop: a FastAPI application that one line measures, with its event loop, a queue, its worker and a job."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import asyncmetrics
from asyncmetrics.jobs import Heartbeat, Periodic

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
    """Run the worker and the job as long as the app runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker)
        tasks.start_soon(Periodic("count_stock", count_stock, interval=2).run)
        yield
        tasks.cancel_scope.cancel()


app = FastAPI(title="A small shop", lifespan=lifespan)
asyncmetrics.instrument(app, runtime=True)  # the one line


@app.get("/")
async def front() -> dict[str, str]:
    return {"shop": "open"}


@app.get("/products/{product_id}")
async def product(product_id: int) -> dict[str, int]:
    await anyio.sleep(random.expovariate(200))
    if product_id > 90:
        raise HTTPException(status_code=404, detail="We have 90 products.")
    return {"product": product_id}


@app.post("/baskets/{id}/items")
async def add_item(id: int) -> dict[str, int]:
    waiting.set(id % 7)
    await anyio.sleep(random.expovariate(100))
    return {"basket": id}


@app.get("/search")
async def search(q: str = "") -> dict[str, str]:
    """Respond slowly: this is the route that a dashboard should show."""
    await anyio.sleep(0.2 + random.expovariate(5))
    return {"searched": q}


@app.post("/baskets/{id}/payment")
async def pay(id: int) -> dict[str, str]:
    """Fail sometimes, as payments do."""
    await anyio.sleep(random.expovariate(50))
    if random.random() < 0.2:
        raise HTTPException(status_code=502, detail="The bank does not answer.")
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
