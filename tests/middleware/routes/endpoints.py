"""Endpoints of Starlette that answer with a text."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

__all__ = ("ok", "other")


async def ok(request: Request) -> Response:
    return PlainTextResponse("ok")


async def other(request: Request) -> Response:
    return PlainTextResponse("other")
