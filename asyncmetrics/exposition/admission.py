"""How many are served at a time, and which of them makes room for a newcomer.

*Rules.* A limit must not be a lock: a client that keeps its place without using it would shut out all others. So a
newcomer displaces the one that has waited longest, for its client or for a collector, beyond its patience. What makes
progress is never displaced; where everything does, the newcomer is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import final

from anyio import sleep

__all__ = ("STALLED_SECONDS", "Admission", "Ticket")

STALLED_SECONDS = 0.25
"""How long a client may take for one chunk before a newcomer may have its place."""

_LONGEST_WAIT_SECONDS = 0.75
# What a scraper that announces nothing gives its collectors: one in a greater hurry displaces no such scrape.
_USUAL_SECONDS = 7.5
_LOOK_AGAIN_SECONDS = 0.02


@final
class Ticket:
    """One place under a limit; ``is_displaced`` says that a newcomer has got it."""

    def __init__(self, cancel: Callable[[], object], until: float) -> None:
        self.is_displaced = False
        self.cancel = cancel
        self.until = -inf
        self._due = inf
        self._until = until

    @contextmanager
    def waiting(self, patience: float) -> Iterator[None]:
        """Wait for something that may never come: after ``patience`` seconds a newcomer may have the place."""
        self._due = time.monotonic() + patience
        try:
            yield
        finally:
            self._due = inf

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Wait for collectors: a newcomer that would wait less long for them may have the place at once."""
        self.until = self._until
        try:
            yield
        finally:
            self.until = -inf

    @property
    def due(self) -> float:
        """When a newcomer may have the place, on the monotonic clock; infinity while nothing is waited for."""
        return self._due


@final
class Admission:
    """At most ``limit`` tickets at a time, on one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._tickets: set[Ticket] = set()
        self._newcomers = 0

    def admit(self, cancel: Callable[[], object], seconds: float = inf) -> Ticket | None:
        """Return a ticket, None if all places are in use; ``cancel`` is called when a newcomer gets the place.

        ``seconds`` are what its collectors may take.
        """
        until = time.monotonic() + max(seconds, _USUAL_SECONDS)
        if len(self._tickets) >= self.limit and not self.displace() and not self._displace_patient(until):
            return None
        ticket = Ticket(cancel, until)
        self._tickets.add(ticket)
        return ticket

    async def admit_soon(self, cancel: Callable[[], object], seconds: float) -> Ticket | None:
        """Do as `admit`, but wait where one of the others is about to lose its patience.

        A newcomer waits for less than a second, and no more of them wait than can have a place in that time.
        """
        last = time.monotonic() + _LONGEST_WAIT_SECONDS
        most = self.limit * _LONGEST_WAIT_SECONDS / STALLED_SECONDS
        while (ticket := self.admit(cancel, seconds)) is None:
            due = min((ticket.due for ticket in self._tickets), default=inf)
            if due > last or self._newcomers >= most:
                return None
            self._newcomers += 1
            try:
                await sleep(_LOOK_AGAIN_SECONDS)
            finally:
                self._newcomers -= 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Take back a ticket; one that was displaced is no error."""
        self._tickets.discard(ticket)

    def displace(self) -> bool:
        """Cancel the one that has waited longest beyond its patience; return whether there is one."""
        longest = min(self._tickets, key=lambda ticket: ticket.due, default=None)
        if longest is None or longest.due > time.monotonic():
            return False
        return self._take_from(longest)

    def _displace_patient(self, until: float) -> bool:
        """Cancel the one that would wait longest for collectors, if that is longer than ``until``."""
        longest = max(self._tickets, key=lambda ticket: ticket.until, default=None)
        return longest is not None and longest.until > until and self._take_from(longest)

    def _take_from(self, ticket: Ticket) -> bool:
        self._tickets.discard(ticket)
        ticket.is_displaced = True
        ticket.cancel()
        return True
