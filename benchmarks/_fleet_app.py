"""The application of `benchmarks.fleet`: one worker with 50 routes, and its real expositions.

Every route has answered with 200 and with 404. The registry also has the process, the garbage collector and the event
loop, as ``instrument(app, runtime=True)`` exposes them. Requests take 20 ms in the median and reach most buckets, for
an exposition of zeros would be compressed too well.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asyncmetrics import instrument
from asyncmetrics.registry import REGISTRY

__all__ = ("REGISTRY", "Shop")

ROUTES = 50
REQUESTS = 20  # to each route, between two expositions
_RANDOM = Random(19)

_ACCEPT = (  # what Prometheus 2.42 sends
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


async def _answer(request: Request) -> PlainTextResponse:
    item = int(request.path_params["item"])
    await asyncio.sleep(min(1.0, _RANDOM.lognormvariate(-3.9, 1.2)))
    return PlainTextResponse("hello", 404 if item % 2 else 200)


class Shop:
    """A Starlette application that is instrumented, and called without a server."""

    def __init__(self) -> None:
        logging.getLogger("asyncmetrics").setLevel(logging.ERROR)  # a busy machine blocks the loop
        routes = [Route(f"/shop{number}/{{item}}", _answer) for number in range(ROUTES)]
        self._app: Any = instrument(Starlette(routes=routes), runtime=True)

    async def visit(self) -> None:
        """Send requests to each route within half a second: one half succeeds, and one half finds nothing."""
        paths = [f"/shop{number}/{item}" for number in range(ROUTES) for item in range(REQUESTS)]
        await asyncio.gather(*(self._visit(path) for path in paths))

    async def _visit(self, path: str) -> None:
        await asyncio.sleep(_RANDOM.uniform(0, 0.5))
        await self._request(path, [])

    async def expose(self, encoding: str = "identity") -> bytes:
        """Return the exposition as Prometheus gets it, compressed if ``encoding`` is gzip."""
        return await self._request("/metrics", [(b"accept", _ACCEPT.encode()), (b"accept-encoding", encoding.encode())])

    async def _request(self, path: str, headers: list[tuple[bytes, bytes]]) -> bytes:
        body = []
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            body.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return b"".join(body)
