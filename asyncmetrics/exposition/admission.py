"""A limit on the scrapes or connections that are served at a time, which no idle client can exhaust.

*Terms.* A *holder* is a scrape or a connection that is served and so holds a ticket. An *applicant* is a new scrape or
connection that asks for a ticket.

*Rules.*

1. Mark every wait of a holder for its client or its collectors on its ticket (`Ticket.track_wait`).
2. Never displace a holder that makes progress.
3. Refuse an applicant only if no holder has waited longer than its own patience: a limit that clients could hold
   without using it would shut out the scraper.

*Theory of operation.*

1. A ticket is free. An applicant takes it at once.
2. All tickets are held. The applicant displaces the holder that has waited longest beyond its patience, if one has.
3. No holder has lost its patience. The applicant displaces the holder that would wait longest for its collectors, if
   that is longer than the applicant would wait for its own (and than 7.5 s).
4. No such holder either. A connection is refused (`Admission.admit`). A scrape waits for up to 0.75 s if a holder's
   patience ends within that time and few others wait, and is refused otherwise (`Admission.admit_soon`).
5. A displaced holder is cancelled. It has lost its ticket already, and releases it once more without effect.
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
"""How long a client may take for one chunk before an applicant may displace it.

A round trip to the other side of the earth takes about as long, and a healthy scraper reads at once.
"""

# Three stalls, so that a scrape has its answer within a second beside clients that read nothing (scripts/hostile.py).
_LONGEST_WAIT_SECONDS = 0.75
# The collectors' share of Prometheus' default scrape timeout, 0.75 of 10 s (`response`). An applicant that is in a
# greater hurry than this does not displace a scrape with the default.
_USUAL_GATHERING_SECONDS = 7.5
_RETRY_SECONDS = 0.02  # at most this much is added to the wait of a scrape


@final
class Ticket:
    """The right to be served under a limit; ``is_displaced`` says whether an applicant has taken it over."""

    def __init__(self, cancel: Callable[[], object], deadline: float) -> None:
        self.is_displaced = False
        self.cancel = cancel
        self.gathers_until = -inf
        self._displaceable_at = inf
        self._deadline = deadline

    @contextmanager
    def track_wait(self, patience_seconds: float) -> Iterator[None]:
        """Let an applicant displace the holder once the ``with`` block has taken longer than ``patience_seconds``."""
        self._displaceable_at = time.monotonic() + patience_seconds
        try:
            yield
        finally:
            self._displaceable_at = inf

    @contextmanager
    def track_gathering(self) -> Iterator[None]:
        """Let an applicant whose collectors have an earlier deadline displace the holder during the ``with`` block."""
        self.gathers_until = self._deadline
        try:
            yield
        finally:
            self.gathers_until = -inf

    @property
    def displaceable_at(self) -> float:
        """When an applicant may displace the holder, on the monotonic clock; infinity unless the holder waits."""
        return self._displaceable_at


@final
class Admission:
    """At most ``limit`` tickets at a time, on one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._tickets: set[Ticket] = set()
        self._waiting_applicants = 0

    def admit(self, cancel: Callable[[], object], gathering_seconds: float = inf) -> Ticket | None:
        """Return a ticket, or None if every ticket is held and no holder can be displaced.

        ``cancel`` is called when the holder is displaced. ``gathering_seconds`` is how long its collectors may take.
        """
        deadline = time.monotonic() + max(gathering_seconds, _USUAL_GATHERING_SECONDS)
        if len(self._tickets) >= self.limit and not self.displace() and not self._displace_patient(deadline):
            return None
        ticket = Ticket(cancel, deadline)
        self._tickets.add(ticket)
        return ticket

    async def admit_soon(self, cancel: Callable[[], object], gathering_seconds: float) -> Ticket | None:
        """Do as `admit`, but wait for up to 0.75 s if the patience of a holder ends within that time.

        No more applicants wait at a time than can get a ticket in 0.75 s.
        """
        last = time.monotonic() + _LONGEST_WAIT_SECONDS
        most_applicants = self.limit * _LONGEST_WAIT_SECONDS / STALLED_SECONDS
        while (ticket := self.admit(cancel, gathering_seconds)) is None:
            displaceable_at = min((ticket.displaceable_at for ticket in self._tickets), default=inf)
            if displaceable_at > last or self._waiting_applicants >= most_applicants:
                return None
            self._waiting_applicants += 1
            try:
                await sleep(_RETRY_SECONDS)
            finally:
                self._waiting_applicants -= 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Take a ticket back. The ticket of a displaced holder is gone already, which is no error."""
        self._tickets.discard(ticket)

    def displace(self) -> bool:
        """Cancel the holder that has waited longest beyond its patience; return whether there was one."""
        longest = min(self._tickets, key=lambda ticket: ticket.displaceable_at, default=None)
        if longest is None or longest.displaceable_at > time.monotonic():
            return False
        return self._cancel(longest)

    def _displace_patient(self, deadline: float) -> bool:
        """Cancel the holder that would wait longest for collectors, if that is beyond ``deadline``."""
        longest = max(self._tickets, key=lambda ticket: ticket.gathers_until, default=None)
        return longest is not None and longest.gathers_until > deadline and self._cancel(longest)

    def _cancel(self, ticket: Ticket) -> bool:
        self._tickets.discard(ticket)
        ticket.is_displaced = True
        ticket.cancel()
        return True
