"""The exposition as an ASGI application: mounted, as a route, or alone under any server; on asyncio and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import final

from anyio import CancelScope, fail_after, to_thread

from asyncmetrics.exposition.access import Access, Auth
from asyncmetrics.exposition.admission import Admission
from asyncmetrics.exposition.client import Client, ClientGoneError, run_until_gone
from asyncmetrics.exposition.failures import OnError, check_on_error
from asyncmetrics.exposition.live.serving import is_for_live_page, load_pages, respond_with_page
from asyncmetrics.exposition.rendering import Rendering
from asyncmetrics.exposition.response import Request, Response, refuse_access, refuse_busy, respond
from asyncmetrics.exposition.scrape import Scrape
from asyncmetrics.interruptions import is_interruption
from asyncmetrics.model.checks import check_flag, check_limit, check_seconds
from asyncmetrics.pacing import preload_asyncio_backend
from asyncmetrics.registry import REGISTRY, Collectable, check_registry, is_fault
from asyncmetrics.registry.collectables import find_self_metrics
from asyncmetrics.typing import SCRAPE_KEY, ASGIApp, Receive, Scope, Send

__all__ = ("MAX_CONCURRENT", "make_asgi_app")

# More than the scrapers of one target (a pair of Prometheus servers, an engineer with curl), few enough that their
# buffers stay small.
MAX_CONCURRENT = 8
"""How many scrapes are served at a time by default."""

# Longer than a scraper waits (Prometheus' default is 10 s), so that it decides first.
_TIMEOUT_SECONDS = 30.0


def make_asgi_app(
    registry: Collectable = REGISTRY,
    disable_compression: bool = False,
    *,
    on_error: OnError = "skip",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    live: bool = False,
) -> ASGIApp:
    """Return an ASGI application that serves ``registry`` without holding the event loop.

    A collector has three quarters of the time that the scraper announces (of 10 s if it announces none). One that fails
    or is late is left out and counted in ``asyncmetrics_collector_errors_total``; with ``on_error="fail"`` the answer
    is a 500 instead. A sync collector is called in its own thread, unless it has ``blocking = False``.

    ``auth`` is a bearer token, a ``(user, password)``, or a predicate of the ASGI scope, sync or async; other clients
    get a 401 or 403. A client that takes nothing for ``timeout_seconds`` counts as gone, and a predicate that takes
    longer refuses.

    If ``max_concurrent`` scrapes are being served already, a new scrape displaces one whose client has taken nothing
    for a quarter of a second (or for 10 s in all), or whose collectors have kept it waiting for 10 s or may keep it
    waiting for longer than its own would (and than 7.5 s). If there is no such scrape, the new one waits if
    there may be one within 0.75 s. Otherwise, or if it has waited in vain, the answer is a 503 with Retry-After.

    ``live`` serves the live page on every path that ends in ``/live``, with and without a slash after it. A browser has
    access to the page if it has access to the metrics. With a bearer token, which a browser cannot send when it opens a
    page, everyone has access to the page: it has no data, and asks for the token.

    ``asyncmetrics_scrapes_total{outcome}``, ``asyncmetrics_scrape_duration_seconds`` and
    ``asyncmetrics_scrape_chunks`` count and measure the scrapes. Raises `DefinitionError` for a wrong option.

    The application answers on every path, so it can be put anywhere::

        app.mount("/metrics", make_asgi_app())       # Starlette, FastAPI: /metrics/, and /metrics by a redirect
        app.add_route("/metrics", make_asgi_app())   # the other way round
        uvicorn.run(make_asgi_app(), port=9000)      # alone

    `asyncmetrics.instrument` serves both spellings without a redirect.
    """
    check_registry(registry)
    check_flag("disable_compression", disable_compression)
    check_on_error(on_error)
    check_limit("max_concurrent", max_concurrent)
    check_seconds("timeout_seconds", timeout_seconds)
    check_flag("live", live)
    preload_asyncio_backend()
    return _Exposition(
        registry,
        on_error,
        Access(auth),
        max_concurrent,
        timeout_seconds,
        compression=not disable_compression,
        live=live,
    )


@final
class _Exposition:
    """The application; an object and not a function, because Starlette takes a function for an endpoint."""

    def __init__(
        self,
        registry: Collectable,
        on_error: OnError,
        access: Access,
        max_concurrent: int,
        timeout_seconds: float,
        *,
        compression: bool,
        live: bool,
    ) -> None:
        self._registry = registry
        self._self_metrics = find_self_metrics(registry)
        self._on_error: OnError = on_error
        self._access = access
        self._admission = Admission(max_concurrent)
        self._timeout = timeout_seconds
        self._compression = compression
        self._is_live = live
        self._pages: tuple[Response, Response] | None = None  # loaded by the first request for the page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handlers: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            "http": self._serve_http,
            "lifespan": _serve_lifespan,
            "websocket": _refuse_websocket,
        }
        handler = handlers.get(scope["type"])
        if handler is None:  # ASGI 3.0, "Applications": an application raises for a type that it does not know
            raise NotImplementedError(f"the exposition serves {sorted(handlers)}, got the scope {scope['type']!r}")
        await handler(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCRAPE_KEY] = True
        request = _read_request(scope)
        is_page = self._is_live and is_for_live_page(request.path)
        is_open = is_page and not self._access.is_for_browsers
        if not is_open and not await self._is_granted(request, scope):
            self._self_metrics.count_scrape("denied")
            await self._answer(refuse_access(request, self._access.challenge), send)
            return
        if is_page:
            if self._pages is None:
                self._pages = await to_thread.run_sync(load_pages)
            response = respond_with_page(request, self._pages, compression=self._compression)
        else:
            response = respond(request, compression=self._compression)
        if response.rendering is None:
            await self._answer(response, send)
        else:
            await self._serve_scrape(response, response.rendering, receive, send)

    async def _answer(self, response: Response, send: Send) -> None:
        """Send a response of a few words, if the client is still there."""
        with suppress(ClientGoneError):
            await Client(send, self._timeout).answer(response)

    async def _is_granted(self, request: Request, scope: Scope) -> bool:
        if self._access.predicate is None:
            return self._access.is_granted(request.get_header(b"authorization"))
        try:
            with fail_after(self._timeout):
                result = self._access.predicate(scope)
                return bool(await result if isinstance(result, Awaitable) else result)
        except BaseException as error:  # where the predicate fails, no client has access
            if not is_fault(error) or is_interruption(error):
                raise
            self._self_metrics.count_internal_error("exposition.auth")
            return False

    async def _serve_scrape(self, response: Response, rendering: Rendering, receive: Receive, send: Send) -> None:
        scope = CancelScope()
        ticket = await self._admission.admit_soon(scope.cancel, rendering.seconds)
        if ticket is None:
            self._self_metrics.count_scrape("busy")
            await self._answer(refuse_busy(self._admission.limit), send)
            return
        begun = perf_counter()
        scrape = Scrape(self._registry, self._on_error, rendering, ticket)
        try:
            with scope:
                await run_until_gone(receive, partial(scrape.serve, response, Client(send, self._timeout, ticket)))
        finally:
            self._admission.release(ticket)
            self._self_metrics.count_scrape("displaced" if ticket.is_displaced else scrape.outcome)
            self._self_metrics.observe_scrape(perf_counter() - begun, scrape.chunks)
        if ticket.is_displaced and not scrape.is_started:
            await self._answer(refuse_busy(self._admission.limit), send)


def _read_request(scope: Scope) -> Request:
    return Request(scope["method"], scope.get("path", ""), scope.get("query_string") or b"", scope.get("headers") or ())


async def _serve_lifespan(_: Scope, receive: Receive, send: Send) -> None:
    kind = ""
    while kind != "lifespan.shutdown":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})


async def _refuse_websocket(_: Scope, receive: Receive, send: Send) -> None:
    """Close before accepting, which servers turn into a 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": "metrics are served over HTTP only"})
