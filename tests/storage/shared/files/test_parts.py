"""Series of a part live and die with the series of the metric that they belong to."""

from __future__ import annotations

import pytest

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.definition import BUCKETS, Definition
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.slot_reader import SlotReader

DEFINITION = Definition("", 0, False, Descriptor("counter", "c", "C.", ("n",)))  # noqa: FBT003  # a field


class Slot:
    """One slot, and what a program does with a metric in it."""

    def __init__(self, path):
        self.path = path
        self.directory = Directory(str(path))
        self.start()

    def start(self, definition=DEFINITION):
        self.arena = Arena(self.directory)
        self.declare(definition)

    def declare(self, definition):
        self.family = self.arena.open_family(definition, self.arena.take_declaration_numbers(1))
        self.part = self.arena.open_part(self.family, BUCKETS)

    def add(self, family, *key):
        number, (cells, at) = self.arena.reserve(family, key)
        cells[at] = 1.0
        cells[at + family.definition.presence] = 1.0
        self.arena.publish(family, key, number)
        return cells, at

    def read(self):
        """Return the keys of the part's series that the slot's log has and whose presence is not 0."""
        reader = SlotReader(self.directory, self.arena.number)
        for _ in reader.sync():
            pass
        content = (self.path / f"s{self.arena.number}.cells").read_bytes()
        cells = memoryview(content).cast("d")
        found = []
        for family in reader.log.named.get(DEFINITION.name, ()):
            for part in family.parts.values():
                presence = part.definition.presence
                found += [key for key, number in part.iter_series() if cells[part.locate_cell(number) + presence]]
        reader.close()
        return sorted(found)

    def end(self):
        """Let the slot go, as the kernel does for a process that was killed, and start another worker."""
        self.arena.close()
        self.start()


@pytest.fixture
def slot(path):
    slot = Slot(path)
    for key in ("x", "y"):
        slot.add(slot.family, key)
        slot.add(slot.part, key, "0")
        slot.add(slot.part, key, "1")
    yield slot
    slot.arena.close()


def test_a_reader_finds_the_series_of_a_part_by_the_owner(slot):
    assert slot.read() == [("x", "0"), ("x", "1"), ("y", "0"), ("y", "1")]


def test_a_part_is_no_family_of_its_own(slot):
    reader = SlotReader(slot.directory, slot.arena.number)
    for _ in reader.sync():
        pass
    families = [family for named in reader.log.named.values() for family in named]
    reader.close()
    assert [family.definition.part for family in families] == [""]


def test_the_series_of_a_part_are_removed_with_their_owner(slot):
    slot.arena.remove(slot.family, ("x",))
    assert slot.read() == [("y", "0"), ("y", "1")]


def test_the_series_of_a_part_are_adopted_with_their_owner(slot):
    slot.end()
    assert slot.part.owned == {("x",): [("x", "0"), ("x", "1")], ("y",): [("y", "0"), ("y", "1")]}
    assert slot.read() == [("x", "0"), ("x", "1"), ("y", "0"), ("y", "1")]


def test_an_adoption_completes_a_removal_that_a_kill_has_ended_after_the_owner(slot):
    cells, at = slot.family.locate(slot.family.index["x",])
    cells[at + slot.family.definition.presence] = 0.0
    slot.end()
    assert slot.read() == [("y", "0"), ("y", "1")]
    assert list(slot.part.owned) == [("y",)]


def test_a_part_is_retired_with_its_family(slot):
    slot.arena.open_family(DEFINITION._replace(ages=True), slot.arena.take_declaration_numbers(1))
    assert slot.read() == []
    slot.declare(DEFINITION)
    assert slot.read() == []
    slot.add(slot.family, "x")
    slot.add(slot.part, "x", "0")
    assert slot.read() == [("x", "0")]


def test_a_log_without_the_removed_series_has_the_others_of_the_part(slot):
    slot.arena.remove(slot.family, ("x",))
    slot.arena.rewrite_log()
    slot.add(slot.family, "z")
    slot.add(slot.part, "z", "0")
    assert slot.read() == [("y", "0"), ("y", "1"), ("z", "0")]
    slot.end()
    assert slot.read() == [("y", "0"), ("y", "1"), ("z", "0")]


def test_the_cells_of_a_removed_series_of_a_part_are_zeros_for_the_next(slot):
    cells, at = slot.part.locate(slot.part.index["x", "0"])
    cells[at + 1 : at + slot.part.stride - 1] = memoryview(b"\1" * 8 * (slot.part.stride - 2)).cast("B").cast("d")
    slot.arena.remove(slot.family, ("x",))
    slot.arena.rewrite_log()
    slot.add(slot.family, "z")
    cells, at = slot.add(slot.part, "z", "0")
    assert not any(cells[at + 1 : at + slot.part.stride - 1])
