"""How a slot's log describes a family: its descriptor, and what distinguishes it from other families."""

from __future__ import annotations

import json
from typing import NamedTuple, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.native import NativeOptions
from asyncmetrics.storage.shared.files.exemplar_cells import EXEMPLAR_CELLS
from asyncmetrics.storage.shared.files.layout import CorruptError

__all__ = ("BUCKETS", "EXEMPLARS", "PAIRS", "Definition")

BUCKETS, EXEMPLARS = "buckets", "exemplars"
"""The parts that a metric can have: a part's series belong to those of the metric."""
PAIRS = 14  # 27 buckets, which a native histogram of latencies has, take two blocks
_PART_CELLS = {BUCKETS: 2 + 2 * PAIRS + 1, EXEMPLARS: EXEMPLAR_CELLS}


@final
class Definition(NamedTuple):
    """The definition of a family in one slot.

    ``space`` is the name of the registry within its storage. ``copy`` distinguishes metrics of one name that one
    process makes one after the other. ``ages`` is whether the series expire. ``part`` is empty, or names the part of
    the metric whose series these are: then the key of a series is that of its *owner*, a series of the metric, and one
    text more.
    """

    space: str
    copy: int
    ages: bool
    descriptor: Descriptor
    part: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """The key by which a scrape merges the families of all slots."""
        return self.space, self.descriptor.name

    @property
    def local_key(self) -> tuple[str, str, int, str]:
        """The key by which a worker finds its family in the slot that it adopts."""
        return self.space, self.descriptor.name, self.copy, self.part

    @property
    def owner_key(self) -> tuple[str, str, int, str]:
        """The ``local_key`` of the family whose part this is."""
        return self.space, self.descriptor.name, self.copy, ""

    def define_part(self, part: str) -> Definition:
        """Return the definition of a part of this family."""
        return self._replace(part=part)

    @property
    def key_length(self) -> int:
        """How many texts the key of a series has: its label values, and in a part one more."""
        return len(self.descriptor.all_labelnames) + bool(self.part)

    def fits(self, other: Definition) -> bool:
        """Return whether a family of one definition can have the series of the other: all but their text is equal."""
        same = self.local_key == other.local_key and self.ages == other.ages
        return same and self.descriptor.shape == other.descriptor.shape

    @property
    def presence(self) -> int:
        """The index, within a series, of the cell that says whether the series exists."""
        return self._number_cells - 1

    @property
    def stride(self) -> int:
        """How many cells a series has; those of a part expire with their owners."""
        return self._number_cells + (self.ages and not self.part)

    @property
    def _number_cells(self) -> int:
        if self.part:
            return _PART_CELLS[self.part]
        return len(self.descriptor.buckets) + KINDS[self.descriptor.kind].cells

    def pack(self) -> bytes:
        """Return the definition as JSON, for a FAMILY record."""
        d = self.descriptor
        shape = [d.labelnames, d.contextnames, d.unit, d.buckets[:-1], d.states, d.mode, d.per_worker, d.omit_empty]
        own = [self.space, self.copy, self.ages, self.part]
        return json.dumps([*own, d.kind, d.name, d.documentation, *shape, d.native]).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Definition:
        """Read a definition. Raises `CorruptError` if it is of another form."""
        try:
            space, copy, ages, part, kind, name, text, names, context, *rest = json.loads(payload)
            unit, buckets, states, mode, apart, omits, native = rest
            bounds = (*map(float, buckets), float("inf")) if kind == "histogram" else ()
            options = None if native is None else NativeOptions(*native)
            shape = (tuple(names), tuple(context), unit, bounds, tuple(states), mode, bool(apart), bool(omits), options)
            definition = cls(space, int(copy), bool(ages), Descriptor(kind, name, text, *shape), part)
            definition.descriptor.list_rows()  # raises one of these errors if no metric can be made of the descriptor
        except (ValueError, TypeError, KeyError) as error:
            pass_interruption(error)
            raise CorruptError(f"no definition of a family: {error}") from None
        if (part and part not in _PART_CELLS) or not definition.stride:
            raise CorruptError("no definition of a family: a series has no cells")
        return definition
