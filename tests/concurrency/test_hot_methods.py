"""Nothing that could switch threads stands between the load of a number and its store."""

from __future__ import annotations

import dis
import sys
from operator import attrgetter

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.storage import MemoryStorage, SharedStorage
from asyncmetrics.storage.memory.asking import MemoryAskingCounter, MemoryAskingHistogram
from asyncmetrics.storage.memory.native import MemoryDualHistogram, MemoryNativeHistogram
from asyncmetrics.storage.memory.native_asking import MemoryAskingDual, MemoryAskingNative
from asyncmetrics.storage.memory.native_buckets import NativeBuckets
from asyncmetrics.storage.memory.native_stand_ins import replace_buckets
from asyncmetrics.storage.memory.plain import MemoryCounter, MemoryGauge, MemoryHistogram, MemorySummary
from asyncmetrics.storage.shared.asking import SharedAskingCounter, SharedAskingHistogram
from asyncmetrics.storage.shared.children import SharedCounter, SharedGauge, SharedHistogram, SharedSummary
from asyncmetrics.storage.shared.native import SharedDualHistogram, SharedNativeHistogram

UPDATES = {
    "counter.inc": (MemoryCounter.inc, {"value"}),
    "gauge.inc": (MemoryGauge.inc, {"value"}),
    "gauge.dec": (MemoryGauge.dec, {"value"}),
    "summary.observe": (MemorySummary.observe, {"_count", "_sum"}),
    "histogram.observe": (MemoryHistogram.observe, {"_counts", "_sum"}),
    "asking counter.inc": (MemoryAskingCounter.inc, {"value"}),
    "asking histogram.observe": (MemoryAskingHistogram.observe, {"_counts", "_sum"}),
    "shared counter.inc": (SharedCounter.inc, {"value"}),
    "shared gauge.inc": (SharedGauge.inc, {"value"}),
    "shared gauge.dec": (SharedGauge.dec, {"value"}),
    "shared summary.observe": (SharedSummary.observe, {"_count", "_sum"}),
    "shared histogram.observe": (SharedHistogram.observe, {"_counts", "_sum"}),
    "shared asking counter.inc": (SharedAskingCounter.inc, {"value"}),
    "shared asking histogram.observe": (SharedAskingHistogram.observe, {"_counts", "_sum"}),
}


def _instructions(function):
    return [i for i in dis.get_instructions(function) if i.opname not in {"CACHE", "RESUME", "EXTENDED_ARG", "NOP"}]


_SWITCHES = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "FOR_ITER", "RESUME", "POP_JUMP_BACKWARD")
if sys.version_info < (3, 11):
    _SWITCHES += ("POP_JUMP",)  # 3.10 looks for signals and for other threads at a forward jump as well


def _may_switch(instruction):
    return instruction.opname.startswith(_SWITCHES)


def _spans(function, attributes):
    """Give the instructions from each load of an attribute that is stored again to that store."""
    instructions = _instructions(function)
    for end, instruction in enumerate(instructions):
        stored = instruction.opname == "STORE_ATTR" and instruction.argval in attributes
        if stored or instruction.opname == "STORE_SUBSCR":
            start = max(
                i
                for i in range(end)
                if instructions[i].opname.startswith("LOAD_ATTR") and instructions[i].argval in {*attributes, "_turns"}
            )
            if instructions[start].argval != "_turns":  # a store of no number
                yield instructions[start : end + 1]


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_loaded_changed_and_stored_without_a_call(name):
    function, attributes = UPDATES[name]
    spans = list(_spans(function, attributes))
    assert len(spans) >= len(attributes)
    assert [i.opname for span in spans for i in span if _may_switch(i)] == []


def _fail(self, other):
    raise AssertionError("the amount has run its own code between the load and the store")


_OWN_ARITHMETIC = {"__add__": _fail, "__radd__": _fail, "__sub__": _fail, "__rsub__": _fail}
_FloatAmount = type("_FloatAmount", (float,), _OWN_ARITHMETIC)
_IntAmount = type("_IntAmount", (int,), _OWN_ARITHMETIC)
_OtherAmount = type("_OtherAmount", (), _OWN_ARITHMETIC | {"__float__": lambda self: 2.0})


@pytest.fixture(params=["memory", "shared"])
def registry(request, tmp_path):
    is_shared = request.param == "shared"
    storage = SharedStorage(str(tmp_path / "m"), locking=False) if is_shared else MemoryStorage(locking=False)
    return CollectorRegistry(storage=storage)


@pytest.mark.parametrize(
    "amount", [2, 2.0, _FloatAmount(2), _IntAmount(2), _OtherAmount()], ids=lambda x: type(x).__name__
)
def test_an_amount_runs_no_code_of_its_own_type_when_it_is_added(amount, registry):
    counter = Counter("c", "C.", registry=registry)
    gauge = Gauge("g", "G.", multiprocess_mode="sum", registry=registry)
    summary, histogram = Summary("s", "S.", registry=registry), Histogram("h", "H.", registry=registry)
    counter.inc(amount)
    counter.inc(amount, {"trace_id": "a"})
    gauge.inc(amount)
    gauge.dec(amount)
    gauge.inc(amount)
    summary.observe(amount)
    histogram.observe(amount)
    names = ("c_total", "g", "s_sum", "h_sum")
    assert [registry.get_sample_value(name) for name in names] == [4, 2, 2, 2]
    assert {type(registry.get_sample_value(name)) for name in names} == {float}


def test_an_error_of_the_cells_reaches_the_program_and_the_amount_is_counted_once(tmp_path):
    class Cells:
        def __setitem__(self, index, value):
            raise OverflowError("of a signal handler")

    registry = CollectorRegistry(storage=SharedStorage(str(tmp_path / "m"), locking=False))
    child = Counter("c", "C.", ["n"], registry=registry).labels("x")
    child.cells = Cells()
    for amount in (2, 2.0):
        with pytest.raises(OverflowError, match="of a signal handler"):
            child.inc(amount)
    assert child.value == 4


def test_an_observation_changes_count_and_sum_without_a_call_between():
    for function in (MemorySummary.observe, MemoryHistogram.observe, MemoryAskingHistogram.observe):
        instructions = _instructions(function)
        stores = [
            i for i, x in enumerate(instructions)
            if x.opname == "STORE_SUBSCR" or (x.opname == "STORE_ATTR" and x.argval in {"_count", "_sum"})
        ]  # fmt: skip
        stores = stores[-2:]  # after that of a turn
        assert len(stores) == 2
        assert not any(_may_switch(x) for x in instructions[stores[0] : stores[1]])


@pytest.mark.parametrize("function", [SharedSummary.observe, SharedHistogram.observe, SharedAskingHistogram.observe])
def test_a_shared_observation_is_stored_here_and_in_the_cells_without_a_call_between(function):
    instructions = _instructions(function)
    stores = [
        i for i, x in enumerate(instructions)
        if x.opname == "STORE_SUBSCR" or (x.opname == "STORE_ATTR" and x.argval in {"_count", "_sum"})
    ]  # fmt: skip
    stores = stores[-4:]  # after that of a turn
    assert len(stores) == 4
    assert not any(_may_switch(x) for x in instructions[stores[0] : stores[-1]])


@pytest.mark.parametrize("function", [SharedNativeHistogram.observe, SharedDualHistogram.observe])
def test_a_shared_native_observation_is_counted_and_shown_without_a_call_between(function):
    followed = list(_follow_update(function))
    assert [x.argval for x in followed].count("_sum") > 1
    assert not any(_may_switch(x) for x in followed)


def _follow_update(function):
    """Yield the instructions from the look-up of a bucket's place to the end, if nothing raises."""
    instructions = {i.offset: i for i in dis.get_instructions(function)}
    offset = max(offset for offset, i in instructions.items() if "places" in str(i.argval))
    while offset in instructions:
        instruction = instructions[offset]
        if instruction.opname not in {"CACHE", "EXTENDED_ARG", "NOP"}:
            yield instruction
        if instruction.opname.startswith("RETURN"):
            return
        is_jump = instruction.opname == "JUMP_FORWARD"
        offset = instruction.argval if is_jump else min(other for other in instructions if other > offset)


@pytest.mark.parametrize("child", [SharedCounter, SharedGauge, SharedSummary])
def test_a_child_is_given_its_place_without_a_call_between(child):
    """No thread may count in the old cells while the numbers are copied to the new ones."""
    assert not any(_may_switch(x) for x in _instructions(child.attach))


def test_a_snapshot_reads_counts_and_sum_without_a_call_between():
    assert not any(_may_switch(x) for x in _instructions(MemoryHistogram.read_counts))


def _make_recorder(kind):
    """Return the code of the function that a timer of a native histogram calls."""
    return next(code for code in kind.recorder.__code__.co_consts if hasattr(code, "co_code"))


@pytest.mark.parametrize("kind", [MemoryNativeHistogram, MemoryDualHistogram])
@pytest.mark.parametrize(
    "find", [attrgetter("observe"), _make_recorder, attrgetter("_count")], ids=["observe", "recorder", "_count"]
)
def test_an_observation_of_a_native_histogram_changes_all_numbers_without_a_call_between(kind, find):
    _check_native(_instructions(find(kind)), is_dual=kind is MemoryDualHistogram)


@pytest.mark.parametrize("kind", [MemoryAskingNative, MemoryAskingDual])
def test_a_native_histogram_that_asks_has_asked_before_it_changes_its_numbers(kind):
    instructions = _instructions(kind.observe)
    asked = max(i for i, x in enumerate(instructions) if x.argval == "ask")
    _check_native(instructions[asked:], is_dual=kind is MemoryAskingDual)


def _check_native(instructions, *, is_dual):
    first = next(i for i, x in enumerate(instructions) if _loads_item(x))
    last = max(x.offset for x in instructions if x.opname == "STORE_ATTR" and x.argval == "_sum")
    path = list(_follow(instructions, first, last))
    stores = [x for x in path if x.opname == "STORE_SUBSCR"]
    assert len(stores) == (2 if is_dual else 1)
    assert not any(_may_switch(x) for x in path)


def _follow(instructions, index, last):
    """Yield the instructions of the way without exceptions, past the handlers of a ``try`` block."""
    offsets = {x.offset: i for i, x in enumerate(instructions)}
    while instructions[index].offset != last:
        yield instructions[index]
        is_jump = instructions[index].opname == "JUMP_FORWARD"
        index = offsets[instructions[index].argval] if is_jump else index + 1


def _loads_item(instruction):
    is_subscription = instruction.opname == "BINARY_OP" and instruction.argrepr == "[]"  # of 3.14
    return instruction.opname.startswith("BINARY_SUBSCR") or is_subscription


@pytest.mark.parametrize("function", [MemoryNativeHistogram._restart, MemoryDualHistogram._restart, replace_buckets])
def test_a_reset_and_a_stand_in_replace_all_numbers_without_a_call_between(function):
    """No thread may observe after the dicts have been read or cleared, and before all other numbers have changed."""
    instructions = _instructions(function)
    first = max(i for i, x in enumerate(instructions) if x.opname == "LIST_EXTEND")
    last = max(i for i, x in enumerate(instructions) if x.opname == "STORE_ATTR")
    assert sum(x.opname == "STORE_ATTR" for x in instructions[first : last + 1]) >= 2
    assert not any(_may_switch(x) for x in instructions[first:last])


@pytest.mark.parametrize(("copy", "which"), [("DICT_UPDATE", 0), ("LIST_EXTEND", 1)])
def test_a_reading_of_a_native_histogram_copies_the_sum_and_all_counts_without_a_call_between(copy, which):
    instructions = _instructions(NativeBuckets._copy_stages)
    first = [i for i, x in enumerate(instructions) if x.argval == "_sum"][which]
    last = next(i for i, x in enumerate(instructions) if x.opname == copy and i > first)
    assert not any(_may_switch(x) for x in instructions[first:last])


def test_two_threads_that_change_a_stage_at_once_get_the_same_dict():
    instructions = _instructions(NativeBuckets._change_stage)
    last = next(i for i, x in enumerate(instructions) if x.opname == "STORE_ATTR" and x.argval == "_stages")
    first = next(i for i, x in enumerate(instructions) if x.argval == "_stages")
    assert first < last
    assert not any(_may_switch(x) for x in instructions[first:last])


def test_the_test_would_see_a_call():
    def guilty(self):
        self.value += len(self)

    def undecided(self, amount):
        self.value = self.value + (1 if amount else 2)

    (span,) = _spans(guilty, {"value"})
    assert any(_may_switch(x) for x in span)
    assert any(_may_switch(x) for span in _spans(undecided, {"value"}) for x in span) == (sys.version_info < (3, 11))
