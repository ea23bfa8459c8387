"""The child table of automatic storage: in memory, until another table becomes its successor.

*Rules.* As in `asyncmetrics.children.table`: take no lock. `AutomaticTable.convert` may be repeated, since a signal
handler may end it, and two threads may do it at once.

*Theory of operation.* The states of a table:

1. *In memory*: its children are those of memory storage, and it does what `ChildTable` does.
2. *Undecided*: its children are stand-ins. The first change of one, or the first use of the table, has the process
   decide where its numbers belong, which leads to 3.
3. *Converted*: ``successor`` is a table of shared storage, or a new table in memory if the process is alone after all.
   The metric uses the successor. Children that the program holds from before are stand-ins for its children.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, cast, final
from weakref import WeakMethod

from asyncmetrics.children.callbacks import Callback
from asyncmetrics.children.interfaces import Sampler
from asyncmetrics.children.table import Child, ChildTable, TableEvents
from asyncmetrics.loops import HomeLoop
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.storage.memory.stand_ins import copy_slots, find_link, link, make_stand_in
from asyncmetrics.storage.protocol import Storage

__all__ = ("AutomaticTable",)

C = TypeVar("C", bound=Child)


class AutomaticTable(ChildTable[C]):
    """A metric's children in memory. ``decide`` converts all undecided tables; ``storage`` opens the successor.

    In the other states its class is `_PassingTable`, so that the first state costs nothing.

    ``is_undecided`` and ``successor`` show the state.
    """

    __slots__ = (
        "__weakref__",
        "_decide",
        "_is_inherited",
        "_storage",
        "_ttl",
        "_users",
        "is_undecided",
        "successor",
    )

    def __init__(
        self,
        decide: Callable[[], None],
        storage: Storage,
        descriptor: Descriptor,
        make: type[C],
        events: TableEvents,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        super().__init__(descriptor, make, events, max_children=max_children, ttl=ttl)
        self.is_undecided = False
        self.successor: ChildTable[Any] | None = None
        self._decide = decide
        self._storage = storage
        self._ttl = ttl
        self._is_inherited = False
        self._users: list[WeakMethod[Callable[[ChildTable[Any]], None]]] = []

    def on_replace(self, use: Callable[[ChildTable[Any]], None]) -> None:
        """Call ``use``, a method, with the successor."""
        self._users.append(WeakMethod(use))

    def suspend(self) -> None:
        """Let the first use decide where the numbers belong."""
        self.is_undecided = True
        self.__class__ = _PassingTable  # pyright: ignore[reportAttributeAccessIssue]  # it has the same slots
        for child in list(self.by_values.values()):
            make_stand_in(child)

    def convert(self, *, is_inherited: bool) -> None:
        """Open the successor; ``is_inherited`` is whether the numbers are those of a parent, which still has them."""
        self.is_undecided = True  # until this has been done to its end
        if self.successor is None:
            self._is_inherited = is_inherited
            opened = self._storage.open(self.descriptor, self._events, max_children=self._max_children, ttl=self._ttl)
            if self.successor is None:  # another thread, or a signal handler, may have been faster
                self.successor = opened
        self.__class__ = _PassingTable  # pyright: ignore[reportAttributeAccessIssue]  # it has the same slots
        successor = self.successor
        is_needed = not is_inherited or not self.descriptor.all_labelnames or self.descriptor.kind in _WITHOUT_NUMBERS
        for _ in range(2):  # again, for a child that another thread was inserting meanwhile
            for child in list(self.by_values.values()):
                make_stand_in(child)
                if is_needed:
                    self._replace(child)
        if self._sampler is not None:
            sampler = self._sampler
            successor.collect_from(sampler.function, sampler.home, is_blocking=sampler.is_blocking)
        for child, callback in list(self.functions.items()):
            self._replace(child).set_function(callback.function, loop=callback.home)
        for use in self._users:
            if (alive := use()) is not None:
                alive(successor)
        self.is_undecided = False

    def get_successor(self, child: C) -> Any:
        """Return the child to pass a change on to; decide first where it belongs."""
        self._settle()
        return self._replace(child)

    def _settle(self) -> ChildTable[Any] | None:
        """Decide, if this table is undecided, and return its successor."""
        if self.is_undecided:
            self._decide()
        return self.successor

    def _replace(self, child: Child) -> Any:
        replacement = find_link(child)
        if replacement is None:
            assert self.successor is not None
            fill = partial(_fill_inherited if self._is_inherited else copy_slots, child)
            replacement = self.successor.add(child.labelvalues, fill, is_shared=not self._is_inherited)
            link(child, replacement)
        return replacement


@final
class _PassingTable(AutomaticTable[C]):
    """A table that is undecided or converted: it uses its successor."""

    __slots__ = ()

    def _insert(self, new_child: C) -> C:
        if self.is_undecided:
            make_stand_in(new_child)
        child = super()._insert(new_child)
        if self.successor is not None:
            make_stand_in(child)  # another thread has converted the table since `find`
            self._replace(child)
        return child

    def find_only(self) -> C:
        """Return the only child of a metric without labels; this is no use that decides."""
        return super().find(())

    def find(self, values: tuple[object, ...]) -> Any:
        """Return the child with these label values; see `ChildTable.find`."""
        successor = self._settle()
        if successor is None:
            return super().find(values)
        known = self.by_values.get(self.make_key(values))
        return successor.find(values) if known is None else self._replace(known)

    @property
    def _present(self) -> ChildTable[Any]:
        """The successor, or this table as one in memory while there is none."""
        return self.successor or cast("ChildTable[Any]", super())

    @property
    def _decided(self) -> ChildTable[Any]:
        """As `_present`, after the process has decided."""
        self._settle()
        return self._present

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child."""
        return self._decided.list_keys()

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this process with these label values."""
        self._decided.remove_local(keys)

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove the child with these label values, if there is one."""
        self._decided.remove(key)

    def clear(self) -> None:
        """Remove every child."""
        self._decided.clear()

    def collect_from(self, sampler: Sampler, home: HomeLoop | None = None, *, is_blocking: bool = True) -> None:
        """Replace all children by the result of ``sampler`` at every collection."""
        self._present.collect_from(sampler, home, is_blocking=is_blocking)

    def list_callbacks(self) -> Sequence[Callback]:
        """Return the functions to ask at a collection."""
        return self._decided.list_callbacks()

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the children, or points that stand for them, in slices."""
        return self._decided.read()


_WITHOUT_NUMBERS = frozenset({"info", "stateset"})


def _fill_inherited(child: Child, new_child: Any) -> None:
    """Let a child start from zero, as in any forked worker; facts and states are copied."""
    copy_slots(child, new_child)
    new_child.reset_after_fork()
