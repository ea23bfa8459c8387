"""The exposition as a handler of aiohttp's server."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from aiohttp import web

from asyncmetrics.prometheus_client.exposition import bake_output
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector
from asyncmetrics.registry import Collectable

__all__ = (
    "Collector",
    "make_aiohttp_handler",
)


def make_aiohttp_handler(registry: Collectable = REGISTRY, disable_compression: bool = False) -> Any:
    """Return a handler that serves ``registry``; it collects in a thread, so that the event loop goes on."""

    async def serve_metrics(request: web.Request) -> web.Response:
        params = {key: request.query.getall(key) for key in request.query}
        accept = ",".join(request.headers.getall("Accept", []))
        status, headers, output = await anyio.to_thread.run_sync(bake_output, registry, accept, "", params, True)
        response = web.Response(status=int(status[:3]), headers=headers, body=output)
        if not disable_compression:
            response.enable_compression()
        return response

    return serve_metrics
