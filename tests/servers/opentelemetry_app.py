"""A FastAPI application whose native telemetry, and its own instruments, go to the `MeterProvider` of every worker."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from asyncmetrics import instrument
from asyncmetrics.bridges.opentelemetry import MeterProvider

meter = metrics.get_meter("shop")
early = meter.create_counter("shop.orders", "{order}", "Orders, counted before there is a provider.")
metrics.set_meter_provider(MeterProvider())
observed = 0


def observe_orders(options: CallbackOptions) -> Iterator[Observation]:
    yield Observation(observed, {"kind": "retail"})


meter.create_observable_counter("shop.observed", [observe_orders])
meter.create_observable_up_down_counter("shop.waiting", [observe_orders])
meter.create_observable_gauge("shop.level", [observe_orders], "1")
app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> PlainTextResponse:
    global observed  # noqa: PLW0603  # what the callbacks report
    observed += 1
    early.add(1, {"item": str(number % 3)})
    return PlainTextResponse(str(os.getpid()))


@app.get("/own/{pid}")
async def own(pid: str) -> PlainTextResponse:
    """Count with an attribute, and by an instrument, that no other worker has."""
    early.add(1, {f"worker.{pid}": "mine"})
    meter.create_histogram(f"own.{pid}", "ms").record(7)
    return PlainTextResponse(str(os.getpid()))


instrument(app)
