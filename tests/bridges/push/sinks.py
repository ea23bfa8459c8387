"""A sink that keeps what it is sent, and fails as a test wants."""

from __future__ import annotations

from collections import deque

import anyio

from asyncmetrics.bridges import Part, Payload, Sink
from asyncmetrics.errors import PushError

__all__ = ("KeepingSink", "refuse", "unavailable")


def unavailable(retry_after=None):
    """Return the error of a server that is down."""
    return PushError("POST", "http://sink", "the answer was 503", retry_after=retry_after)


def refuse(problem="the answer was 400"):
    """Return the error of a server that refuses a part for good."""
    return PushError("POST", "http://sink", problem, is_permanent=True)


class KeepingSink(Sink):
    """Each payload has ``parts`` parts, with the samples, the identity and the times of collection and sending.

    ``errors`` are raised at the next attempts, one each; None sends. ``duration`` is how long an attempt takes.
    """

    name = "kept"

    def __init__(self, errors=(), *, parts=1, duration=0.0):
        self.errors = deque(errors)
        self.is_down = False
        self.duration = duration
        self.attempts = []
        self.sent = []
        self.collected = []
        self.payloads = []
        self.senders = 0
        self.most_senders = 0
        self.closed = 0
        self._parts = parts

    def encode_in_steps(self, families, now, identity):
        samples = {}
        for family in families:
            samples |= {(sample.name, tuple(sample.labels.items())): sample.value for sample in family.samples}
            yield
        self.collected.append(samples)
        number = len(self.collected)
        parts = [Part(repr((number, part, identity)).encode(), len(samples)) for part in range(self._parts)]
        self.payloads.append(Payload(now, parts))
        return self.payloads[-1]

    async def send_part(self, part):
        self.attempts.append(anyio.current_time())
        self.senders += 1
        self.most_senders = max(self.most_senders, self.senders)
        try:
            await anyio.sleep(self.duration)
            error = self.errors.popleft() if self.errors else None
            if self.is_down:
                error = unavailable()
            if error is not None:
                raise error
            self.sent.append(eval(part.data, {"Identity": lambda **labels: labels}))  # noqa: S307  # what it wrote
        finally:
            self.senders -= 1

    async def close(self):
        self.closed += 1

    @property
    def numbers(self):
        """The numbers of the collections that were sent."""
        return [number for number, *_ in self.sent]
