"""The application that every supervisor serves: it counts what it answers, in metrics that are made at import."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Counter, Gauge, Histogram, Info, instrument

answered = Counter("answered_total", "Answers, by what was asked for.", ["item"])
sizes = Histogram("sizes", "Sizes.", buckets=[1, 10, 100])
serving = Gauge("serving", "Workers that serve.", multiprocess_mode="livesum")
functional = Gauge("functional", "Told by a function.")
Info("build", "What runs.").info({"version": "7"})
functional.set_function(lambda: 3.0)


async def item(request: Request) -> Response:
    number = request.path_params["n"]
    serving.set(1)
    sizes.observe(number)
    answered.labels(str(number % 50)).inc()
    return PlainTextResponse(str(os.getpid()))


app = instrument(Starlette(routes=[Route("/items/{n:int}", item)]))
