"""Long lists in pages, which grow, are copied and are freed one page at a time.

*Rules.* A list of a million references takes 8 ms to copy, and its items take 100 ms to free; an event loop must wait
for neither. To share pages, copy the list of pages, which is short. Never remove a page from a list that other code
uses.

*Theory of operation.* The states of a page:

1. *In use*: one or more lists of pages refer to it.
2. *Unused*: the owner of a list needs it no longer and passes it to `UnusedPages.add`. The page is still in memory.
3. *Released*: a step of `UnusedPages.release` has removed it from that list. If another list refers to it, it is in use
   as before; otherwise Python frees it in this step, which is why a step releases a few pages only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence, Sized
from itertools import chain
from typing import Any, Generic, TypeVar, final

__all__ = ("MASK", "PAGE", "SHIFT", "TEXTS", "Pages", "UnusedPages")

SHIFT = 12
PAGE = 1 << SHIFT
"""The items in one page; its objects take at most 0.4 ms to free."""
MASK = PAGE - 1
TEXTS = 64
"""The texts in one page: the garbage collector visits up to 700 new pages at once, which takes 1.5 ms with 64 each."""

T = TypeVar("T")


@final
class Pages(Generic[T]):
    """A list that only grows. All ``pages`` but the last hold ``size`` items; ``new`` makes an empty page.

    A page that is a list becomes a tuple when it is full. The garbage collector visits a tuple of texts once, but a
    list at each of its runs.
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


@final
class UnusedPages:
    """Lists of pages that nothing needs any more, until `release` has released them."""

    def __init__(self) -> None:
        self._lists: list[Any] = []

    def add(self, lists: Iterable[list[Any]]) -> None:
        """Take over lists of pages (lists, dicts or arrays); nothing else may use these lists, only their pages."""
        self._lists.extend(lists)

    def release(self) -> Iterator[tuple[()]]:
        """Release all pages, a few at each step. Several callers may do so in turn."""
        work = 0  # objects that this step has freed
        while self._lists:
            pages = self._lists[-1]
            if pages:
                work += _count_objects(pages.pop())
            else:
                self._lists.pop()
            if work >= PAGE:
                yield ()
                work = 0


def _count_objects(page: Sized) -> int:
    """Return how many objects take as long to free as a page does."""
    # An array is one block of memory: freeing 16 of its numbers takes about as long as freeing one object.
    return len(page) if isinstance(page, (list, tuple, dict)) else len(page) >> 4
