"""An application with the live page, whose access ``LIVE_AUTH`` names; it answers ``/items/0`` with its process."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import instrument

AUTH = {"token": "s3cret", "basic": ("user", "password")}


async def item(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


app = instrument(Starlette(routes=[Route("/items/{n:int}", item)]), live=True, auth=AUTH[os.environ["LIVE_AUTH"]])
