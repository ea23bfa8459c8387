"""An index of many keys that grows in small steps, where a dict would insert all its keys again in one.

Here a *bucket* is one of a hash table, not of a histogram.

*Theory of operation.* This is extendible hashing (Fagin et al., 1979). A directory of ``2**depth`` entries refers to
*buckets*, which are dicts. The lowest ``depth`` bits of a key's hash choose the entry, and so the bucket. Several
entries may refer to one bucket: if all its keys share ``own depth`` bits, these are ``2**(depth - own depth)`` entries.
The states of a bucket at an insertion, which splits one bucket at most:

1. *Not full*: the bucket has no more keys than its limit. Insert the key; if the limit is exceeded then: state 2.
2. *Full*, with more than one entry: state 3. With one entry (its own depth is ``depth``), first double the directory,
   which copies references: now every bucket has twice as many entries.
3. *Split*: the next bit of the hash divides the keys between two new buckets with one more bit of own depth. Each gets
   half of the entries, and is in state 1 with its own limit.

Hashes fill all buckets equally. The limits are different, so that the buckets do not all split at one time.

The last growth of a dict with a million keys takes 67 ms; a split takes 0.2 ms. An index of few keys is one dict.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar, final

__all__ = ("Index",)

_MIN_LIMIT = 512  # the smallest limit of a bucket; the largest is twice that, and takes 0.2 ms to split
_SCATTER = 0x9E3779B1  # 2**32 divided by the golden ratio, which is odd: neighbours get limits that are far apart
_MAX_DEPTH = 24  # keys with equal hashes cannot be split; their bucket grows beyond its limit

K = TypeVar("K", bound=Hashable)


@final
class Index(Generic[K]):
    """The ordinals of keys."""

    __slots__ = ("_directory", "_mask", "_shapes")

    def __init__(self) -> None:
        self._directory: list[dict[K, int]] = [{}]
        self._shapes: dict[int, tuple[int, int]] = {}  # by the bucket's id, its limit and its own depth
        self._mask = 0

    def get(self, key: K) -> int | None:
        """Return the ordinal of ``key``, None if it has none."""
        return self._directory[hash(key) & self._mask].get(key)

    def setdefault(self, key: K, number: int) -> int:
        """Return the ordinal of ``key``, which becomes ``number`` if it has none."""
        bucket = self._directory[hash(key) & self._mask]
        stored = bucket.setdefault(key, number)
        if len(bucket) > _MIN_LIMIT and stored == number:
            limit, depth = self._shapes.get(id(bucket), (_MIN_LIMIT, 0))
            if len(bucket) > limit and depth < _MAX_DEPTH:
                self._split(bucket, depth)
        return stored

    def __len__(self) -> int:
        return sum(map(len, self.list_buckets()))

    def list_buckets(self) -> list[dict[K, int]]:
        """Return the buckets, each of them once."""
        return list({id(bucket): bucket for bucket in self._directory}.values())

    def pop_buckets(self) -> list[dict[K, int]]:
        """Return the buckets, each of them once, and forget all keys."""
        buckets = self.list_buckets()
        self._directory, self._shapes, self._mask = [{}], {}, 0
        return buckets

    def _split(self, bucket: dict[K, int], depth: int) -> None:
        directory = self._directory
        if depth == len(directory).bit_length() - 1:
            directory.extend(directory[:])
            self._mask = len(directory) - 1
        bit = 1 << depth
        halves: tuple[dict[K, int], dict[K, int]] = ({}, {})
        for key, number in bucket.items():
            halves[hash(key) >> depth & 1][key] = number
        first = hash(next(iter(bucket))) & (bit - 1)
        for entry in range(first, len(directory), bit):
            directory[entry] = halves[entry >> depth & 1]
        self._shapes.pop(id(bucket), None)
        for half, entry in zip(halves, (first, first | bit), strict=True):
            self._shapes[id(half)] = _MIN_LIMIT + (entry * _SCATTER >> 16) % _MIN_LIMIT, depth + 1
