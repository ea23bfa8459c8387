"""The client of a request under ASGI: sending to it, and noticing that it has gone away.

Servers announce that the client has gone away in two ways: uvicorn only by ``http.disconnect`` from ``receive``, others
by an `OSError` from ``send``. `run_until_gone` cancels the scrape for the first, and `Client` raises `ClientGoneError`
for the second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import final

from anyio import CancelScope, create_task_group, fail_after
from anyio.lowlevel import checkpoint

from asyncmetrics.exposition.admission import STALLED_SECONDS, Ticket
from asyncmetrics.exposition.response import Response
from asyncmetrics.typing import Message, Receive, Send

__all__ = ("Client", "ClientGoneError", "run_until_gone")

# How long a client may keep its scrape waiting in all before another scrape may displace it: as long as Prometheus'
# default scrape timeout. Without this sum a client that takes a chunk every 0.2 s would keep its ticket for hours.
_PATIENCE_SECONDS = 10.0


class ClientGoneError(Exception):
    """Raised when the client has gone away, or takes nothing for too long."""


async def run_until_gone(receive: Receive, serve: Callable[[], Awaitable[None]]) -> None:
    """Await ``serve()``, and cancel it when the client goes away. Its errors are raised, except `ClientGoneError`."""
    failure: Exception | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
        try:
            await serve()
        except ClientGoneError:
            pass
        except Exception as error:  # noqa: BLE001  # raised again, without the task group's ExceptionGroup
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


@final
class Client:
    """The client as the server's ``send`` reaches it. All methods raise `ClientGoneError`.

    ``ticket`` is that of a scrape, which another scrape may displace if the client keeps it waiting.
    """

    def __init__(self, send: Send, timeout_seconds: float, ticket: Ticket | None = None) -> None:
        self._send = send
        self._timeout = timeout_seconds
        self._ticket = ticket
        self._patience = _PATIENCE_SECONDS

    async def answer(self, response: Response) -> None:
        """Send a whole response, whose body is its text."""
        await self.start(response)
        await self.send(response.text, more=False)

    async def start(self, response: Response) -> None:
        """Send the status and the headers."""
        headers = [*response.headers]
        await self._deliver({"type": "http.response.start", "status": response.status, "headers": headers})

    async def send(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        await self._deliver({"type": "http.response.body", "body": body, "more_body": more})

    async def _deliver(self, message: Message) -> None:
        begun = perf_counter()
        try:
            with self._track_wait(), fail_after(self._timeout):
                await self._send(message)
        except OSError as error:  # TimeoutError is one of them
            raise ClientGoneError from error
        self._patience = max(0.0, self._patience - (perf_counter() - begun))

    def _track_wait(self) -> AbstractContextManager[None]:
        if self._ticket is None:
            return nullcontext()
        return self._ticket.track_wait(min(STALLED_SECONDS, self._patience))


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            await checkpoint()
    except Exception:  # noqa: BLE001  # this server's ``receive`` does not work: then ``send`` alone notices
        return
    scope.cancel()
