"""A service with a database and a bank: one line measures both of them, and what each route waits for.

Run it from the root of a clone::

    pip install -e ".[fastapi]" aiosqlite greenlet httpx sqlalchemy
    python examples/clients.py
"""

import asyncio

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import asyncmetrics

asyncmetrics.instrument_all()  # the one line
app = asyncmetrics.instrument(FastAPI(), client_totals=True)
database = create_async_engine("sqlite+aiosqlite://")


@app.get("/orders")
async def orders() -> int:
    """Ask the database once for each order, as a loop over a relation does."""
    async with database.connect() as connection:
        for number in range(20):
            await connection.execute(text("SELECT :number"), {"number": number})
    return 20


@app.get("/rate")
async def rate() -> str:
    """Ask a bank that does not answer."""
    async with httpx.AsyncClient() as bank:
        try:
            return (await bank.get("http://127.0.0.1:9/rate")).text
        except httpx.ConnectError:
            return "unknown"


async def main() -> None:
    """Visit both routes, and read the metrics as Prometheus does."""
    transport = httpx.ASGITransport(app)  # it sends nothing, so it is not measured
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as visitor:
        await visitor.get("/orders")
        await visitor.get("/rate")
        metrics = (await visitor.get("/metrics")).text
    await database.dispose()
    wanted = (
        "db_client_operation_duration_seconds_count",
        "http_client_request_exc",
        "http_server_request_client_calls_sum",
    )
    print(*(line for line in metrics.splitlines() if line.startswith(wanted)), sep="\n")


asyncio.run(main())
