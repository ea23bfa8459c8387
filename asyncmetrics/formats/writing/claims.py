"""Keeps two families of one exposition from writing the same name.

*Rules.*

* Write a family only if no family before it has claimed one of its names.
* A sample that does not belong to the type of its family is a stray. Write it only if no other family has claimed its
  name: there it spoils no other family. The text formats write it where it stands. OpenMetrics writes it in its own
  family ``unknown``, after all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import final

from asyncmetrics.formats.writing.custom_families import is_writable
from asyncmetrics.formats.writing.lines import format_name
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("FOREIGN_SUFFIXES", "Claims")

FOREIGN_SUFFIXES = ("_created", "_gcount", "_gsum")
"""The suffixes of samples that no type of the text formats has. They are written as gauges after their family."""


@final
class Claims:
    """The names that the families of one exposition have claimed, and the stray samples that belong to none."""

    def __init__(self, escaping: str, omissions: Omissions) -> None:
        self._escaping = escaping
        self._omissions = omissions
        self._names: set[str] = set()
        self._strays: dict[str, Metric] = {}
        self._stray_names: dict[str, str] = {}
        self._owners: dict[str, object] = {}
        self.stray_series: set[str] = set()  # of the stray samples that the text formats have written

    def iterate_families(self, families: Iterable[Metric]) -> Iterator[Metric]:
        """Yield the families that can be written, then the families of stray samples."""
        for family in families:
            if is_writable(family):
                yield family
            else:
                self._omissions.add(family, "the family has no valid name or type")
        yield from self._strays.values()

    def claim(self, family: Metric, suffixes: Iterable[str]) -> bool:
        """Claim all names that a family writes or that a reader takes for its own. Return False if one is taken."""
        written = {format_name(family.name, self._escaping, suffix) for suffix in suffixes}
        if not self._names.isdisjoint(written):
            is_stray = any(stray is family for stray in self._strays.values())
            self._omissions.add(family, "another family has the name", len(family.samples) if is_stray else 1)
            return False
        self._names |= written
        self._owners.update(dict.fromkeys(written, family))
        return True

    def name_stray(self, family: Metric, name: str) -> str:
        """Return the written form of the name of a stray sample in ``family``, or ``""`` if the name is not free."""
        suffix = name.removeprefix(family.name)
        if suffix in FOREIGN_SUFFIXES:
            written = format_name(family.name, self._escaping, suffix)
        else:
            written = format_name(name, self._escaping)
        is_free = self._owners.get(written, family) is family
        # Of two names with one written form, the first one wins.
        return written if is_free and self._stray_names.setdefault(written, name) == name else ""

    def add_stray(self, family: Metric, sample: Sample) -> None:
        """Keep a stray sample of ``family`` for its own family. The sample has a name."""
        written = format_name(sample.name, self._escaping)
        stray = self._strays.get(written)
        if stray is None:
            stray = self._strays[written] = Metric(sample.name, "", "unknown")
        if stray.name == sample.name:  # of two names with one written form, the first one wins
            stray.samples.append(sample)
        else:
            self._omissions.add(family, "another sample has the same written name")
