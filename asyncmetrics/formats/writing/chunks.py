"""Joins rendered text into chunks of bytes, each of which is a short step for an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ("join_bytes", "join_chunks")

T = TypeVar("T", str, bytes)

# A chunk is the work of about half a millisecond, which an event loop can bear: benchmarks/scrape.py.
_CHUNK_LENGTH = 16 * 1024
_CHUNK_PIECES = 32


def join_chunks(pieces: Iterable[str | None]) -> Iterator[bytes]:
    """Yield ``pieces`` of text in chunks of about 16 KiB or of 32 pieces, whichever is reached first.

    A piece may be empty: it stands for work that led to no text. None ends the chunk, for work that took as long as a
    chunk may take; a chunk may therefore be empty.
    """
    return ("".join(chunk).encode("utf-8", "replace") for chunk in _gather_chunks(pieces))


def join_bytes(pieces: Iterable[bytes | None]) -> Iterator[bytes]:
    """Yield ``pieces`` of bytes in chunks, as `join_chunks` does with text."""
    return (b"".join(chunk) for chunk in _gather_chunks(pieces))


def _gather_chunks(pieces: Iterable[T | None]) -> Iterator[list[T]]:
    pending: list[T] = []
    size = 0
    for piece in pieces:
        if piece is not None:
            pending.append(piece)
            size += len(piece)
        if piece is None or size >= _CHUNK_LENGTH or len(pending) >= _CHUNK_PIECES:
            yield pending
            pending.clear()
            size = 0
    if pending:
        yield pending
