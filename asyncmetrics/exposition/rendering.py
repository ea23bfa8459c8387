"""From families to bytes, in the negotiated format, restricted to the requested names, and compressed if accepted.

*Terms.* A *piece* is the result of one short step of work. A *chunk* is what is sent at once: pieces joined to about
64 KiB.

*Rules.*

1. Make a piece only when the caller asks for it: the caller decides when to work, and stops the work by closing the
   iterator.
2. Pass empty pieces on. An empty piece says that a step has ended, so that a turn of the loop can end there.
3. Gather the families and render the first chunk before the first byte is sent: until then a fault can be answered with
   a status.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from asyncmetrics.formats.negotiation import Format
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import find_self_metrics, select_part

__all__ = ("Chunk", "Rendering")


# Level 1 takes a third of the time of level 6 for text that shrinks to less than a tenth either way.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of asking for gzip's header and trailer
# A format may write lines that belong together as one piece; compressing a piece must fit into a turn.
_MAX_PIECE_BYTES = 128 * 1024
# Large enough that sending costs little beside rendering, small enough that a slow client holds little memory.
_CHUNK_BYTES = 64 * 1024


@final
@dataclass(frozen=True, slots=True)
class Rendering:
    """What to render: the ``format``, the sample ``names`` (none means all), and whether to compress with ``gzip``.

    ``seconds`` is how long the collectors may take.
    """

    format: Format
    names: frozenset[str]
    gzip: bool
    seconds: float

    def select_source(self, registry: Collectable) -> Collectable:
        """Return ``registry``, or with ``names`` the part of it whose collectors have them."""
        return select_part(registry, self.names) if self.names else registry

    def render_pieces(self, families: Iterable[Metric], registry: Collectable) -> Iterator[bytes]:
        """Yield the body piece by piece; empty pieces are steps as well. ``registry`` counts what is left out."""
        on_omitted = find_self_metrics(registry).count_omitted_sample
        pieces = _limit_pieces(self.format.encode(self._select(families) if self.names else families, on_omitted))
        return _compress(pieces) if self.gzip else pieces

    def render_chunks(self, families: Iterable[Metric], registry: Collectable) -> Iterator[bytes]:
        """Yield the body in chunks, none of which is empty. ``registry`` counts what is left out."""
        chunk = Chunk()
        for piece in self.render_pieces(families, registry):
            chunk.add(piece)
            if chunk.is_full():
                yield chunk.take()
        if last := chunk.take():
            yield last

    def _select(self, families: Iterable[Metric]) -> Iterator[Metric]:
        parts = (family.restrict(self.names) for family in families)
        return (part for part in parts if part is not None)


@final
class Chunk:
    """Pieces that are sent together."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        self._pieces.append(piece)
        self._size += len(piece)

    def is_full(self) -> bool:
        """Return whether the chunk has reached the size at which it is sent."""
        return self._size >= _CHUNK_BYTES

    def take(self) -> bytes:
        """Return the pieces as one, and empty the chunk."""
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return joined


def _limit_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``pieces``, the long ones cut to at most 128 KiB."""
    for piece in pieces:
        if len(piece) <= _MAX_PIECE_BYTES:  # rule 2: empty ones too
            yield piece
        else:
            yield from (piece[start : start + _MAX_PIECE_BYTES] for start in range(0, len(piece), _MAX_PIECE_BYTES))


def _compress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        yield stream.compress(piece)
    yield stream.flush()
