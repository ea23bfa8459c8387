"""The children of native histograms in shared storage: each writes its counts through to blocks.

*Rules.* Those of `asyncmetrics.storage.shared.children`, and:

* Write the count of a bucket before the numbers of the series: a reader reads them the other way round, so that the
  native histogram has at least what the classic one has.
* Keep the dict that says where the counts of a stage are for as long as the stage, and clear it to detach. Threads may
  have loaded it; they find nothing in it then.
* Look up where a count is, count, and store the count there, without a call in between.

*Theory of operation.* A bucket of a stage (`asyncmetrics.storage.memory.native_buckets`) is in one of these states:

1. *Counted*: the child has its count and no other process knows of it. An observation of it finds no cell. It queues
   the structural work of attaching the child again, counts, and has the work done.
2. *Placed*: `_Shared.attach_parts` has given it a pair of a block, whose key it has written, and every observation
   stores the count in the cell of the pair.

There are three ways from 2 to 1: the child is detached; the process was forked; or the schema changes, which gives the
child other buckets. The pairs of the stage before stay as they are, because late threads may still count in it, and
readers add all blocks. A bucket that there is no room for, or of a detached child, has a place that nothing reads.

A zero bucket gets wider as structural work too: first all blocks have the new threshold, so that readers know it before
anything is counted by it. A block that has a bucket within it is as good as one that has not.

A child that takes over a dead worker's counts adds them to its own bucket by bucket, and continues in the same pairs.
If it took over blocks of a coarser stage than its own, it goes to the coarsest one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from math import frexp
from sys import float_info
from typing import Any, TypeAlias

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.table import ChildTable
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.native import ZERO, coarsen_key
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.memory.locked import add_locks
from asyncmetrics.storage.memory.native import MemoryDualHistogram, MemoryNativeHistogram
from asyncmetrics.storage.memory.native_buckets import NativeBuckets, get_options
from asyncmetrics.storage.shared.attachment import (
    DETACHED_CELLS,
    ClassicBuckets,
    SharedChild,
    get_shared_table,
    is_attached,
    is_waiting,
)
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.blocks import Block, make_block, open_blocks
from asyncmetrics.storage.shared.files.layout import Cells, Doubles

__all__ = ("SharedDualHistogram", "SharedNativeHistogram", "choose_native_class")

_LARGEST = float_info.max
_Places: TypeAlias = "dict[int, tuple[Cells, int]]"
# What stands for the place of a bucket without a cell: there is no room for it; it was counted in a detached child.
_NO_ROOM: tuple[Cells, int] = DETACHED_CELLS, 0
_DETACHED: tuple[Cells, int] = DETACHED_CELLS, 1


class _Shared(SharedChild, NativeBuckets):
    """What both kinds of children do with their blocks.

    ``_places`` has for each schema where the counts of its buckets are, by their keys; so has ``_stage``, as its last
    item. ``_blocks`` are the blocks of the child, and ``_threshold`` the zero threshold that it asks for.
    """

    __slots__ = ()
    can_reset = False  # the sum of all workers would fall by a part, which a server takes for a restart of all
    _blocks: list[Block]
    _places: dict[int, _Places]
    _stage: Any
    _threshold: float

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        self._blocks, self._places, self._threshold = [], {}, 0.0  # type: ignore[misc]  # slots of the subclasses
        super().__init__(table, labelvalues)

    def _make_stage(self, schema: int, zero_threshold: float, counts: dict[int, float]) -> Any:
        places = self._places.setdefault(schema, {})
        return (*super()._make_stage(schema, zero_threshold, counts), places)

    def recorder(self) -> Callable[[float], None]:
        """Return `observe`."""
        return self.observe

    def complete_copy(self) -> None:
        """Take over the stage that was copied from a child in memory."""
        _, low, _, counts, schema = self._stage[:5]
        self._stage = self._make_stage(schema, low, counts)

    def _add_exemplar(self, exemplar: Exemplar) -> None:
        super()._add_exemplar(exemplar)  # type: ignore[safe-super]  # of the kind
        get_shared_table(self).exemplars.share(self, self.choose_exemplar_place(exemplar.value), exemplar)

    def _prepare(self, counts: dict[int, float], key: int) -> Any:
        """Queue the work that a bucket without a cell needs, before it is counted: an exception may come in between."""
        _, _, _, present, _, places = self._stage
        if present is counts and key in places:
            return None
        if is_attached(self):
            return get_shared_table(self).queue(self)
        if present is counts and not is_waiting(self):  # a child that waits asks when it stores its other numbers
            places.setdefault(key, _DETACHED)
        return None

    def _change_stage(self, stage: Any, schema: int, zero_threshold: float, keys: Iterable[int]) -> None:
        work = get_shared_table(self).queue(self) if is_attached(self) else None
        super()._change_stage(stage, schema, zero_threshold, keys)
        if work is not None:  # for a block, from which readers learn of the stage
            get_shared_table(self).attach_soon(self, work)

    def _raise_threshold(self, stage: Any, zero_threshold: float) -> None:
        if is_attached(self):
            self._threshold = zero_threshold  # type: ignore[misc]  # a slot of the subclasses
            get_shared_table(self).attach_soon(self)
        else:
            super()._raise_threshold(stage, zero_threshold)

    def _raise_thresholds(self) -> None:
        """Write the zero threshold to all blocks, and then go to the stage with it."""
        stage = self._stage
        threshold = max(self._threshold, stage[1])
        for block in self._blocks:
            block.zero_threshold = threshold
        if threshold > stage[1]:
            super()._raise_threshold(stage, threshold)

    def _show(self, counts: dict[int, float], key: int, work: Any) -> None:
        """Store the count of a bucket in its cell; ``work`` is what `_prepare` has returned."""
        _, _, _, present, _, places = self._stage
        try:
            if present is counts and (places[key] is not _DETACHED or not is_attached(self)):
                cells, at = places[key]
                cells[at] = counts[key]
                return
        except KeyError:
            pass
        if is_attached(self):
            get_shared_table(self).attach_soon(self, work)  # stores the counts of all stages

    def _list_stages(self) -> list[tuple[int, dict[int, float]]]:
        _, _, _, counts, schema = self._stage[:5]
        stages = self._stages
        return [(schema, counts)] if stages is None else [*stages.items()]

    def attach_parts(self, arena: Arena, family: Family, *, is_inherited: bool) -> None:
        """Give a cell to each bucket that has a count and no cell, and store all counts. Raises OSError."""
        if is_inherited:
            self._take_over_blocks(open_blocks(family, self.labelvalues))
        self._raise_thresholds()
        is_complete = True
        for schema, counts in self._list_stages():
            places = self._places.setdefault(schema, {})
            for key in [*counts]:
                if counts[key] and places.get(key, _NO_ROOM)[0] is DETACHED_CELLS:
                    places[key] = self._take_pair(arena, family, schema, key)
                    is_complete = False
            for key, (cells, at) in [*places.items()]:
                cells[at] = counts[key]
        present = self._stage[4]
        if self._stages is not None and all(block.schema != present for block in self._blocks):
            self._add_block(arena, family, present)
        if is_complete:  # else there is a call for each bucket that asked, and one of them finds no work
            self._clear_others()

    def _take_pair(self, arena: Arena, family: Family, schema: int, key: int) -> tuple[Cells, int]:
        for block in self._blocks:
            if block.schema == schema and (location := block.take_pair(key)):
                return location
        location = self._add_block(arena, family, schema).take_pair(key)
        assert location is not None  # a new block is empty
        return location

    def _add_block(self, arena: Arena, family: Family, schema: int) -> Block:
        block = make_block(arena, family, self.labelvalues, schema, self._stage[1])
        self._blocks.append(block)
        return block

    def _clear_others(self) -> None:
        """Set the counts in the child's blocks that it has not placed to zero: those of a removed child."""
        placed = {(id(cells), at) for places in [*self._places.values()] for cells, at in [*places.values()]}
        for block in self._blocks:
            for _, at in block.list_pairs():
                if (id(block.cells), at) not in placed:
                    block.cells[at] = 0.0

    def _take_over_blocks(self, blocks: Iterable[Block]) -> None:
        """Add the counts of the blocks to the child's own, each once, and go on in these cells."""
        known = {(id(block.cells), block.at) for block in self._blocks}
        for block in blocks:
            if (id(block.cells), block.at) in known:
                continue
            counts, places = self._enter_stage(block.schema), self._places.setdefault(block.schema, {})
            cells = block.cells
            for key, at in block.list_pairs():
                if key not in places:
                    location = cells, at
                    counts.setdefault(key, 0.0)
                    counts[key], places[key] = counts[key] + cells[at], location  # no call in between
            self._blocks.append(block)
        if blocks:
            self._go_to_coarsest()

    def _enter_stage(self, schema: int) -> dict[int, float]:
        """Return the counts of a schema, which becomes one of those of the child."""
        before: dict[int, dict[int, float]] = {self._stage[4]: self._stage[3]}
        self._stages = stages = self._stages or before  # no call in between: all threads get the same dict
        return stages.setdefault(schema, {})

    def _go_to_coarsest(self) -> None:
        """Go to the stage that a reader merges all blocks to."""
        stage = self._stage
        all_counts = self._list_stages()
        schema = min(own for own, _ in all_counts)
        low = max(stage[1], *(block.zero_threshold for block in self._blocks))
        keys = {coarsen_key(key, own, schema) for own, counts in all_counts for key in [*counts] if key != ZERO}
        super()._change_stage(stage, schema, low, keys)

    def detach_parts(self) -> None:
        """Give the buckets that have no cell a place that nothing reads."""
        for schema, counts in self._list_stages():
            places = self._places.setdefault(schema, {})
            for key in [*counts]:
                if places.get(key, _DETACHED) is _DETACHED:
                    places[key] = _NO_ROOM

    def detach(self) -> None:
        """Stop writing to cells; keep the numbers."""
        self._forget_places()
        super().detach()

    def _forget_places(self) -> None:
        for places in [*self._places.values()]:
            places.clear()
        self._blocks, self._threshold = [], 0.0  # type: ignore[misc]  # slots of the subclasses

    def _start_again(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        options, clearings = get_options(self.table), map(dict.clear, [counts for _, counts in self._list_stages()])
        self._forget_places()
        first = self._make_stage(options.schema, options.zero_threshold, {})
        self._stages = None
        self._restart(first, clearings)
        self.wait()


class SharedNativeHistogram(_Shared, MemoryNativeHistogram):
    """The child of a native histogram without classic buckets; ``_observed`` counts its observations."""

    __slots__ = ("_blocks", "_observed", "_places", "_threshold", "cells", "index")

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        self._observed = 0.0
        super().__init__(table, labelvalues)

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its bucket."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bounds, low, scale, counts, _, places = self._stage
        if exemplar is not None or not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._observe_rare(amount, exemplar)
            return
        fraction, exponent = frexp(amount)
        place = bisect_left(bounds, fraction)
        try:  # see MemoryNativeHistogram.observe
            key = place + exponent * scale
            cells, at = places[key]
            counts[key] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._sum += amount
        self._observed += 1.0
        cells[at] = counts[key]
        self.cells[self.index] = self._observed
        self.cells[self.index + 1] = self._sum

    def _count(self, counts: dict[int, float], key: int, amount: float) -> None:
        work = self._prepare(counts, key)
        counts[key] += 1.0
        self._sum += amount
        self._observed += 1.0
        self._show(counts, key, work)
        self.cells[self.index] = self._observed
        self.cells[self.index + 1] = self._sum

    def complete_copy(self) -> None:
        """Take over the stage that was copied from a child in memory, and count what is in it."""
        super().complete_copy()
        self._observed = float(sum(sum(counts.values()) for _, counts in self._list_stages()))

    def read_placed_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by their places, which are powers of two."""
        return self._exemplars or {}

    def store(self, cells: Doubles, index: int) -> None:
        """Copy the numbers of the child to cells."""
        cells[index], cells[index + 1], cells[index + 2] = self._observed, self._sum, self.created

    def take_over(self, cells: Doubles, index: int) -> None:
        """Write to these cells from now on, starting with the sum of their counts and the child's own."""
        self.created = cells[index + 2] or self.created
        self._observed = self._observed + cells[index]
        self._sum = self._sum + cells[index + 1]
        self.cells, self.index = cells, index

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self._observed = 0.0
        self._start_again()


class SharedDualHistogram(ClassicBuckets, _Shared, MemoryDualHistogram):
    """The child of a native histogram with a classic one beside it."""

    __slots__ = ("_blocks", "_places", "_sum_offset", "_threshold", "cells", "index")

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its buckets."""
        if type(amount) is not float:  # see MemoryGauge.set
            try:
                amount = amount + 0.0 if type(amount) is int else to_amount(self, amount)
            except OverflowError:
                amount = to_amount(self, amount)
        bounds, low, scale, counts, _, places = self._stage
        if exemplar is not None or not (amount > low and amount <= _LARGEST):  # see MemoryCounter.inc
            self._observe_rare(amount, exemplar)
            return
        fraction, exponent = frexp(amount)
        place = bisect_left(bounds, fraction)
        bucket = bisect_left(self._bounds, amount)
        try:  # see MemoryNativeHistogram.observe
            key = place + exponent * scale
            cells, at = places[key]
            counts[key] += 1.0
        except (KeyError, TypeError):
            self._observe_rare(amount, None)
            return
        self._counts[bucket] += 1.0
        self._sum += amount
        cells[at] = counts[key]
        self.cells[self.index + bucket] = self._counts[bucket]
        self.cells[self.index + self._sum_offset] = self._sum

    def _count(self, counts: dict[int, float], key: int, amount: float) -> None:
        work, bucket = self._prepare(counts, key), bisect_left(self._bounds, amount)
        counts[key] += 1.0
        self._counts[bucket] += 1.0
        self._sum += amount
        self._show(counts, key, work)
        self.cells[self.index + bucket] = self._counts[bucket]
        self.cells[self.index + self._sum_offset] = self._sum

    def reset_after_fork(self) -> None:
        """Set the numbers to zero in a forked process, and attach at the first write."""
        self._start_again()


_LOCKED = {
    plain: add_locks(plain, "store", "attach", "take_over", "attach_parts", "detach_parts", "detach")
    for plain in (SharedNativeHistogram, SharedDualHistogram)
}


def choose_native_class(descriptor: Descriptor, *, locked: bool) -> type[SharedChild]:
    """Return the class of the children of a native histogram; see `choose_child_class`."""
    plain = SharedNativeHistogram if descriptor.is_native_only else SharedDualHistogram
    return _LOCKED[plain] if locked else plain
