"""How a slot's log describes a family: its descriptor, and what distinguishes it from other families."""

from __future__ import annotations

import json
from typing import NamedTuple, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.storage.shared.files.layout import CorruptError

__all__ = ("Definition",)


@final
class Definition(NamedTuple):
    """The definition of a family in one slot.

    ``space`` is the name of the registry within its storage. ``copy`` distinguishes metrics of one name that one
    process makes one after the other. ``ages`` is whether the series expire.
    """

    space: str
    copy: int
    ages: bool
    descriptor: Descriptor

    @property
    def name(self) -> tuple[str, str]:
        """The key by which a scrape merges the families of all slots."""
        return self.space, self.descriptor.name

    @property
    def local_key(self) -> tuple[str, str, int]:
        """The key by which a worker finds its family in the slot that it adopts."""
        return self.space, self.descriptor.name, self.copy

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
        """How many cells a series has."""
        return self._number_cells + self.ages

    @property
    def _number_cells(self) -> int:
        return len(self.descriptor.buckets) + KINDS[self.descriptor.kind].cells

    def pack(self) -> bytes:
        """Return the definition as JSON, for a FAMILY record."""
        d = self.descriptor
        shape = [d.labelnames, d.contextnames, d.unit, d.buckets[:-1], d.states, d.mode, d.per_worker, d.omit_empty]
        return json.dumps([self.space, self.copy, self.ages, d.kind, d.name, d.documentation, *shape]).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Definition:
        """Read a definition. Raises `CorruptError` if it is of another form."""
        try:
            space, copy, ages, kind, name, text, names, context, *rest = json.loads(payload)
            unit, buckets, states, mode, apart, omits = rest
            bounds = (*map(float, buckets), float("inf")) if kind == "histogram" else ()
            shape = (tuple(names), tuple(context), unit, bounds, tuple(states), mode, bool(apart), bool(omits))
            definition = cls(space, int(copy), bool(ages), Descriptor(kind, name, text, *shape))
            definition.descriptor.list_rows()  # raises one of these errors if no metric can be made of the descriptor
        except (ValueError, TypeError, KeyError) as error:
            pass_interruption(error)
            raise CorruptError(f"no definition of a family: {error}") from None
        if not definition.stride:
            raise CorruptError("no definition of a family: a series has no cells")
        return definition
