"""Blocks: the cells in which a native histogram shows its buckets to other workers.

A block has a schema and a zero threshold, and `PAIRS` pairs of a bucket's key (`asyncmetrics.model.native`) and its
count. A histogram has as many blocks as it needs. They are the series of the part `BUCKETS` of its metric.

*Rules.* Write the key of a pair while its count is 0, and give it away once: a pair with the count 0 is as if it were
not there. So a process that is killed in between leaves no count in a wrong bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from asyncmetrics.model.native import MAX_SCHEMA, MIN_SCHEMA, ZERO, Stage
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.cells import Location
from asyncmetrics.storage.shared.files.definition import BUCKETS, PAIRS
from asyncmetrics.storage.shared.files.keys import Key
from asyncmetrics.storage.shared.files.layout import Doubles

__all__ = ("Block", "make_block", "open_blocks", "read_block")

_SCHEMAS = frozenset(map(float, range(MIN_SCHEMA, MAX_SCHEMA + 1)))
_FIRST_PAIR, _PAIRS_END = 2, 2 + 2 * PAIRS


@final
class Block:
    """A block of this process's arena: ``cells[at]`` is its first cell, ``used`` how many pairs are given away."""

    __slots__ = ("at", "cells", "schema", "used")

    def __init__(self, cells: Doubles, at: int) -> None:
        self.cells, self.at = cells, at
        self.schema = int(cells[at])
        self.used = max((pair + 1 for pair in range(PAIRS) if cells[self._locate(pair)]), default=0)

    @property
    def zero_threshold(self) -> float:
        """The zero threshold, which may rise."""
        return self.cells[self.at + 1]

    @zero_threshold.setter
    def zero_threshold(self, threshold: float) -> None:
        self.cells[self.at + 1] = threshold

    def _locate(self, pair: int) -> int:
        return self.at + _FIRST_PAIR + 2 * pair + 1

    def take_pair(self, key: int) -> Location | None:
        """Return where the count of the bucket ``key`` is from now on; None if the block is full."""
        if self.used >= PAIRS:
            return None
        at = self._locate(self.used)
        self.used += 1
        self.cells[at - 1] = float(key)
        return Location(self.cells, at)

    def list_pairs(self) -> list[tuple[int, int]]:
        """Return the key of each pair that has a count, and the index of the cell of the count."""
        places = map(self._locate, range(PAIRS))
        return [(int(self.cells[at - 1]), at) for at in places if self.cells[at]]


def make_block(arena: Arena, family: Family, owner: Key, schema: int, zero_threshold: float) -> Block:
    """Publish a block of the series ``owner``; an exception may leave one that is not used. Raises OSError."""
    part = arena.open_part(family, BUCKETS)
    key = (*owner, str(1 + max((int(key[-1]) for key in part.owned.get(owner, ())), default=-1)))
    number, (cells, at) = arena.reserve(part, key)
    cells[at], cells[at + 1] = float(schema), zero_threshold
    cells[at + part.definition.presence] = 1.0
    arena.publish(part, key, number)
    return Block(cells, at)


def open_blocks(family: Family, owner: Key) -> list[Block]:
    """Return the blocks that the series ``owner`` has in the arena, without those of a schema that does not exist."""
    part = family.parts.get(BUCKETS)
    if part is None:
        return []
    locations = [part.locate(part.index[key]) for key in part.owned.get(owner, ())]
    return [Block(cells, at) for cells, at in locations if cells[at] in _SCHEMAS]


def read_block(cells: Sequence[float]) -> Stage | None:
    """Return what a block holds; None for a schema that does not exist."""
    if cells[0] not in _SCHEMAS:
        return None
    pairs = zip(cells[_FIRST_PAIR:_PAIRS_END:2], cells[_FIRST_PAIR + 1 : _PAIRS_END : 2], strict=True)
    # The count first: a pair that is not used has the key 0, which is that of a bucket as well.
    counts: Mapping[int, float] = {int(key): count for key, count in pairs if count > 0 and -ZERO < key <= ZERO}
    return int(cells[0]), cells[1], counts
