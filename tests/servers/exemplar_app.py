"""An application whose route ``/traces/<number>`` counts with this trace; it takes the traces of its requests too."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Counter, Histogram, instrument

COUNTER = Counter("traced", "Requests with a trace.", ["kind"])
CLASSIC = Histogram("classic", "In classic buckets.", buckets=[1, 2])
NATIVE = Histogram("native", "In native buckets.", native=True, buckets=())


async def trace(request: Request) -> Response:
    """Use the number of the request as trace id and, cut to three values, as amount; return the process id."""
    number = request.path_params["number"]
    exemplar = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"}
    COUNTER.labels("any").inc(1, exemplar)
    CLASSIC.observe(number % 3 + 0.5, exemplar)
    NATIVE.observe(2.0 ** (number % 3), exemplar)
    return PlainTextResponse(str(os.getpid()))


async def item(request: Request) -> Response:
    """Return the process id."""
    return PlainTextResponse(str(os.getpid()))


routes = [Route("/traces/{number:int}", trace), Route("/items/{number:int}", item)]
app = instrument(Starlette(routes=routes), exemplars="traceparent")
