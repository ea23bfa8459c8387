"""An index of many keys that grows a little at a time, where one dict would insert all its keys again at once.

*Theory of operation.* This is extendible hashing (Fagin et al., 1979). A directory of 2**depth entries names the part
that has a key, by the lowest bits of the key's hash. A part is a dict, and several entries may name the same one:
2**(depth - own depth) of them. Inserting a key into a full part takes these steps.

1. The part is full: it has as many keys as it may have, all of which share as many low bits as its own depth.
2. If its own depth is the directory's, the directory is doubled, which copies references: each part has two entries.
3. The next bit of the hash divides the keys between two new parts, one bit deeper.
4. Half of the entries that named the old part name the one, half the other.

Hashes fill all parts alike. Each part therefore has a limit of its own, so that they are not full all at one time.

One dict of a million keys takes 67 ms for its last growth; a part takes 0.2 ms to split. An index of few keys is one
dict.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar, final

__all__ = ("Index",)

_LEAST = 512  # the smallest limit of a part; the largest is twice that
_SCATTER = 0x9E3779B1  # 2**32 divided by the golden ratio, which is odd: neighbours get limits that are far apart
_DEEPEST = 24  # keys of one and the same hash cannot be divided, so a part of them just grows

K = TypeVar("K", bound=Hashable)


@final
class Index(Generic[K]):
    """The numbers of keys."""

    __slots__ = ("_directory", "_mask", "_shapes")

    def __init__(self) -> None:
        self._directory: list[dict[K, int]] = [{}]
        self._shapes: dict[int, tuple[int, int]] = {}  # by the part's id, its limit and its own depth
        self._mask = 0

    def get(self, key: K) -> int | None:
        """Return the number of ``key``, None if it has none."""
        return self._directory[hash(key) & self._mask].get(key)

    def setdefault(self, key: K, number: int) -> int:
        """Return the number of ``key``, which becomes ``number`` if it has none."""
        part = self._directory[hash(key) & self._mask]
        found = part.setdefault(key, number)
        if len(part) > _LEAST and found == number:
            limit, depth = self._shapes.get(id(part), (_LEAST, 0))
            if len(part) > limit and depth < _DEEPEST:
                self._split(part, depth)
        return found

    def __len__(self) -> int:
        return sum(map(len, self.parts()))

    def parts(self) -> list[dict[K, int]]:
        """Return the dicts that the keys are in, each of them once."""
        return list({id(part): part for part in self._directory}.values())

    def drain(self) -> list[dict[K, int]]:
        """Return the dicts that the keys are in, each of them once, and forget all keys."""
        parts = self.parts()
        self._directory, self._shapes, self._mask = [{}], {}, 0
        return parts

    def _split(self, part: dict[K, int], depth: int) -> None:
        directory = self._directory
        if depth == len(directory).bit_length() - 1:
            directory.extend(directory[:])
            self._mask = len(directory) - 1
        bit = 1 << depth
        halves: tuple[dict[K, int], dict[K, int]] = ({}, {})
        for key, number in part.items():
            halves[hash(key) >> depth & 1][key] = number
        first = hash(next(iter(part))) & (bit - 1)
        for entry in range(first, len(directory), bit):
            directory[entry] = halves[entry >> depth & 1]
        self._shapes.pop(id(part), None)
        for half, entry in zip(halves, (first, first | bit), strict=True):
            self._shapes[id(half)] = _LEAST + (entry * _SCATTER >> 16) % _LEAST, depth + 1
