"""`Pending`: the payloads that were collected and not sent yet, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import final

from asyncmetrics.bridges.push.sink import Payload

__all__ = ("MOST_BYTES", "Pending")

MOST_BYTES = 64 << 20
"""What waits in memory at most, if it is more than one payload: 64 MiB."""

_STEP = 50  # parts that are freed in one step of an event loop: 0.15 ms for those of StatsD


@final
class Pending:
    """Payloads that wait: at most ``most`` of them, and `MOST_BYTES` unless there is only one.

    The oldest one is dropped where there are more, and ``on_dropped`` is called with the number of dropped payloads. If
    the newest one ``replaces`` all others, only it is kept, and nothing counts as dropped.
    """

    def __init__(self, most: int, *, replaces: bool, on_dropped: Callable[[int], object]) -> None:
        self._most = most
        self._replaces = replaces
        self._on_dropped = on_dropped
        self._payloads: deque[Payload] = deque()
        self._dropped: list[Payload] = []

    def __len__(self) -> int:
        return len(self._payloads)

    def add(self, payload: Payload) -> None:
        """Add the newest payload."""
        if self._replaces:
            self._dropped += self._payloads
            self._payloads.clear()
        self._payloads.append(payload)
        self._drop_oldest()

    def take(self) -> Payload:
        """Remove and return the oldest payload, to send it."""
        return self._payloads.popleft()

    def put_back(self, payload: Payload) -> None:
        """Add a payload again that `take` has returned and that could not be sent."""
        if self._replaces and self._payloads:
            self.discard(payload)
        else:
            self._payloads.appendleft(payload)
            self._drop_oldest()

    def discard(self, payload: Payload) -> None:
        """Free a payload that `take` has returned and that is useless, with the next `free_in_steps`."""
        self._dropped.append(payload)

    def drop_all_but(self, number: int) -> int:
        """Drop the oldest payloads until ``number`` are left; return how many were dropped."""
        dropped = max(0, len(self._payloads) - number)
        for _ in range(dropped):
            self._dropped.append(self._payloads.popleft())
        if dropped:
            self._on_dropped(dropped)
        return dropped

    def free_in_steps(self) -> Iterator[None]:
        """Free the memory of what was dropped: 100,000 series of StatsD in one step would hold a loop for 15 ms."""
        while self._dropped:
            parts = self._dropped[-1].parts
            for _ in range(min(_STEP, len(parts))):
                parts.pop()
            if not parts:
                self._dropped.pop()
            yield

    def _drop_oldest(self) -> None:
        if len(self._payloads) == 1:  # to add up the sizes of 6,000 datagrams takes 0.5 ms
            return
        sizes = [payload.size for payload in self._payloads]
        fitting, total = 0, 0
        for size in reversed(sizes):
            total += size
            if fitting == self._most or (fitting and total > MOST_BYTES):
                break
            fitting += 1
        self.drop_all_but(fitting)
