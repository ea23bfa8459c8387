"""`Sink`: where a `Pusher` sends metrics, and `Payload`, what it sends there.

*Theory of operation.*

1. The pusher collects the families and calls `Sink.encode_in_steps`, which makes the payload of this moment: parts,
   each of which is one request, datagram or piece of a stream.
2. The pusher calls `Sink.send`. It sends part by part and removes each from the payload once it was sent.
3. A part fails with a `PushError`. If the error is permanent, the part is removed and counted, and the next one is
   sent. Otherwise the pusher waits and calls `Sink.send` again, which goes on with the part that failed.
4. The payload is empty: the push has ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.errors import DefinitionError
from asyncmetrics.formats.writing.omissions import OmissionHandler
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY
from asyncmetrics.registry.collectables import find_self_metrics

__all__ = ("Part", "Payload", "Sink", "check_sink")


@final
@dataclass(frozen=True, slots=True)
class Part:
    """What is sent at once: its bytes, how many samples they hold, and what to call once they were sent.

    ``version`` is for sinks that can encode for several versions of a protocol. ``pieces`` are the bytes instead of
    ``data`` if they are many: to join 10 MB would hold an event loop for 4 ms.
    """

    data: bytes
    samples: int = 0
    on_sent: Callable[[], object] | None = None
    version: int = 1
    pieces: Sequence[bytes] = ()


@final
class Payload:
    """The encoded metrics of one collection, at the Unix time ``now``. Parts that were sent are removed."""

    def __init__(self, now: float, parts: Iterable[Part] = ()) -> None:
        self.now = now
        self.parts = deque(parts)

    @property
    def size(self) -> int:
        """The number of bytes that were not sent yet."""
        pieces = [piece for part in self.parts if part.pieces for piece in part.pieces]
        return sum([len(part.data) for part in self.parts]) + sum(map(len, pieces))

    @property
    def samples(self) -> int:
        """The number of samples that were not sent yet."""
        return sum(part.samples for part in self.parts)


class Sink(ABC):
    """A system that metrics are pushed to. Derive from this class for one of your own.

    A sink encodes families (`encode_in_steps`) and sends a part (`send_part`).
    ``name`` is the label ``sink`` of the metrics about pushes. ``replaces`` is whether a newer payload makes older ones
    useless: then the pusher keeps only the newest one. ``sends_changes`` is whether a payload has what numbers have
    grown by: a worker that takes over from another one then begins with what it finds, which the other one has sent.
    """

    name: ClassVar[str]
    replaces: bool = False
    sends_changes: bool = False
    on_omitted: OmissionHandler | None = None
    """What is called for each sample that is left out: the pusher's registry counts it, or by default ``REGISTRY``."""

    def find_omission_handler(self) -> OmissionHandler:
        """Return `on_omitted`, or the function of ``REGISTRY`` that counts what is left out."""
        return self.on_omitted or find_self_metrics(REGISTRY).count_omitted_sample

    def encode(self, families: Iterable[Metric], now: float, identity: Identity | None = None) -> Payload:
        """Return the payload of ``families`` at the Unix time ``now``, all at once."""
        steps = self.encode_in_steps(families, now, identity or Identity.of_process())
        while True:
            try:
                next(steps)
            except StopIteration as end:
                payload: Payload = end.value
                return payload

    @abstractmethod
    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Do the same as `encode`, in steps of less than half a millisecond."""

    async def send(self, payload: Payload) -> None:
        """Send the parts of ``payload``, and remove each from it once it was sent.

        Raises `PushError` (an OSError) for the first part that fails; the payload still has it.
        """
        while payload.parts:
            part = payload.parts[0]
            await self.send_part(part)
            payload.parts.popleft()
            if part.on_sent is not None:
                part.on_sent()

    @abstractmethod
    async def send_part(self, part: Part) -> None:
        """Send one part. Raises `PushError` (an OSError) if that fails."""

    async def close(self) -> None:  # noqa: B027  # a sink without connections has nothing to do
        """Close the connections; the next `send` opens others."""


def check_sink(argument: str, sink: object, alternative: str = "") -> None:
    """Raise `DefinitionError` unless ``sink`` is a sink, which has a name."""
    if not isinstance(sink, Sink):
        expected = f"a sink such as asyncmetrics.bridges.remote_write.RemoteWrite(url){alternative}"
        raise make_refusal(argument, expected, sink, _advise_on_sink(sink))
    name = getattr(sink, "name", None)
    if not isinstance(name, str) or not name:
        kind = type(sink).__name__
        raise DefinitionError(kind, f"a sink needs a name for its metrics: write name = {kind.lower()!r} in the class")


def _advise_on_sink(sink: object) -> str:
    """Return what to write instead of something that is no sink."""
    match sink:
        case type():
            return f"write {sink.__name__}(…)"
        case str():
            return f"write RemoteWrite({sink!r}), or another sink of asyncmetrics.bridges"
        case list() | tuple():
            return "write one sink; start a Pusher for each other one"
        case _:
            return ""
