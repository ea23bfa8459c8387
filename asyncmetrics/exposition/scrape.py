"""One scrape on an event loop: gather, render in turns, and send chunk by chunk.

*Theory of operation.*

1. Nothing is sent. The families are gathered and the first chunk is rendered. A fault until here is answered with a
   500, and the scrape has failed.
2. The first chunk exists. The status and the headers are sent, and the response has started.
3. Chunks are rendered in turns (`pacing`) and sent between the turns. A fault here breaks the response off, which a
   scraper sees as a failed scrape.
4. The last chunk is sent. An empty body ends the response, and the scrape is served.

A scrape that is cancelled at any of these steps counts as abandoned by its client, or as displaced.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import final

from asyncmetrics.exposition.admission import Ticket
from asyncmetrics.exposition.client import Client
from asyncmetrics.exposition.failures import OnError, record_failure
from asyncmetrics.exposition.gathering import gather_families
from asyncmetrics.exposition.rendering import Chunk, Rendering
from asyncmetrics.exposition.response import Response, refuse_failed
from asyncmetrics.interruptions import is_interruption
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import take_turn
from asyncmetrics.registry import Collectable, is_fault

__all__ = ("Scrape",)

# How long collectors may keep a scrape waiting before another scrape may displace it: as long as Prometheus' default
# scrape timeout.
_PATIENCE_SECONDS = 10.0


@final
class Scrape:
    """One scrape, its ``outcome``, how many ``chunks`` it has sent, and whether the response ``is_started``."""

    def __init__(self, registry: Collectable, on_error: OnError, rendering: Rendering, ticket: Ticket) -> None:
        self.outcome = "abandoned"  # unless there is another outcome before the task is cancelled
        self.chunks = 0
        self.is_started = False
        self._registry = registry
        self._on_error: OnError = on_error
        self._rendering = rendering
        self._ticket = ticket
        self._problem = ""

    async def serve(self, response: Response, client: Client) -> None:
        """Send the response; raises the fault that breaks it off after its start."""
        async with aclosing(self._render_chunks()) as chunks:
            try:
                first = await anext(chunks, b"")
            except Exception:  # noqa: BLE001  # recorded by _render_chunks; the client gets a 500
                await client.answer(refuse_failed(self._problem))
                return
            self.is_started = True
            await client.start(response)
            if first:
                await self._send(first, client)
            async for chunk in chunks:
                await self._send(chunk, client)
            await client.send(b"", more=False)
        self.outcome = "served"

    async def _send(self, chunk: bytes, client: Client) -> None:
        await client.send(chunk, more=True)
        self.chunks += 1

    async def _render_chunks(self) -> AsyncGenerator[bytes, None]:
        """Gather the families and yield them rendered, in chunks none of which is empty."""
        try:
            pieces = self._rendering.render_pieces(await self._gather(), self._registry)
            chunk = Chunk()
            more = True
            while more:
                more = await _fill_chunk(chunk, pieces)
                if (chunk.is_full() or not more) and (joined := chunk.take()):
                    yield joined
        except BaseException as error:
            if not is_fault(error) or is_interruption(error):
                raise
            self._problem = record_failure(self._registry, error)
            self.outcome = "failed"
            if isinstance(error, Exception):
                raise
            raise RuntimeError(f"a collector's samples raised {error!r}") from error

    async def _gather(self) -> list[Metric]:
        rendering = self._rendering
        source = rendering.select_source(self._registry)
        with self._ticket.track_wait(_PATIENCE_SECONDS), self._ticket.track_gathering():
            return await gather_families(self._registry, rendering.names, source, self._on_error, rendering.seconds)


async def _fill_chunk(chunk: Chunk, pieces: Iterator[bytes]) -> bool:
    """Add pieces to ``chunk`` for one turn; return whether there are more."""
    async with take_turn() as is_over:
        for piece in pieces:
            chunk.add(piece)
            if chunk.is_full() or is_over():
                return True
    return False
