"""The exposition as an ASGI application: mounted, as a route, or alone under any server; on asyncio and on trio.

*Theory of operation.* The families are gathered and the first chunk is rendered before the response starts, so that
a fault until then gives a 500; one that comes later breaks the response off, which a scraper sees as a failed scrape.
Both are done in turns (`_pacing`) and the chunks are sent between them. A second task listens for the client's going
away and cancels the first: some servers (uvicorn) tell it by ``receive`` alone, others by an `OSError` from ``send``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from time import perf_counter
from typing import final

from anyio import CancelScope, create_task_group, fail_after
from anyio.lowlevel import checkpoint

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition._access import Access, Auth
from asyncmetrics.exposition._gathering import gathered
from asyncmetrics.exposition._pacing import preload, turn
from asyncmetrics.exposition._rendering import Chunk, OnError, Rendering, check_on_error, record_failure
from asyncmetrics.exposition._response import Request, Response, busy, denied, failure, respond
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.typing import SCRAPE_KEY, ASGIApp, Message, Receive, Scope, Send

__all__ = ("MAX_CONCURRENT", "make_asgi_app")

MAX_CONCURRENT = 8
# A client that takes nothing for so long is treated as gone: it would keep others from being served.
_STALLED_SECONDS = 30.0


def make_asgi_app(
    registry: Collectable = REGISTRY,
    disable_compression: bool = False,
    *,
    on_error: OnError = "skip",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
) -> ASGIApp:
    """Return an ASGI application that serves what is in ``registry``, without holding the event loop.

    A collector that fails, or has no answer after three quarters of the time that the scraper says it will wait (10 s
    if it does not), is left out and counted in ``asyncmetrics_collector_errors_total``; with ``on_error="fail"`` the
    answer is a 500 instead. A sync collector is called in a thread of its own, unless it says ``blocking = False``.

    ``auth`` is a bearer token, a ``(user, password)``, or a predicate, sync or async, that is given the ASGI scope;
    others get a 401 or 403. Beyond ``max_concurrent`` scrapes at a time the answer is a 503 with Retry-After. What
    becomes of the scrapes is told by ``asyncmetrics_scrapes_total{outcome}``, ``asyncmetrics_scrape_duration_seconds``
    and ``asyncmetrics_scrape_chunks``. Raises `DefinitionError` for options that make no sense.

    The application answers on every path, so it can be put anywhere::

        app.mount("/metrics", make_asgi_app())       # Starlette, FastAPI: /metrics/, and /metrics by a redirect
        app.add_route("/metrics", make_asgi_app())   # the other way round
        uvicorn.run(make_asgi_app(), port=9000)      # alone

    `asyncmetrics.instrument` serves both spellings without a redirect.
    """
    check_on_error(on_error)
    if max_concurrent < 1:
        raise DefinitionError("max_concurrent", f"expected 1 or more, got {max_concurrent!r}")
    preload()
    return _Exposition(registry, on_error, Access(auth), max_concurrent, compression=not disable_compression)


class _ClientGoneError(Exception):
    """Tell that the client is not there any more, or takes nothing."""


@final
class _Exposition:
    """The application; an object rather than a function, which is how Starlette tells it from an endpoint."""

    def __init__(
        self, registry: Collectable, on_error: OnError, access: Access, max_concurrent: int, *, compression: bool
    ) -> None:
        self._registry = registry
        self._on_error: OnError = on_error
        self._access = access
        self._max_concurrent = max_concurrent
        self._compression = compression
        self._serving = 0

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
        scope[SCRAPE_KEY] = True
        request = _request(scope)
        if not await self._is_admitted(request, scope):
            self._registry.count_event("scrapes", "denied")
            await _answer(denied(request, self._access.challenge), send)
            return
        response = respond(request, compression=self._compression)
        if response.rendering is None:
            await _answer(response, send)
        elif self._serving >= self._max_concurrent:
            self._registry.count_event("scrapes", "busy")
            await _answer(busy(self._max_concurrent), send)
        else:
            self._serving += 1
            try:
                await self._scrape(response, response.rendering, receive, send)
            finally:
                self._serving -= 1

    async def _is_admitted(self, request: Request, scope: Scope) -> bool:
        if self._access.predicate is None:
            return self._access.admits(request.header(b"authorization"))
        try:
            answer = self._access.predicate(scope)
            return bool(await answer if isinstance(answer, Awaitable) else answer)
        except Exception:  # noqa: BLE001  # who cannot be judged is refused
            self._registry.count_event("internal_errors", "exposition.auth")
            return False

    async def _scrape(self, response: Response, rendering: Rendering, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        scrape = _Scrape(self._registry, self._on_error, response, rendering)
        broken: Exception | None = None
        try:
            async with create_task_group() as tasks:
                tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
                try:
                    await scrape.serve(send)
                except _ClientGoneError:
                    pass
                except Exception as error:  # noqa: BLE001  # raised again, without the task group's ExceptionGroup
                    broken = error
                tasks.cancel_scope.cancel()
        finally:
            self._registry.count_event("scrapes", scrape.outcome)
            self._registry.observe_event("scrape_duration_seconds", perf_counter() - begun)
            self._registry.observe_event("scrape_chunks", scrape.chunks)
        if broken is not None:
            raise broken


@final
class _Scrape:
    """One scrape, and how it went: its ``outcome``, and how many ``chunks`` were sent."""

    def __init__(self, registry: Collectable, on_error: OnError, response: Response, rendering: Rendering) -> None:
        self.outcome = "abandoned"  # until something else is known: by its client, or by whatever cancelled it
        self.chunks = 0
        self._registry = registry
        self._on_error: OnError = on_error
        self._response = response
        self._rendering = rendering
        self._problem = ""

    async def serve(self, send: Send) -> None:
        """Answer; raises what breaks the answer off."""
        async with aclosing(self._made()) as chunks:
            try:
                first = await anext(chunks, b"")
            except Exception:  # noqa: BLE001  # it is recorded, and the server gets an answer
                await _answer(failure(self._problem), send)
                return
            await _send(send, _start(self._response))
            if first:
                await self._deliver(first, send)
            async for chunk in chunks:
                await self._deliver(chunk, send)
            await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        self.outcome = "served"

    async def _deliver(self, chunk: bytes, send: Send) -> None:
        await _send(send, {"type": "http.response.body", "body": chunk, "more_body": True})
        self.chunks += 1

    async def _made(self) -> AsyncGenerator[bytes, None]:
        """Gather the families and yield what they are rendered to, in chunks none of which is empty."""
        try:
            pieces = self._rendering.pieces(await self._families())
            chunk = Chunk()
            more = True
            while more:
                more = await _filled(chunk, pieces)
                if (chunk.is_full() or not more) and (made := chunk.take()):
                    yield made
        except Exception as error:
            self._problem = record_failure(self._registry, error)
            self.outcome = "failed"
            raise

    async def _families(self) -> list[Metric]:
        rendering = self._rendering
        source = rendering.source(self._registry)
        return await gathered(self._registry, rendering.names, source, self._on_error, rendering.seconds)


async def _filled(chunk: Chunk, pieces: Iterator[bytes]) -> bool:
    """Add pieces to ``chunk`` for one turn; return whether there are more."""
    async with turn() as is_over:
        for piece in pieces:
            chunk.add(piece)
            if chunk.is_full() or is_over():
                return True
    return False


def _request(scope: Scope) -> Request:
    return Request(scope["method"], scope.get("path", ""), scope.get("query_string") or b"", scope.get("headers") or ())


def _start(response: Response) -> Message:
    return {"type": "http.response.start", "status": response.status, "headers": [*response.headers]}


async def _answer(response: Response, send: Send) -> None:
    """Send an answer that is told in a few words, if there is still somebody to hear it."""
    try:
        await _send(send, _start(response))
        await _send(send, {"type": "http.response.body", "body": response.text, "more_body": False})
    except _ClientGoneError:
        pass


async def _send(send: Send, message: Message) -> None:
    try:
        with fail_after(_STALLED_SECONDS):
            await send(message)
    except OSError as error:  # TimeoutError is one of them
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
