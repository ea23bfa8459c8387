"""Where the numbers of shared storage's children are written to: their cells, nowhere, or what gives them a place.

*Theory of operation.* A child is made without cells and told its place a moment later; until then, and when there is no
room or it was removed, its writes go `NOWHERE`. In a forked process it starts from zero and writes to a `FirstTouch`,
which has it settled in that process's own arena once it is used.
"""

from __future__ import annotations

from typing import Any, Protocol

from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.storage.shared.files.layout import Cells, Doubles

__all__ = ("NOWHERE", "FirstTouch", "Placed", "SharedChild", "is_attached")


# A dict: nobody reads it, and its few items cost a write no more than cells do.
NOWHERE: dict[int, float] = {}


class FirstTouch:
    """What a child that came through a fork writes to: the first write settles it in this process's arena."""

    __slots__ = ("_child",)

    def __init__(self, child: Placed) -> None:
        self._child = child

    def __setitem__(self, index: int, value: float) -> None:
        """Have the child settled; what it holds is written then."""
        self._child.leave()
        table: Any = self._child.table
        table.attach_soon(self._child)


class SharedChild(Protocol):
    """What all children of shared storage have besides their operations."""

    table: Any
    labelvalues: tuple[str, ...]
    index: int

    @property
    def cells(self) -> Cells:
        """Where it writes to."""
        ...

    def settle(self, cells: Doubles, index: int) -> None:
        """Write to this place from now on, going on with what it holds."""
        ...

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        ...

    def leave(self) -> None:
        """Write nowhere from now on."""
        ...


def is_attached(child: SharedChild) -> bool:
    """Tell whether a child writes to cells."""
    return isinstance(child.cells, memoryview)


class Placed(Child):
    """What is the same for all of them; their slots are their own, as two bases cannot both have some."""

    __slots__ = ()
    cells: Cells
    index: int

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self.leave()

    def leave(self) -> None:
        """Write nowhere from now on."""
        self.cells, self.index = NOWHERE, 0  # type: ignore[misc]  # slots of the subclasses
