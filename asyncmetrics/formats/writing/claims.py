"""Keeps two families of one exposition from writing the same name.

*Rules.*

* Write a family only if no family before it has claimed one of its names.
* Write a sample that does not belong to the type of its family as its own family ``unknown``. Write these
  families after all others, and only if their name is free: there they spoil no other family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import final

from asyncmetrics.formats.writing.custom_families import is_writable
from asyncmetrics.formats.writing.lines import format_name
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("Claims",)


@final
class Claims:
    """The names that the families of one exposition have claimed, and the stray samples that belong to none."""

    def __init__(self, escaping: str) -> None:
        self._escaping = escaping
        self._names: set[str] = set()
        self._strays: dict[str, Metric] = {}

    def iterate_families(self, families: Iterable[Metric]) -> Iterator[Metric]:
        """Yield the families that can be written, then the families of stray samples."""
        yield from filter(is_writable, families)
        yield from self._strays.values()

    def claim(self, names: Iterable[str]) -> bool:
        """Claim all names that a family writes or that a reader takes for its own. Return False if one is taken."""
        written = {format_name(name, self._escaping) for name in names}
        if not self._names.isdisjoint(written):
            return False
        self._names |= written
        return True

    def add_stray(self, sample: Sample) -> None:
        """Keep a stray sample for its own family. The sample has a name."""
        written = format_name(sample.name, self._escaping)
        family = self._strays.get(written)
        if family is None:
            family = self._strays[written] = Metric(sample.name, "", "unknown")
        if family.name == sample.name:  # of two names with one escaped form, the first one wins
            family.samples.append(sample)
