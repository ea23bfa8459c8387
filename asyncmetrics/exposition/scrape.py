"""One scrape on an event loop: gather, render in turns, and send chunk by chunk to a client that may go away.

*Theory of operation.* The families are gathered and the first chunk is rendered before the response starts, so that
a fault until then gives a 500; one that comes later breaks the response off, which a scraper sees as a failed scrape.
Both are done in turns (`_pacing`) and the chunks are sent between them. A second task listens for the client's going
away and cancels the first: some servers (uvicorn) tell it by ``receive`` alone, others by an `OSError` from ``send``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from time import perf_counter
from typing import final

from anyio import CancelScope, create_task_group, fail_after
from anyio.lowlevel import checkpoint

from asyncmetrics.exposition.admission import STALLED_SECONDS, Ticket
from asyncmetrics.exposition.failures import OnError, record_failure
from asyncmetrics.exposition.gathering import gathered
from asyncmetrics.exposition.rendering import Chunk, Rendering
from asyncmetrics.exposition.response import Response, failure
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import turn
from asyncmetrics.registry import Collectable, is_fault
from asyncmetrics.typing import Message, Receive, Send

__all__ = ("Client", "ClientGoneError", "Scrape", "until_gone")

# How long a scrape may wait in all before a newcomer may have its place, once all places are in use: for its client,
# and for the collectors. Prometheus' default scrape timeout is as long.
_CLIENT_PATIENCE = 10.0
_COLLECTORS_PATIENCE = 10.0


class ClientGoneError(Exception):
    """Raised when the client is not there any more, or takes nothing."""


async def until_gone(receive: Receive, serve: Callable[[], Awaitable[None]]) -> None:
    """Await ``serve()``, which is cancelled when the client goes away; raises what it raises."""
    broken: Exception | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
        try:
            await serve()
        except ClientGoneError:
            pass
        except Exception as error:  # noqa: BLE001  # raised again, without the task group's ExceptionGroup
            broken = error
        tasks.cancel_scope.cancel()
    if broken is not None:
        raise broken


@final
class Scrape:
    """One scrape, and how it went: its ``outcome``, how many ``chunks`` were sent, and whether any."""

    def __init__(self, registry: Collectable, on_error: OnError, rendering: Rendering, ticket: Ticket) -> None:
        self.outcome = "abandoned"  # until something else is known: by its client, or by whatever cancelled it
        self.chunks = 0
        self.is_started = False
        self._registry = registry
        self._on_error: OnError = on_error
        self._rendering = rendering
        self._ticket = ticket
        self._problem = ""

    async def serve(self, response: Response, client: Client) -> None:
        """Answer; raises what breaks the answer off."""
        async with aclosing(self._made()) as chunks:
            try:
                first = await anext(chunks, b"")
            except Exception:  # noqa: BLE001  # it is recorded, and the server gets an answer
                await client.answer(failure(self._problem))
                return
            self.is_started = True
            await client.start(response)
            if first:
                await self._deliver(first, client)
            async for chunk in chunks:
                await self._deliver(chunk, client)
            await client.send(b"", more=False)
        self.outcome = "served"

    async def _deliver(self, chunk: bytes, client: Client) -> None:
        await client.send(chunk, more=True)
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
        except BaseException as error:
            if not is_fault(error):
                raise
            self._problem = record_failure(self._registry, error)
            self.outcome = "failed"
            if isinstance(error, Exception):
                raise
            raise RuntimeError(f"a collector's samples raised {error!r}") from error

    async def _families(self) -> list[Metric]:
        rendering = self._rendering
        source = rendering.source(self._registry)
        with self._ticket.waiting(_COLLECTORS_PATIENCE), self._ticket.gathering():
            return await gathered(self._registry, rendering.names, source, self._on_error, rendering.seconds)


async def _filled(chunk: Chunk, pieces: Iterator[bytes]) -> bool:
    """Add pieces to ``chunk`` for one turn; return whether there are more."""
    async with turn() as is_over:
        for piece in pieces:
            chunk.add(piece)
            if chunk.is_full() or is_over():
                return True
    return False


@final
class Client:
    """The client as the server lets us reach it. All methods raise `ClientGoneError`.

    ``ticket`` is that of a scrape, which a newcomer may have if the client keeps it waiting.
    """

    def __init__(self, send: Send, timeout_seconds: float, ticket: Ticket | None = None) -> None:
        self._send = send
        self._timeout = timeout_seconds
        self._ticket = ticket
        self._patience = _CLIENT_PATIENCE

    async def answer(self, response: Response) -> None:
        """Send an answer of a few words."""
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
            with self._waiting(), fail_after(self._timeout):
                await self._send(message)
        except OSError as error:  # TimeoutError is one of them
            raise ClientGoneError from error
        self._patience = max(0.0, self._patience - (perf_counter() - begun))

    def _waiting(self) -> AbstractContextManager[None]:
        if self._ticket is None:
            return nullcontext()
        return self._ticket.waiting(min(STALLED_SECONDS, self._patience))


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            await checkpoint()
    except Exception:  # noqa: BLE001  # a server that cannot be asked: then ``send`` alone tells
        return
    scope.cancel()
