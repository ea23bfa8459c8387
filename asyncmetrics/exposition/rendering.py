"""From families to bytes, in the format, the selection and the compression that were asked for.

*Rules.* The bytes come in pieces, each the work of a moment, and a piece is made when it is asked for: whoever drives
the iterator decides when, and stops the work by letting go of it. What is sent are chunks, joined from pieces. The
families are gathered, and the first chunk is made, before the first byte is sent, so that what fails until then can
still be told by a status.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from asyncmetrics.formats.negotiation import Format
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import check_escaping
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import Collectable, CollectorRegistry

__all__ = ("Chunk", "Rendering", "text_pieces")


# Level 1 takes a third of the time of level 6 for text that shrinks to less than a tenth either way.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# A format may write what belongs together as one piece; compressing that must not take long.
_MAX_PIECE = 128 * 1024
_CHUNK = 64 * 1024


@final
@dataclass(frozen=True, slots=True)
class Rendering:
    """What to render: the ``format``, the sample ``names`` that are wanted (none means all), and whether as gzip.

    ``seconds`` are what whoever asked gives the collectors.
    """

    format: Format
    names: frozenset[str]
    gzip: bool
    seconds: float

    def source(self, registry: Collectable) -> Collectable:
        """Return what has to be collected: with names, only the collectors of a registry that have them."""
        if self.names and isinstance(registry, CollectorRegistry):
            return registry.restricted_registry(self.names)
        return registry

    def pieces(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Yield the body, piece by piece. An empty piece says that a step of the work is done, as any other does."""
        wanted = self._wanted(families) if self.names else families
        encoded = _cut(self.format.encode(wanted))
        return _compressed(encoded) if self.gzip else encoded

    def chunks(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Yield the body in chunks, none of which is empty."""
        chunk = Chunk()
        for piece in self.pieces(families):
            chunk.add(piece)
            if chunk.is_full():
                yield chunk.take()
        if last := chunk.take():
            yield last

    def _wanted(self, families: Iterable[Metric]) -> Iterator[Metric]:
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
        """Tell whether the chunk is as large as chunks should be."""
        return self._size >= _CHUNK

    def take(self) -> bytes:
        """Return what there is, and begin anew."""
        whole = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return whole


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) <= _MAX_PIECE:  # empty ones too: a turn of the loop may end after each
            yield piece
        else:
            yield from (piece[start : start + _MAX_PIECE] for start in range(0, len(piece), _MAX_PIECE))


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        yield stream.compress(piece)
    yield stream.flush()


def text_pieces(registry: Collectable, escaping: str) -> Iterator[bytes]:
    """Collect ``registry`` and yield it in the text format 0.0.4, for those who need no negotiation."""
    check_escaping(escaping)
    return encode_text(registry.collect(), escaping=escaping)
