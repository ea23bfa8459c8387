"""An application whose metrics are prometheus_client's, exposed by ours."""

from __future__ import annotations

import os

import prometheus_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Counter, instrument
from asyncmetrics.bridges.prometheus_client import PrometheusClientCollector

theirs = prometheus_client.Counter("theirs_total", "Counted by prometheus_client.")
ours = Counter("answered_total", "Counted by asyncmetrics.")
PrometheusClientCollector()


async def item(_: Request) -> Response:
    theirs.inc()
    ours.inc()
    return PlainTextResponse(str(os.getpid()))


app = instrument(Starlette(routes=[Route("/items/{n:int}", item)]))
