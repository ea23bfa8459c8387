"""`PushWork`: what all loops and threads of one pusher share: collecting, encoding, and one send at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from time import time
from typing import final

import anyio
from anyio import CapacityLimiter, to_thread

from asyncmetrics.bridges.push.identity import IdentityFinder
from asyncmetrics.bridges.push.metrics import PushMetrics
from asyncmetrics.bridges.push.selection import FamilySelection, make_selector
from asyncmetrics.bridges.push.sending import Sender
from asyncmetrics.bridges.push.sink import Payload, Sink
from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.exposition.gathering import gather_families
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.pacing import run_in_turns
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import find_full_registry, find_lead, find_self_metrics
from asyncmetrics.storage.leads import AlwaysLeader

__all__ = ("PushWork",)

_LEAD = "push"
_POLL_SECONDS = 0.01  # while another loop, or `push`, sends


@final
class PushWork:
    """The work of one pusher, on whichever loop."""

    def __init__(
        self, sink: Sink, registry: Collectable, families: FamilySelection | None, identity: IdentityFinder, owner: str
    ) -> None:
        full = find_full_registry(registry)
        self.sink = sink
        sink.on_omitted = sink.on_omitted or find_self_metrics(registry).count_omitted_sample
        self.identity = identity
        self.metrics = PushMetrics(full, sink.name)
        self.lead = find_lead(registry, _LEAD)
        self.sender = Sender(sink, self.metrics, owner)
        self._registry = registry
        self._select = make_selector(families)
        self._process = os.getpid()
        self._busy = threading.Lock()
        # What has changed since the last send is in the newest payload, whatever waits.
        self.replaces = sink.replaces or sink.sends_changes
        self._pushed_at = 0.0
        self._is_synchronized = False

    async def is_leader(self) -> bool:
        """Return whether this process is the one that pushes. A thread asks where files tell, which may block."""
        if isinstance(self.lead, AlwaysLeader):
            return True
        try:
            return await to_thread.run_sync(self.lead.is_leader, limiter=CapacityLimiter(1))
        except Exception as error:  # noqa: BLE001  # a storage of the program's own, or a directory that was removed
            pass_interruption(error)
            self.sender.note_mistake(error)
            return False

    async def collect(self, seconds: float) -> Payload:
        """Collect for about ``seconds`` at most, and encode in turns of the loop. Raises what the sink raises."""
        families = await gather_families(self._registry, frozenset(), self._registry, "skip", seconds)
        chosen = families if self._select is None else filter(self._select, families)
        steps: object = self.sink.encode_in_steps(chosen, time(), await self.identity.find(self.lead.group))
        if not isinstance(steps, Generator):
            raise self._make_refusal("a generator, which has a yield", steps)
        payload: object = await run_in_turns(steps)
        if not isinstance(payload, Payload):
            raise self._make_refusal("return Payload(…) at its end", payload)
        return payload

    def _make_refusal(self, expected: str, value: object) -> DefinitionError:
        return DefinitionError(type(self.sink).__name__, f"encode_in_steps: expected {expected}, got {show(value)}")

    async def collect_to_send(self, seconds: float) -> Payload | None:
        """Do as `collect`; return None if there is nothing to send, or if it failed, which is counted and logged."""
        try:
            payload = await self._collect_in_turn(seconds)
            if not self._is_synchronized:
                self._is_synchronized = True
                if self.sink.sends_changes and self.lead.has_predecessor:
                    _mark_as_sent(payload)
                    return None
        except Exception as error:  # noqa: BLE001  # the next collection may succeed
            pass_interruption(error)
            self.sender.note_mistake(error)
            return None
        return payload

    async def _collect_in_turn(self, seconds: float) -> Payload:
        """Collect; first wait for the end of a send if that decides what has changed since."""
        if not self.sink.sends_changes:
            return await self.collect(seconds)
        async with self.take_turn_of_sink():
            return await self.collect(seconds)

    def is_obsolete(self, payload: Payload) -> bool:
        """Return whether `push` has sent what replaces ``payload``."""
        return self.replaces and payload.now <= self._pushed_at

    @asynccontextmanager
    async def take_turn_of_sink(self) -> AsyncIterator[None]:
        """Use the sink alone: neither another loop nor `Pusher.push` uses it meanwhile."""
        if self._process != os.getpid():  # a thread of the parent process may have used it
            self._process, self._busy = os.getpid(), threading.Lock()
        busy = self._busy
        while not busy.acquire(blocking=False):  # noqa: ASYNC110  # an event belongs to one loop
            await anyio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            busy.release()

    async def push(self, seconds: float) -> None:
        """Collect and send once. Raises `PushError` if a part was refused or could not be sent."""
        async with self.take_turn_of_sink():
            payload = await self.collect(seconds)
            self._pushed_at = payload.now  # before it is sent: a part of it may be
            refusal = await self.sender.send(payload)
        if refusal is not None:
            raise refusal

    def release(self) -> None:
        """Let another worker push, and another program have the number of this one."""
        self.identity.release()
        self.lead.release()
        self._is_synchronized = False


def _mark_as_sent(payload: Payload) -> None:
    for part in payload.parts:
        if part.on_sent is not None:
            part.on_sent()
