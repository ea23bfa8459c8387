"""An application as users of prometheus_client's multiprocess mode write it, with another import."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics.prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
    multiprocess,
)

answered = Counter("answered_total", "Answers, by what was asked for.", ["item"])
own = Counter("own_total", "Answers, in a registry.", registry=CollectorRegistry())
serving = Gauge("serving", "Workers that serve.", multiprocess_mode="livesum")


async def item(request: Request) -> Response:
    serving.set(1)
    own.inc()
    answered.labels(str(request.path_params["n"] % 50)).inc()
    return PlainTextResponse(str(os.getpid()))


async def metrics(_: Request) -> Response:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


app = Starlette(routes=[Route("/items/{n:int}", item), Route("/metrics", metrics)])
