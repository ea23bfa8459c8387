"""The results of health checks as an ASGI application: answered from memory, on asyncio and on trio."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, final

from asyncmetrics.jobs.check_runs import Result
from asyncmetrics.typing import SCRAPE_KEY, Receive, Scope, Send

__all__ = ("HealthApp",)

_log = logging.getLogger("asyncmetrics")

_STATES = {"": "up", "pending": "pending"}


class _Checks(Protocol):
    """What the application asks for."""

    @property
    def is_ready(self) -> bool: ...

    def read(self) -> Mapping[str, Result]: ...

    def is_required(self, name: str) -> bool: ...

    def is_started(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class HealthApp:
    """The application; an object and not a function, because Starlette takes a function for an endpoint."""

    def __init__(self, checks: _Checks, *, show_errors: bool) -> None:
        self._checks = checks
        self._show_errors = show_errors
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, as ASGI 3.0 specifies."""
        match scope["type"]:
            case "http":
                scope[SCRAPE_KEY] = True  # a 503 of this application must not count among the errors of the service
                await self._answer(scope, send)
            case "lifespan":
                await self._run_lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000, "reason": "health is served over HTTP only"})
            case unknown:  # ASGI 3.0, "Applications": an application raises for a type that it does not know
                raise NotImplementedError(f"health is served over HTTP, got the scope {unknown!r}")

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        """Start and stop the checks, where a server runs this application alone."""
        await receive()
        await self._checks.start()
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            await self._checks.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, send: Send) -> None:
        method = scope["method"]
        status, body = (200, self._describe(scope)) if method in {"GET", "HEAD"} else (405, {"status": "not allowed"})
        if body["status"] == "not ready":
            status = 503
        content = json.dumps(body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"cache-control", b"no-store"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        with suppress(OSError):  # the client has gone away
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else content})

    def _describe(self, scope: Scope) -> dict[str, object]:
        path: str = scope.get("path", "")
        if path.rstrip("/").endswith("/live"):
            return {"status": "live"}
        self._warn_unless_started()
        checks = {name: self._describe_check(name, result) for name, result in self._checks.read().items()}
        return {"status": "ready" if self._checks.is_ready else "not ready", "checks": checks}

    def _warn_unless_started(self) -> None:
        """Log once that nothing calls the checks: an application that is mounted gets no lifespan to start them."""
        if not self._has_warned and not self._checks.is_started():
            self._has_warned = True
            _log.warning(
                "HealthChecks: asked whether the service is ready, but no check runs: start() was not called, or "
                "stop() was. Write `async with checks:` in the lifespan of the application"
            )

    def _describe_check(self, name: str, result: Result) -> dict[str, object]:
        described: dict[str, object] = {"status": _STATES.get(result.reason, "down")}
        if described["status"] == "down":
            described["reason"] = result.reason
        if self._show_errors and result.error:
            described["error"] = result.error
        if not self._checks.is_required(name):
            described["required"] = False
        return described
