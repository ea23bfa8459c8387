"""``instrument(app, runtime=…)``: measure the event loops that serve an application.

*Theory of operation.* Each loop is in one of two states, *measured* or not.

1. The server sends ``lifespan.startup``: the loop is measured before the application receives the message. Before the
   server gets the last message of the lifespan, or when the application raises, the loop is no longer measured.
2. A request comes on a loop that is not measured, because the server sends no lifespan or the application refuses it:
   the loop is measured from then on, until it ends.
3. ``uninstrument`` stops measuring all loops, each in its own thread.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, final

from asyncmetrics.integrations.options import InstrumentOptions
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime import RuntimeMonitor
from asyncmetrics.typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ("ApplicationRuntime", "make_application_runtime")

_log = logging.getLogger("asyncmetrics")

_LAST_MESSAGES = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


def make_application_runtime(target: object, options: InstrumentOptions) -> ApplicationRuntime | None:
    """Return what measures the loops of ``target``, or None if the options do not ask for it.

    Raises `DefinitionError` for a wrong value of the option ``runtime``.
    """
    wanted: Any = options["runtime"]
    if wanted is False:
        return None
    if wanted is True:
        wanted = RuntimeMonitor(registry=options["registry"], namespace=options["namespace"])
    elif not isinstance(wanted, RuntimeMonitor):
        remedy = "write runtime=RuntimeMonitor()" if wanted is RuntimeMonitor else ""
        raise make_refusal("runtime", "True, False or a RuntimeMonitor", wanted, remedy)
    return ApplicationRuntime(target, wanted, options)


@final
class ApplicationRuntime:
    """The monitor of the event loops that serve one application."""

    def __init__(self, target: object, monitor: RuntimeMonitor, options: InstrumentOptions) -> None:
        self._name = type(target).__name__
        self._monitor = monitor
        self._registry = options["registry"]
        self._is_active = True
        self._lifespans = 0  # that have started and not ended

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with lifespans and requests that start the monitor."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "lifespan":
                return self._live(app, scope, receive, send)
            # The last test takes 0.7 µs, so a server with lifespans is trusted to send one for each of its loops.
            if self._lifespans or not self._is_active or self._monitor.is_started():
                return app(scope, receive, send)
            return self._start_and_serve(app, scope, receive, send)

        return serve

    async def begin_lifespan(self) -> None:
        """Measure the running loop until `end_lifespan`."""
        self._lifespans += 1
        await self._start()

    async def end_lifespan(self) -> None:
        """Stop measuring the running loop."""
        self._lifespans = max(0, self._lifespans - 1)  # Litestar may end one that has failed before its beginning
        await self._monitor.stop()

    async def _start(self) -> None:
        """Measure the running loop, unless it is measured; log an error and give up if that is impossible."""
        if not self._is_active:
            return
        try:
            await self._monitor.start()
        except Exception as error:  # noqa: BLE001  # nothing of ours may break the application
            pass_interruption(error)
            self._is_active = False
            get_self_metrics(self._registry).count_internal_error("runtime.start", is_logged=False)
            _log.warning("instrument(%s): the event loop cannot be measured", self._name, exc_info=error)

    def release(self) -> None:
        """Stop measuring all loops, from any thread, and measure no other one."""
        self._is_active = False
        self._monitor.stop_all()

    async def _live(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = has_ended = False

        async def receive_and_start() -> Message:
            nonlocal has_begun
            message = await receive()
            if message["type"] == "lifespan.startup" and not has_begun:
                has_begun = True
                await self.begin_lifespan()
            return message

        async def end() -> None:
            nonlocal has_ended
            if has_begun and not has_ended:
                has_ended = True
                await self.end_lifespan()

        async def end_and_send(message: Message) -> None:
            if message["type"] in _LAST_MESSAGES:  # the server may cancel what still runs after it
                await end()
            await send(message)

        try:
            await app(scope, receive_and_start, end_and_send)
        finally:
            await end()

    async def _start_and_serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await self._start()
        await app(scope, receive, send)
