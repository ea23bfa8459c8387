"""Nothing that could switch threads stands between the load of a number and its store."""

from __future__ import annotations

import dis

import pytest

from asyncmetrics.storage.memory.plain import MemoryCounter, MemoryGauge, MemoryHistogram, MemorySummary
from asyncmetrics.storage.shared.children import SharedCounter, SharedGauge, SharedHistogram, SharedSummary

UPDATES = {
    "counter.inc": (MemoryCounter.inc, {"value"}),
    "gauge.inc": (MemoryGauge.inc, {"value"}),
    "gauge.dec": (MemoryGauge.dec, {"value"}),
    "summary.observe": (MemorySummary.observe, {"_count", "_sum"}),
    "histogram.observe": (MemoryHistogram.observe, {"_counts", "_sum"}),
    "shared counter.inc": (SharedCounter.inc, {"value"}),
    "shared gauge.inc": (SharedGauge.inc, {"value"}),
    "shared gauge.dec": (SharedGauge.dec, {"value"}),
    "shared summary.observe": (SharedSummary.observe, {"_count", "_sum"}),
    "shared histogram.observe": (SharedHistogram.observe, {"_counts", "_sum"}),
}


def _instructions(function):
    return [i for i in dis.get_instructions(function) if i.opname not in {"CACHE", "RESUME", "EXTENDED_ARG", "NOP"}]


def _may_switch(instruction):
    return instruction.opname.startswith(("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "FOR_ITER", "RESUME"))


def _spans(function, attributes):
    """Give the instructions from each load of an attribute that is stored again to that store."""
    instructions = _instructions(function)
    for end, instruction in enumerate(instructions):
        stored = instruction.opname == "STORE_ATTR" and instruction.argval in attributes
        if stored or instruction.opname == "STORE_SUBSCR":
            start = max(
                i
                for i in range(end)
                if instructions[i].opname.startswith("LOAD_ATTR") and instructions[i].argval in attributes
            )
            yield instructions[start : end + 1]


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_loaded_changed_and_stored_without_a_call(name):
    function, attributes = UPDATES[name]
    spans = list(_spans(function, attributes))
    assert len(spans) >= len(attributes)
    assert [i.opname for span in spans for i in span if _may_switch(i)] == []


def test_an_observation_changes_count_and_sum_without_a_call_between():
    for function in (MemorySummary.observe, MemoryHistogram.observe):
        instructions = _instructions(function)
        stores = [
            i for i, x in enumerate(instructions)
            if x.opname == "STORE_SUBSCR" or (x.opname == "STORE_ATTR" and x.argval in {"_count", "_sum"})
        ]  # fmt: skip
        assert len(stores) == 2
        assert not any(_may_switch(x) for x in instructions[stores[0] : stores[1]])


@pytest.mark.parametrize("function", [SharedSummary.observe, SharedHistogram.observe])
def test_a_shared_observation_is_stored_here_and_in_the_cells_without_a_call_between(function):
    instructions = _instructions(function)
    stores = [
        i for i, x in enumerate(instructions)
        if x.opname == "STORE_SUBSCR" or (x.opname == "STORE_ATTR" and x.argval in {"_count", "_sum"})
    ]  # fmt: skip
    assert len(stores) == 4
    assert not any(_may_switch(x) for x in instructions[stores[0] : stores[-1]])


@pytest.mark.parametrize("child", [SharedCounter, SharedGauge, SharedSummary])
def test_a_child_is_given_its_place_without_a_call_between(child):
    """No thread may count in the old cells while the numbers are copied to the new ones."""
    assert not any(_may_switch(x) for x in _instructions(child.attach))


def test_a_snapshot_reads_counts_and_sum_without_a_call_between():
    assert not any(_may_switch(x) for x in _instructions(MemoryHistogram.read_counts))


def test_the_test_would_see_a_call():
    def guilty(self):
        self.value += len(self)

    (span,) = _spans(guilty, {"value"})
    assert any(_may_switch(x) for x in span)
