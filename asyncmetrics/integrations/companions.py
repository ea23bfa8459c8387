"""What runs with an application: ``instrument(app, runtime=…, push=…)``.

A *companion* is started and stopped with the event loops that serve an application: a `RuntimeMonitor`, which measures
them, or a `Pusher`, which sends the metrics.

*Theory of operation.* On each loop the companions are in one of two states, *started* or not.

1. The server sends ``lifespan.startup``: they are started before the application receives the message. Before the
   server gets the last message of the lifespan, or when the application raises, they are stopped, the last one first.
2. A request comes on a loop where they are not started, because the server sends no lifespan or the application refuses
   it: they are started then, until the loop ends.
3. ``uninstrument`` stops them on all loops, each in its own thread.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Protocol, final

from asyncmetrics.bridges import Pusher
from asyncmetrics.bridges.push.sink import check_sink
from asyncmetrics.integrations.options import InstrumentOptions
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime import RuntimeMonitor
from asyncmetrics.typing import ASGIApp, Message, Receive, Scope, Send

__all__ = ("Companion", "Companions", "make_companions")

_log = logging.getLogger("asyncmetrics")

_LAST_MESSAGES = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
_DEFAULT_TITLE = "FastAPI"


class Companion(Protocol):
    """Something that runs with an application."""

    def is_started(self) -> bool:
        """Return whether it is started on the running loop."""
        ...

    async def start(self) -> None:
        """Start it on the running loop, unless it is started there."""
        ...

    async def stop(self) -> None:
        """Stop it on the running loop."""
        ...

    def stop_all(self) -> None:
        """Stop it on all loops soon, from any thread."""
        ...


def make_companions(target: object, options: InstrumentOptions) -> Companions | None:
    """Return what runs with ``target``, or None if the options ask for nothing.

    Raises `DefinitionError` for a wrong value of the options ``runtime`` and ``push``.
    """
    made = {"runtime": _make_monitor(options), "push": _make_pusher(target, options)}
    companions = {name: companion for name, companion in made.items() if companion is not None}
    return Companions(target, companions, options) if companions else None


def _make_monitor(options: InstrumentOptions) -> Companion | None:
    wanted: Any = options["runtime"]
    if wanted is False:
        return None
    if wanted is True:
        return RuntimeMonitor(registry=options["registry"], namespace=options["namespace"])
    if not isinstance(wanted, RuntimeMonitor):
        remedy = "write runtime=RuntimeMonitor()" if wanted is RuntimeMonitor else ""
        raise make_refusal("runtime", "True, False or a RuntimeMonitor", wanted, remedy)
    return wanted


def _make_pusher(target: object, options: InstrumentOptions) -> Companion | None:
    wanted: Any = options["push"]
    if wanted is None:
        return None
    if not isinstance(wanted, Pusher):
        check_sink("push", wanted, ", or a Pusher")
    pusher = wanted if isinstance(wanted, Pusher) else Pusher(wanted, options["registry"])
    title = getattr(target, "title", None)
    if isinstance(title, str) and title not in {"", _DEFAULT_TITLE}:
        pusher.name_application(title)
    return pusher


@final
class Companions:
    """What runs with one application: companions, by the names of their options, in the order of their start."""

    def __init__(self, target: object, companions: dict[str, Companion], options: InstrumentOptions) -> None:
        self._name = type(target).__name__
        self._companions = companions
        self._last = list(companions.values())[-1]
        self._registry = options["registry"]
        self._is_active = True
        self._lifespans = 0  # that have started and not ended

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with lifespans and requests that start the companions."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "lifespan":
                return self._live(app, scope, receive, send)
            # The last test takes 0.7 µs, so a server with lifespans is trusted to send one for each of its loops.
            if self._lifespans or not self._is_active or self._last.is_started():
                return app(scope, receive, send)
            return self._start_and_serve(app, scope, receive, send)

        return serve

    async def begin_lifespan(self) -> None:
        """Start the companions on the running loop, until `end_lifespan`."""
        self._lifespans += 1
        await self._start()

    async def end_lifespan(self) -> None:
        """Stop the companions on the running loop."""
        self._lifespans = max(0, self._lifespans - 1)  # Litestar may end one that has failed before its beginning
        for companion in reversed(self._companions.values()):  # the last push has what the monitor measured
            await companion.stop()

    async def _start(self) -> None:
        """Start the companions on the running loop; log an error and give up one that cannot be started."""
        if not self._is_active:
            return
        for name, companion in list(self._companions.items()):
            try:
                await companion.start()
            except Exception as error:  # noqa: BLE001  # nothing of ours may break the application
                pass_interruption(error)
                del self._companions[name]
                get_self_metrics(self._registry).count_internal_error(f"{name}.start", is_logged=False)
                _log.warning(
                    "instrument(%s): the option %s= has no effect, because of an error",
                    self._name,
                    name,
                    exc_info=error,
                )
        self._note_started()

    def _note_started(self) -> None:
        self._last = next(reversed(self._companions.values()), self._last)
        self._is_active = self._is_active and bool(self._companions)

    def release(self) -> None:
        """Stop the companions on all loops, from any thread, and start them no more."""
        self._is_active = False
        for companion in reversed(self._companions.values()):
            companion.stop_all()

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
