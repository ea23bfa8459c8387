"""Request totals: how many calls of clients a request makes, and how long they take together, by kind of client.

*Theory of operation.*

1. The middleware opens a `RequestTotals` for a request and puts it into `TOTALS`. Tasks and threads that the request
   starts inherit the context variable, and SQLAlchemy's greenlets share the context.
2. Each call of a client adds itself to the object when it ends (`asyncmetrics.metrics.calls`).
3. The middleware closes the object with the request, and reads it. A task that outlives the request adds nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import RLock
from typing import final
from weakref import WeakKeyDictionary

from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.storage.protocol import has_locks

__all__ = ("TOTALS", "RequestTotals", "add_kind", "list_kinds")

_KINDS: WeakKeyDictionary[CollectorRegistry, dict[str, None]] = WeakKeyDictionary()
"""The kinds of clients that have been measured in this process, by the registry of their metrics."""

_NEEDS_LOCKS = has_locks(None)
_lock = RLock()  # for interpreters without a GIL only; a finaliser may end a call while its thread has the lock


def add_kind(registry: CollectorRegistry, kind: str) -> None:
    """Note that a kind of clients is measured: the totals of a request without such a call are 0 from now on."""
    _KINDS.setdefault(registry, {})[kind] = None


def list_kinds(registry: CollectorRegistry) -> list[str]:
    """Return the kinds of clients whose metrics are in ``registry``."""
    return list(_KINDS.get(registry, ()))


@final
class RequestTotals:
    """The calls of one request: their number and their seconds, by kind."""

    __slots__ = ("counts", "is_open", "seconds")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.is_open = True

    def add(self, kind: str, seconds: float) -> None:
        """Add a call of ``kind`` that took ``seconds``, unless the request has ended."""
        if not self.is_open:
            return
        if _NEEDS_LOCKS:
            with _lock:
                self._add(kind, seconds)
        else:
            self._add(kind, seconds)

    def add_wait(self, kind: str, seconds: float) -> None:
        """Add the seconds that the request has waited before a call of ``kind``, such as for a connection of a pool."""
        if self.is_open:
            if _NEEDS_LOCKS:
                with _lock:
                    self._add_seconds(kind, seconds)
            else:
                self._add_seconds(kind, seconds)

    def _add_seconds(self, kind: str, seconds: float) -> None:
        try:
            self.seconds[kind] += seconds
        except KeyError:
            self.seconds.setdefault(kind, 0.0)
            self.seconds[kind] += seconds

    def _add(self, kind: str, seconds: float) -> None:
        # No call between a look-up and its assignment, so no thread comes in between: `asyncmetrics.children` has why.
        try:
            self.counts[kind] += 1
        except KeyError:
            self.counts.setdefault(kind, 0)
            self.counts[kind] += 1
        self._add_seconds(kind, seconds)


TOTALS: ContextVar[RequestTotals | None] = ContextVar("asyncmetrics_totals", default=None)
"""The totals of the request that a context belongs to."""
