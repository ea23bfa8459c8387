"""The shop: a FastAPI application that one line measures, with a background worker that counts by tenant."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle

import anyio
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import asyncmetrics

jobs = asyncmetrics.Histogram("shop_job_duration_seconds", "Background jobs.", ["kind"], context_labels=["tenant"])
waiting = asyncmetrics.Gauge("shop_baskets", "Baskets that wait for payment.")


async def do_a_job() -> None:
    """Do one job. The code does not mention the tenant; its histogram reads it from the context."""
    with jobs.labels(random.choice(("mail", "invoice"))).time():
        await anyio.sleep(random.expovariate(10))


async def worker() -> None:
    """Work for one tenant after another, without an end."""
    for tenant in cycle(("acme", "initech", "hooli")):
        with asyncmetrics.bound_labels(tenant=tenant):
            await do_a_job()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the worker as long as the app runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker)
        yield
        tasks.cancel_scope.cancel()


app = FastAPI(title="A small shop", lifespan=lifespan)
asyncmetrics.instrument(app)  # the one line


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
    return {"paid": "yes"}


@app.get("/export/{year}.csv")
async def export(year: int) -> StreamingResponse:
    """Stream the response: the request ends when the last line is sent."""

    async def lines() -> AsyncIterator[str]:
        for day in range(20):
            yield f"{year},{day},{random.randrange(1000)}\n"
            await anyio.sleep(0.02)

    return StreamingResponse(lines(), media_type="text/csv")
