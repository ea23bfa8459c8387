"""Which definition of a family counts for all workers, if workers define it in different ways.

*Rules.* Choose from what the logs of all slots declare, and from nothing else: then all workers choose the same, also
a worker whose own metric has another definition. Never compare clocks.

*Theory of operation.* The states of a definition:

1. *Numbered*: a program has made the metric, or a process that has it takes a slot. The declaration has a number that
   is larger than all numbers in the headers of the slots at that moment (`Arena.take_declaration_numbers`).
   Two workers may get equal numbers.
2. *Declared*: the log of the worker's slot has the definition with this number, since the metric has its first child.
   If the worker has adopted the family with its slot, it declares the family again: so the definition of an older
   version that is started again becomes the newest.
3. *Newest*: the definition counts. It has the highest rank among those that claim one of its sample names. Definitions
   that a live worker has declared rank above all others, so that a new version which was stopped hides nothing of the
   version that continues. After that the number decides, and with equal numbers the definition itself.
4. *Left out*: another definition has a higher rank. Its series are not exposed.

Definitions that differ only in their documentation are one. The documentation of the highest rank is exposed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import list_family_names
from asyncmetrics.storage.shared.files.slot_family import SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import SlotReader

__all__ = ("NewestFamilies", "NewestFamily", "SlotFamilies")

SlotFamilies: TypeAlias = "list[tuple[SlotReader, SlotFamily]]"
"""Families of one shape, each with the reader of its slot, in the order of the slots."""


class NewestFamily(NamedTuple):
    """A family that counts: its descriptor, the `Descriptor.shape` of that, and the slots' families that are merged."""

    descriptor: Descriptor
    shape: tuple[object, ...]
    slot_families: SlotFamilies


@final
class NewestFamilies:
    """The families of the registry ``space`` that count, as far as the readers have followed the logs.

    ``by_name`` has them by their names. ``left_out`` counts the slots' families that are not among them.
    """

    def __init__(self, readers: Sequence[SlotReader], space: str) -> None:
        self._logs = _list_logs(readers)
        # The first numbers of all live owners, if they matter: whether one lives takes two system calls.
        self._first_numbers: list[float] | None = None
        by_shape: dict[tuple[object, ...], SlotFamilies] = {}
        for reader in readers:
            named = [families for (its_space, _), families in reader.log.named.items() if its_space == space]
            for family in chain.from_iterable(named):
                by_shape.setdefault(family.shape, []).append((reader, family))
        if _have_conflicts(by_shape.values()):
            self._first_numbers = _list_first_numbers(readers)
            first_numbers = {reader.number: first for reader, first in zip(readers, self._first_numbers, strict=True)}
            self._choose_by_rank(by_shape.values(), first_numbers)
        else:
            self._take((families[0][1], families) for families in by_shape.values())
        self.left_out = sum(map(len, by_shape.values())) - sum(len(one.slot_families) for one in self.by_name.values())

    def _take(self, chosen: Iterable[tuple[SlotFamily, SlotFamilies]]) -> None:
        newest = [NewestFamily(family.definition.descriptor, family.shape, families) for family, families in chosen]
        self.by_name = {one.descriptor.name: one for one in newest}

    def _choose_by_rank(self, groups: Iterable[SlotFamilies], first_numbers: Mapping[int, float]) -> None:
        def rank(item: tuple[SlotReader, SlotFamily]) -> tuple[Any, ...]:
            reader, family = item
            is_live = family.declared >= first_numbers[reader.number]
            return is_live, family.declared, family.shape, family.definition.descriptor.documentation

        best = [(max(families, key=rank), families) for families in groups]
        best.sort(key=lambda pair: rank(pair[0]), reverse=True)
        claimed: set[str] = set()
        chosen = []
        for (_, family), families in best:
            names = _list_names(family)
            if claimed.isdisjoint(names):
                claimed |= names
                chosen.append((family, families))
        self._take(chosen)

    def is_current(self, readers: Sequence[SlotReader]) -> bool:
        """Return whether these readers would choose the same."""
        if self._logs != _list_logs(readers):
            return False
        return self._first_numbers is None or self._first_numbers == _list_first_numbers(readers)


def _list_logs(readers: Sequence[SlotReader]) -> list[tuple[object, int]]:
    return [(reader.log, reader.log.declarations) for reader in readers]


def _list_first_numbers(readers: Sequence[SlotReader]) -> list[float]:
    """Return from which number on the declarations of each slot are those of a live owner."""
    return [reader.header.first_declared if reader.header and reader.is_live else math.inf for reader in readers]


def _list_names(family: SlotFamily) -> frozenset[str]:
    descriptor = family.definition.descriptor
    return list_family_names(descriptor.name, descriptor.kind)


def _have_conflicts(groups: Collection[SlotFamilies]) -> bool:
    """Return whether families of different shapes claim a name, or families of one shape differ in their text."""
    names = [_list_names(families[0][1]) for families in groups]
    if sum(map(len, names)) > len(frozenset().union(*names)):
        return True
    texts = ({family.definition.descriptor.documentation for _, family in families} for families in groups)
    return any(len(different) > 1 for different in texts)
