"""How a child of shared storage is connected to the cells that it writes to.

*Theory of operation.* A child is in one of three states, which its attribute ``cells`` shows:

1. *Detached*: ``cells`` is `DETACHED_CELLS`. A new child starts here. It counts in its own attributes; nothing reads
   what it writes to ``cells``.
2. *Attached*: ``cells`` is a mapped region of this worker's file, and ``index`` is the position of the child's first
   cell there. `SharedChild.attach` leads from 1 to 2. The cells may hold the counts of a dead worker whose slot this
   process took over; a counter, summary or histogram adds them to its own numbers and continues from the sum.
   `SharedChild.detach` leads back to 1: when the series is removed, when there is no room for it, and when the storage
   is closed. The numbers in the child's attributes stay.
3. *Forked*: ``cells`` is an `AttachOnWrite`. `SharedChild.reset_after_fork` leads from 1 and 2 to 3, and sets counts to
   zero, because the parent still exposes the old ones. The first write leads to 1, and the child table then attaches
   the child to cells in the slot of the forked process: 2. A child that the process never writes to takes no cells.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.storage.shared.files.layout import Cells, Doubles

__all__ = ("DETACHED_CELLS", "AttachOnWrite", "SharedChild", "SharedTable", "get_shared_table", "is_attached")


# A dict, because writing to its few keys costs no more than writing to cells. All detached children share it.
DETACHED_CELLS: dict[int, float] = {}


class AttachOnWrite:
    """The cells of a child after a fork: the first write attaches the child."""

    __slots__ = ("_child",)

    def __init__(self, child: SharedChild) -> None:
        self._child = child

    def __setitem__(self, index: int, value: float) -> None:
        """Attach the child. ``value`` is not stored here: the child holds it already, and `attach` copies it."""
        self._child.detach()
        get_shared_table(self._child).attach_soon(self._child)


class SharedTable(Protocol):
    """What a child of shared storage uses of its child table, which is a `SharedChildTable`."""

    has_exemplars: bool

    def attach_soon(self, child: Any) -> None:
        """Attach a child to cells in this worker's slot."""
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
        self.detach()

    @abstractmethod
    def attach(self, cells: Doubles, index: int) -> None:
        """Write to ``cells`` from now on, starting at ``index``; add the counts that are there to the child's own."""

    @abstractmethod
    def reset_after_fork(self) -> None:
        """Set counts to zero in a forked process, and attach at the first write."""

    def detach(self) -> None:
        """Stop writing to cells; keep the numbers."""
        self.cells, self.index = DETACHED_CELLS, 0  # type: ignore[misc]  # slots of the subclasses


def get_shared_table(child: SharedChild) -> SharedTable:
    """Return the table of a child, which only a `SharedChildTable` makes."""
    return child.table  # type: ignore[return-value]


def is_attached(child: SharedChild) -> bool:
    """Return whether a child writes to cells."""
    return isinstance(child.cells, memoryview)
