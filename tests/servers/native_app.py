"""The application whose workers observe into native histograms what they are asked for, and say which trace asked."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Counter, Histogram, instrument

answered = Counter("answered_total", "Answers.", exemplars="traceparent")
sizes = Histogram("sizes", "Sizes.", native=True, buckets=(), max_buckets=None, exemplars="traceparent")
coarse_sizes = Histogram("coarse_sizes", "Sizes.", native=True, buckets=[1, 10], max_buckets=20)


async def item(request: Request) -> Response:  # noqa: ARG001  # a route is given it
    return PlainTextResponse(str(os.getpid()))


async def observe(request: Request) -> Response:
    size = float(request.path_params["size"])
    sizes.observe(size)
    coarse_sizes.observe(size)
    answered.inc()
    return PlainTextResponse(str(os.getpid()))


app = instrument(
    Starlette(routes=[Route("/items/{n:int}", item), Route("/observe/{size}", observe)]),
    native=True,
    exemplars="traceparent",
)
