"""Long lists in pages: they grow, are copied and are released one page at a time.

*Rules.* A list of a million references takes 8 ms to copy, and its items take 100 ms to free; an event loop must wait
for neither. A holder that shares pages with others copies the list of pages, which is short, and never removes a page
from a list that others use.

*Theory of operation.* Python frees an object when the last reference to it is dropped. A list of pages that is of no
more use therefore goes to a `Spent`, which drops a few pages at each step; the last holder of a page frees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar, final

__all__ = ("MASK", "PAGE", "SHIFT", "TEXTS", "Pages", "Spent")

SHIFT = 12
PAGE = 1 << SHIFT
MASK = PAGE - 1
TEXTS = 64
"""How many texts are in one page: the collector meets 700 new pages at a time, 1.5 ms with so many in each."""

T = TypeVar("T")


@final
class Pages(Generic[T]):
    """A list that only grows; ``pages`` of ``size`` items are full but for the last. ``new`` makes an empty page.

    A list that is full becomes a tuple. The garbage collector visits a tuple of texts once, but a list each time.
    """

    __slots__ = ("_new", "_size", "_tail", "pages")

    def __init__(self, size: int = TEXTS, new: Callable[[], MutableSequence[T]] = list) -> None:
        self._size = size
        self._new = new
        self.pages: list[Sequence[T]] = []
        self._tail: MutableSequence[T] | None = None

    def append(self, item: T) -> None:
        """Add ``item`` at the end."""
        tail = self._tail
        if tail is None or len(tail) >= self._size:
            if isinstance(tail, list):
                self.pages[-1] = tuple(tail)
            tail = self._tail = self._new()
            self.pages.append(tail)
        tail.append(item)

    def get_slice(self, piece: slice) -> Sequence[T]:
        """Return the items of a slice."""
        page, start = divmod(piece.start, self._size)
        stop = start + piece.stop - piece.start
        items: Sequence[T] = self.pages[page]
        if stop > self._size:
            items = list(chain.from_iterable(self.pages[page : page + -(-stop // self._size)]))
        return items[start:stop]

    def __len__(self) -> int:
        return (len(self.pages) - 1) * self._size + len(self.pages[-1]) if self.pages else 0

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self.pages)


class _Page(Protocol):
    def __len__(self) -> int: ...


@final
class Spent:
    """Lists of pages that are of no more use, until `release` has dropped them."""

    def __init__(self) -> None:
        self._lists: list[Any] = []

    def add(self, lists: Iterable[list[Any]]) -> None:
        """Take lists of pages (lists, dicts or arrays) that nothing else uses."""
        self._lists.extend(lists)

    def release(self) -> Iterator[tuple[()]]:
        """Drop all pages, a few at each step. Several may do so at a time, step by step."""
        work = 0
        while self._lists:
            pages = self._lists[-1]
            if pages:
                work += _work(pages.pop())
            else:
                self._lists.pop()
            if work >= PAGE:
                yield ()
                work = 0


def _work(page: _Page) -> int:
    """Return what it costs to free a page, in objects: an array is one block of memory, of many numbers."""
    return len(page) if isinstance(page, (list, tuple, dict)) else len(page) >> 4
