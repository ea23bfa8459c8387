"""`ChildTable`, which holds the children of one metric, and `Child`, what the children of every storage have.

*Rules.*

- Take no lock. A metric may be declared and used in a signal handler, a finaliser or a callback of the garbage
  collector, so any operation here may interrupt any other one, while other threads do the same.
- Let one call of the dict (``by_values``) decide. A child exists from its `dict.setdefault` to its `dict.pop`.
- List a child before it enters the dict, so that a reading has every child that `ChildTable.find` has returned.

*Theory of operation.* The dict finds a child by its label values. A `Listing` has the same children for reading.

Insert a child (`ChildTable._insert`):

1. Claim a position in the listing. Before and after, neither dict nor listing have the child.
2. Write the child to the position. After, readings ask the dict about it and leave it out.
3. Set it in the dict by ``setdefault``. After, `find` returns it and readings have it. If another child has won, remove
   this one from the listing.

Remove a child (`ChildTable._remove`):

1. Begin a change of its segment. After, readings ask the dict about each child of the segment.
2. Remove it from the dict. After, `find` makes a new child and readings leave this one out.
3. Remove it from the listing.

An exception of a signal handler may end either one after any step. The listing may then have a child that the dict does
not have: readings leave it out, and remove it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from asyncmetrics.asking import Outcome
from asyncmetrics.children.callbacks import Callback, FunctionCallback, SamplerCallback
from asyncmetrics.children.expiry import Expiry, add_times
from asyncmetrics.children.interfaces import GaugeChild, Labelled, Sampler
from asyncmetrics.children.listing import Listing, Segment, pop_children, pop_unheld_children
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.label_blocks import make_block_writer
from asyncmetrics.model.label_errors import make_label_error
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar, NativeHistogram

__all__ = ("OVERFLOW", "Child", "ChildTable", "TableEvents", "select_keys")

OVERFLOW = "__overflow__"
"""The value of every label of the child that label sets beyond ``max_children`` share."""
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}
_NO_EXTRA_LABELS: Mapping[str, str] = {}


class TableEvents(Protocol):
    """Counts the events of a child table, by the name of the metric: the registry's self-metrics implement it."""

    def count_dropped_observation(self, metric: str) -> None:
        """Count an observation of NaN."""
        ...

    def count_overflowed_label_set(self, metric: str) -> None:
        """Count a use of a new label set beyond ``max_children``."""
        ...

    def count_collector_error(self, collector: str, error: BaseException | None = None) -> None:
        """Count a failure of a gauge function, or of the number that it returned: ``error``."""
        ...

    def count_exemplar_error(self, metric: str, error: BaseException) -> None:
        """Count a failure of the provider of exemplars, or of the labels that it returned: ``error``."""
        ...


class Child(Labelled):
    """A child of any storage: its label values, and its position in the listing of its table."""

    __slots__ = ("__weakref__", "label_block", "labelvalues", "position", "segment")
    segment: Segment[Any]
    position: int
    created: float = 0.0
    """When the child was created, as a Unix time; 0.0 for kinds other than counter, summary and histogram."""
    changed_at: float = math.inf
    """When it last changed, on the monotonic clock; inf without a time to live: see `asyncmetrics.children.expiry`."""

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:  # noqa: ARG002  # for subclasses
        self.labelvalues = labelvalues
        self.label_block: str | None = None

    @property
    def table(self) -> ChildTable[Any]:
        """The table of this child."""
        table: ChildTable[Any] = self.segment.owner  # type: ignore[assignment]  # `ChildTable` makes all segments
        return table

    @abstractmethod
    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading: a number for each row of the descriptor."""

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        return _NO_EXEMPLARS

    def read_native(self) -> NativeHistogram | None:
        """Return the native histogram with its exemplars, in the order of their times; None if there is none."""
        return None

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's."""
        return _NO_EXTRA_LABELS

    def __repr__(self) -> str:
        return self.table.descriptor.name_series(self.labelvalues)


C = TypeVar("C", bound=Child)


class ChildTable(Generic[C]):
    """The children of one metric: ``by_values`` has them by their label values, `find` creates one that is missing.

    ``make`` is the class of the children. With ``max_children`` children in the table, all new label sets share the
    overflow child, which is not one of the ``max_children``. A child that has not changed for ``ttl`` seconds is no
    longer read (`asyncmetrics.children.expiry`). The only item of ``scrapes`` counts the readings, from 1 on, and
    ``encodings`` is `LiveFamily.encodings`.
    """

    __slots__ = (
        "_events",
        "_expiry",
        "_listing",
        "_make",
        "_max_children",
        "_overflow_key",
        "_sampler",
        "_write",
        "by_values",
        "descriptor",
        "encodings",
        "failed",
        "functions",
        "scrapes",
        "takes_text",
    )

    def __init__(
        self,
        descriptor: Descriptor,
        make: type[C],
        events: TableEvents,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        self.by_values: dict[tuple[str, ...], C] = {}
        self.descriptor = descriptor
        self.functions: dict[C, FunctionCallback] = {}
        self.failed: dict[C, None] = {}
        self.scrapes = [1]  # a list, which every child that asks for exemplars holds
        self.takes_text = False  # whether a gauge may be set to the text of a number
        self._make = make if ttl is None else add_times(make)
        self._events = events
        self.encodings: list[Any] = []
        self._sampler: SamplerCallback | None = None
        self._max_children = max_children
        self._overflow_key = (OVERFLOW,) * len(descriptor.all_labelnames)
        self._write = make_block_writer(descriptor.all_labelnames, omit_empty=descriptor.omit_empty)
        self._expiry: Expiry[C] | None = None if ttl is None else Expiry(ttl)
        self._listing: Listing[C] = Listing(self, self.by_values)

    def find(self, values: tuple[object, ...]) -> C:
        """Return the child with these label values (converted by ``str``); create it if it is new.

        Raises `LabelError` for too few or too many values.
        """
        key = self.make_key(values)
        child = self.by_values.get(key)
        if child is not None:
            return child
        if key and self._is_full(key):
            child = self.by_values.get(key)  # once more: another thread may have filled the table with this very child
            if child is not None:
                return child
            self._events.count_overflowed_label_set(self.descriptor.name)
            key = self._overflow_key
        return self._create(key)

    def find_only(self) -> C:
        """Return the only child of a metric without labels."""
        return self.find(())

    def on_replace(self, use: Callable[[ChildTable[Any]], None]) -> None:
        """Call ``use``, a method, with the table that replaces this one; only automatic storage replaces tables."""

    def share_exemplars(self, child: C) -> None:
        """Show the exemplars of ``child``, which are new, to other workers; only shared storage has some."""

    def _is_full(self, key: tuple[str, ...]) -> bool:
        return self._exceeds_limit(key, self.by_values)

    def _exceeds_limit(self, key: tuple[str, ...], keys: Collection[tuple[str, ...]]) -> bool:
        """Return whether ``key`` is one more than ``keys`` may have; the overflow child takes no place."""
        if self._max_children is None or key == self._overflow_key:
            return False
        # First whether the overflow child exists: another thread may make it before the children are counted.
        limit = self._max_children + (self._overflow_key in keys)
        return len(keys) >= limit

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child."""
        return list(self.by_values)

    def make_key(self, values: tuple[object, ...]) -> tuple[str, ...]:
        """Return label values as ``by_values`` has them. Raises `LabelError` for too few or too many."""
        names = self.descriptor.all_labelnames
        if len(values) != len(names):
            raise make_label_error(self.descriptor, names, values)
        return tuple(map(to_label_text, values))

    def count_dropped_observation(self) -> None:
        """Count an observation of NaN, which the caller drops."""
        self._events.count_dropped_observation(self.descriptor.name)

    def count_exemplar_error(self, error: BaseException) -> None:
        """Count a failure of the provider of exemplars."""
        self._events.count_exemplar_error(self.descriptor.exposed_name, error)

    def collect_from(self, sampler: Sampler, home: HomeLoop | None = None, *, is_blocking: bool = True) -> None:
        """Replace all children by the result of ``sampler``, which belongs to ``home``, at every collection."""
        self._sampler = SamplerCallback(self, sampler, home, is_blocking=is_blocking)

    def list_callbacks(self) -> Sequence[Callback]:
        """Return the functions to ask at a collection, before the children are read."""
        if not self.functions:
            return () if self._sampler is None else (self._sampler,)
        for child in list(self.functions):
            if self.by_values.get(child.labelvalues) is not child:
                self.functions.pop(child, None)  # removed, perhaps before it got its function
                self.failed.pop(child, None)
        functions = list(self.functions.values())
        return functions if self._sampler is None else [self._sampler, *functions]

    def take_number(self, child: Any, outcome: Outcome[float]) -> BaseException | None:
        """Set ``child`` to the outcome of its function; return what has failed.

        A child that has failed is not exposed until its function returns a number again.
        """
        problem = outcome if isinstance(outcome, BaseException) else _find_problem(cast(GaugeChild, child), outcome)
        if problem is None:
            self.failed.pop(child, None)
        else:
            self.failed[child] = None
        return problem

    def take_sample(
        self, before: Iterable[tuple[str, ...]], numbers: Mapping[tuple[object, ...], float]
    ) -> BaseException | None:
        """Replace the children ``before`` by ``numbers``; return what has failed, and remove all children then."""
        keys: set[tuple[str, ...]] = set()
        problem: BaseException | None = None
        try:
            for values, number in numbers.items():
                child = self.find(values)
                keys.add(child.labelvalues)  # first, so that it is removed if the number is none
                cast("GaugeChild", child).set(number)
        except Exception as error:  # noqa: BLE001  # a callback of the application must not fail the scrape
            pass_interruption(error)
            problem = error
        if problem is not None:
            before = [*before, *keys]
            keys.clear()
        self.remove_local([key for key in before if key not in keys])
        return problem

    def add(self, key: tuple[str, ...], fill: Callable[[C], None], *, is_shared: bool = True) -> C:  # noqa: ARG002
        """Insert a child after ``fill`` has given it numbers; return the child that has its label values then.

        ``is_shared`` is whether other workers see it before its first change, where there are any.
        """
        return self._create(key, fill)

    def _create(
        self,
        key: tuple[str, ...],
        fill: Callable[[C], None] | None = None,
        insert: Callable[[C], C] | None = None,
    ) -> C:
        change, segment, position = self._listing.claim()  # ``change`` lasts until the end of this method
        child = self._make(self, key)
        child.segment, child.position = segment, position
        if self._write is not None:
            child.label_block = self._write(key)
        if fill is not None:
            fill(child)
        child = (insert or self._insert)(child)
        del change
        return child

    def _insert(self, new_child: C) -> C:
        """Insert ``new_child``, and return the child that has its label values then."""
        new_child.segment.children[new_child.position] = new_child
        child = self.by_values.setdefault(new_child.labelvalues, new_child)
        if child is not new_child:
            self._listing.vacate(new_child)
        return child

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove the child with these label values, if there is one."""
        self.remove_local((key,))

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this process with these label values."""
        for key in keys:
            child = self.by_values.get(key)
            if child is not None:
                self._remove(child)

    def _remove(self, child: C) -> None:
        change = self._listing.change(child.segment)
        for removed in pop_children(self.by_values, [child]):
            self._listing.vacate(removed)
        del change

    def clear(self) -> None:
        """Remove every child."""
        self.remove_local(list(self.by_values))

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the children, or points that stand for them, in slices, in the order of their creation.

        A step that does other work yields an empty slice. The end of a reading is where children begin to ask for new
        exemplars.
        """
        yield from self._read_children()
        self.scrapes[0] += 1

    def _read_children(self) -> Iterator[Sequence[Any]]:
        """Yield the children of this process in slices."""
        for batch in self._listing.read():
            if self.failed:
                failed = self.failed
                batch[:] = [child for child in batch if child not in failed]
            if self._expiry:
                self._drop_stale(batch, self._expiry)
            yield batch

    def _drop_stale(self, batch: list[C], expiry: Expiry[C]) -> None:
        """Remove the stale children from ``batch``, and from the table those of them that nothing refers to."""
        stale = expiry.take_stale(batch)
        if stale:
            self._remove_unheld(stale, expiry, [])

    def _remove_unheld(self, stale: list[C], expiry: Expiry[C], removed: list[C]) -> None:
        """Move the stale children that nothing else refers to from the table to ``removed``."""
        changes = [self._listing.change(segment) for segment in {child.segment for child in stale}]
        pop_unheld_children(self.by_values, stale, expiry.list_unchanged(stale), removed)
        for child in removed:
            self._listing.vacate(child)
        del changes


def _find_problem(child: GaugeChild, number: float) -> BaseException | None:
    """Set ``child`` to ``number``; return the exception if it is no number."""
    try:
        child.set(number)
    except Exception as error:  # noqa: BLE001  # as above
        pass_interruption(error)
        return error
    return None


def select_keys(
    keys: Iterable[tuple[str, ...]], names: Sequence[str], labels: Mapping[str, object]
) -> list[tuple[str, ...]]:
    """Return those of ``keys``, the values of ``names``, that have all of ``labels``; none if there are no labels."""
    wanted = [(names.index(name), to_label_text(value)) for name, value in labels.items()]
    return [key for key in keys if all(key[index] == value for index, value in wanted)] if wanted else []
