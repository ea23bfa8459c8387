"""The exposition as an ASGI application: mounted, as a route, or alone under any server; on asyncio and on trio.

*Theory of operation.* The families are gathered and the first chunk is rendered before the response starts, so that
a fault until then gives a 500; one that comes later breaks the response off, which a scraper sees as a failed scrape.
Between two chunks the loop gets its turn. A second task listens for the client's going away and cancels the first:
some servers (uvicorn) tell it by ``receive`` alone, others by an `OSError` from ``send``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import final

from anyio import CancelScope, create_task_group
from anyio.lowlevel import checkpoint

from asyncmetrics.exposition._rendering import OnError, Rendering, check_on_error, record_failure
from asyncmetrics.exposition._response import Request, Response, failure, respond
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ("make_asgi_app",)


def make_asgi_app(
    registry: Collectable = REGISTRY,
    disable_compression: bool = False,
    *,
    on_error: OnError = "skip",
) -> ASGIApp:
    """Return an ASGI application that serves what is in ``registry``.

    A collector that fails is left out and counted in ``asyncmetrics_collector_errors_total``; with ``on_error="fail"``
    the answer is a 500 instead. The application answers on every path, so it can be put anywhere::

        app.mount("/metrics", make_asgi_app())       # Starlette, FastAPI: /metrics/, and /metrics by a redirect
        app.add_route("/metrics", make_asgi_app())   # the other way round
        uvicorn.run(make_asgi_app(), port=9000)      # alone

    `asyncmetrics.instrument` serves both spellings without a redirect.
    """
    check_on_error(on_error)
    return _Exposition(registry, on_error, compression=not disable_compression)


class _ClientGoneError(Exception):
    """Tell that ``send`` failed: the client is not there any more."""


@final
class _Exposition:
    """The application; an object rather than a function, which is how Starlette tells it from an endpoint."""

    def __init__(self, registry: Collectable, on_error: OnError, *, compression: bool) -> None:
        self._registry = registry
        self._on_error = on_error
        self._compression = compression

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handlers: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            "http": self._exchange,
            "lifespan": _lifespan,
            "websocket": _refuse_websocket,
        }
        handler = handlers.get(scope["type"])
        if handler is None:  # ASGI 3.0, "Applications": what is not understood must raise
            raise NotImplementedError(f"the exposition serves {sorted(handlers)}, got the scope {scope['type']!r}")
        await handler(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        broken: Exception | None = None
        async with create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            try:
                await self._answer(_request(scope), send)
            except _ClientGoneError:
                pass
            except Exception as error:  # noqa: BLE001  # raised again, without the task group's ExceptionGroup
                broken = error
            tasks.cancel_scope.cancel()
        if broken is not None:
            raise broken

    async def _answer(self, request: Request, send: Send) -> None:
        response = respond(request, compression=self._compression)
        chunks: Iterator[bytes] = iter((response.text,) if response.text else ())
        if response.rendering is not None:
            try:
                chunks = await self._begin(response.rendering)
            except Exception as error:  # noqa: BLE001  # whatever it is, the server gets an answer
                response = failure(record_failure(self._registry, error))
                chunks = iter((response.text,))
        await self._deliver(response, chunks, send)

    async def _begin(self, rendering: Rendering) -> Iterator[bytes]:
        """Gather the families and render the first chunk, while a failure can still be told by the status."""
        families = await rendering.source(self._registry).collect_async(on_error=self._on_error)
        chunks = rendering.chunks(families)
        return chain([first] if (first := next(chunks, b"")) else [], chunks)

    async def _deliver(self, response: Response, chunks: Iterator[bytes], send: Send) -> None:
        await _send(send, {"type": "http.response.start", "status": response.status, "headers": [*response.headers]})
        while chunk := self._next(chunks):
            await _send(send, {"type": "http.response.body", "body": chunk, "more_body": True})
            await checkpoint()
        await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    def _next(self, chunks: Iterator[bytes]) -> bytes:
        try:
            return next(chunks, b"")
        except Exception as error:
            record_failure(self._registry, error)
            raise  # the response has begun: only breaking it off tells the scraper that it is not whole


def _request(scope: Scope) -> Request:
    return Request(scope["method"], scope.get("path", ""), scope.get("query_string") or b"", scope.get("headers") or ())


async def _send(send: Send, message: Message) -> None:
    try:
        await send(message)
    except OSError as error:
        raise _ClientGoneError from error


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            await checkpoint()
    except Exception:  # noqa: BLE001  # a server that cannot be asked: then ``send`` alone tells
        return
    scope.cancel()


async def _lifespan(_: Scope, receive: Receive, send: Send) -> None:
    kind = ""
    while kind != "lifespan.shutdown":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})


async def _refuse_websocket(_: Scope, receive: Receive, send: Send) -> None:
    """Close before accepting, which servers turn into a 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": "metrics are served over HTTP only"})
