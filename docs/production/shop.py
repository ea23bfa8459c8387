"""The application of the production guide: a route, health checks, and metrics that need a token if there is one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from asyncmetrics import Counter, instrument
from asyncmetrics.jobs import HealthChecks

token_file = os.environ.get("METRICS_TOKEN_FILE")
orders = Counter("shop_orders_total", "Orders taken.")
checks = HealthChecks()


async def ask_bank() -> None:
    """Stand for the call of a service that the shop needs."""


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run the health checks as long as the application runs."""
    async with checks:
        yield


checks.add("bank", ask_bank)
app = instrument(FastAPI(lifespan=lifespan), auth=Path(token_file).read_text().strip() if token_file else None)
app.mount("/health", checks.app)


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    """Take an order."""
    orders.inc()
    return {"order": number}
