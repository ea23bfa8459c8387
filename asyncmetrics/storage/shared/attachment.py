"""How a child of shared storage is connected to the cells that it writes to.

*Theory of operation.* A child is in one of three states, which its attribute ``cells`` shows:

1. *Waiting*: ``cells`` is an `AttachOnWrite`. A new child starts here, and `SharedChild.reset_after_fork` leads here,
   with counts of zero, because the parent process still exposes the old ones. The child table attaches a new child at
   once. If an exception prevents that, or after a fork, the first write asks for it. A child that a forked process
   never writes to takes no cells.
2. *Attached*: ``cells`` is a mapped region of this worker's file, and ``index`` is the position of the child's first
   cell there. `SharedChild.attach` and `SharedChild.take_over` lead here. The cells may hold the counts of a dead
   worker whose slot this process took over; a counter, summary or histogram adds them to its own numbers and continues
   from the sum.
3. *Detached*: ``cells`` is `DETACHED_CELLS`. The child counts in its own attributes; nothing reads what it writes to
   ``cells``. `SharedChild.detach` leads here: when the series is removed, when there is no room for it, when the
   process shares nothing, and when the storage is closed. The numbers in the child's attributes stay. If the process
   gets a slot or new files later, the children of the table are attached. A removed child stays here for ever.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from operator import add
from typing import Any, Protocol
from weakref import ref

from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.layout import Cells, Doubles

__all__ = (
    "DETACHED_CELLS",
    "AttachOnWrite",
    "ClassicBuckets",
    "SharedChild",
    "SharedExemplars",
    "SharedTable",
    "get_shared_table",
    "is_attached",
    "is_waiting",
)


# A dict, because writing to its few keys costs no more than writing to cells. All detached children share it.
DETACHED_CELLS: dict[int, float] = {}


class AttachOnWrite:
    """The cells of a child that waits for some: a write asks the child table for them."""

    __slots__ = ("_asked", "_child")

    def __init__(self, child: SharedChild) -> None:
        self._child = ref(child)  # a child with a time to live is freed when nothing else refers to it
        self._asked: Any = None  # the work that does it, until it is done

    def __setitem__(self, index: int, value: float) -> None:
        """Attach the child. ``value`` is not stored here: the child holds it already, and `store` copies it."""
        child = self._child()
        assert child is not None  # it is writing
        self._asked = get_shared_table(child).attach_soon(child, self._asked)


class SharedExemplars(Protocol):
    """What a child of shared storage uses of `asyncmetrics.storage.shared.exemplar_places`."""

    def share(self, child: Any, place: int, exemplar: Exemplar) -> None:
        """Show the other workers an exemplar that ``child`` has from now on, if cells can hold it."""
        ...

    def drop(self, child: Any) -> None:
        """Drop the exemplars of a series, because the child has dropped its own."""
        ...


class SharedTable(Protocol):
    """What a child of shared storage uses of its child table, which is a `SharedChildTable`."""

    @property
    def exemplars(self) -> SharedExemplars:
        """The places of the children's exemplars."""
        ...

    def attach_soon(self, child: Any, asked: Any = None) -> Any:
        """Attach a child to cells in this worker's slot, unless ``asked``, an earlier result, is still to be done."""
        ...

    def queue(self, child: Any, asked: Any = None) -> Any:
        """Queue what `attach_soon` does, and return the work for a later call."""
        ...

    def start_chore(self) -> None:
        """Have the keeper refresh this table once a second."""
        ...


class SharedChild(Child):
    """What all children of shared storage have in common.

    Each subclass lists ``cells`` and ``index`` in its ``__slots__``: it has a second base class with slots, and two
    base classes cannot both have some.
    """

    __slots__ = ()
    cells: Cells
    index: int

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.wait()

    def complete_copy(self) -> None:
        """Do what is left to do after a child has got the slots of one in memory."""

    @abstractmethod
    def store(self, cells: Doubles, index: int) -> None:
        """Copy the numbers of the child to ``cells``, starting at ``index``."""

    def attach(self, cells: Doubles, index: int) -> None:
        """Write to ``cells`` from now on, starting at ``index``."""
        # In this order: cells that the child waits for, and those of a detached one, take any index.
        self.index = index  # type: ignore[misc]  # slots of the subclasses
        self.cells = cells  # type: ignore[misc]

    def take_over(self, cells: Doubles, index: int) -> None:
        """As `attach`, and first add the counts that are there to the child's own; a state has no counts."""
        self.attach(cells, index)

    def attach_parts(self, arena: Arena, family: Family, *, is_inherited: bool) -> None:
        """Write the parts of an attached child to cells of ``arena``; call it through `Worker.do`. Raises OSError.

        ``is_inherited`` is whether they hold counts that the child must take over, also if an earlier call was
        interrupted.
        """

    def detach_parts(self) -> None:
        """Stop asking for cells for parts that have none, until the child is attached again: there is no room."""

    @abstractmethod
    def reset_after_fork(self) -> None:
        """Set counts to zero in a forked process, and attach at the first write."""

    def read_placed_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by their places: the indexes of their rows, unless a subclass says otherwise."""
        return self.read_exemplars()

    def wait(self) -> None:
        """Attach at the first write."""
        self.cells, self.index = AttachOnWrite(self), 0  # type: ignore[misc]  # slots of the subclasses

    def detach(self) -> None:
        """Stop writing to cells; keep the numbers."""
        self.cells, self.index = DETACHED_CELLS, 0  # type: ignore[misc]  # slots of the subclasses


class ClassicBuckets(SharedChild):
    """What the children of histograms with classic buckets do with the cells of these and of the sum.

    ``_sum_offset`` is the distance from the first cell to that of the sum.
    """

    __slots__ = ()
    created: float
    _bounds: tuple[float, ...]
    _counts: list[float]
    _sum: float
    _sum_offset: int

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._sum_offset = len(self._bounds)  # type: ignore[misc]  # a slot of the subclasses, as those below

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the numbers of the child to cells."""
        for bucket in range(self._sum_offset):  # each by itself: another thread may observe between two of them
            cells[index + bucket] = self._counts[bucket]
        cells[index + self._sum_offset] = self._sum
        cells[index + self._sum_offset + 1] = self.created

    def take_over(self, cells: Doubles, index: int) -> None:
        """Write to these cells from now on, starting with the sum of their counts and the child's own."""
        sum_at = index + self._sum_offset
        self.created = cells[sum_at + 1] or self.created  # type: ignore[misc]
        sums = map(add, self._counts, [cells[at] for at in range(index, sum_at)])
        self._counts[:] = sums  # adds in C functions alone
        self._sum = self._sum + cells[sum_at]  # type: ignore[misc]
        self.cells, self.index = cells, index  # type: ignore[misc]


def get_shared_table(child: SharedChild) -> SharedTable:
    """Return the table of a child, which only a `SharedChildTable` makes."""
    return child.table  # type: ignore[return-value]


def is_waiting(child: SharedChild) -> bool:
    """Return whether a child waits for cells."""
    return isinstance(child.cells, AttachOnWrite)


def is_attached(child: SharedChild) -> bool:
    """Return whether a child writes to cells."""
    return isinstance(child.cells, memoryview)
