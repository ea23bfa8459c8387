"""An operation is stopped where CPython may switch, or everywhere; exceptions come where they can."""

from __future__ import annotations

import dis
import sys
import threading

import pytest

from tests.concurrency.explorer.stops import find_points, find_switch_points
from tests.concurrency.explorer.tracing import Scope, Tracer

FOLDER = __file__.rpartition("/")[0]


class Counting:
    def __init__(self):
        self.value = 0.0
        self.lock = threading.Lock()

    def count(self, amount):
        self.value += amount

    def count_loudly(self, amount):
        abs(amount)
        self.value += amount

    def count_in_a_loop(self, amounts):
        for amount in amounts:
            self.value += amount

    def count_with_a_lock(self, amount):
        with self.lock:
            self.value += abs(amount)
        self.value += 0

    def count_and_yield(self, amount):
        yield amount
        self.value += amount


def find_names(function, offsets):
    return [item.opname for item in dis.get_instructions(function) if item.offset in offsets]


def find_span(function):
    """Return the offsets after the load of the value up to its store."""
    instructions = list(dis.get_instructions(function))
    loads = [item.offset for item in instructions if item.opname.startswith("LOAD_ATTR") and item.argval == "value"]
    stores = [item.offset for item in instructions if item.opname == "STORE_ATTR" and item.argval == "value"]
    return {item.offset for item in instructions if loads[0] < item.offset <= stores[0]}


@pytest.mark.parametrize("name", ["count", "count_loudly", "count_in_a_loop", "count_and_yield"])
def test_no_switch_point_is_between_the_load_and_the_store_of_a_number(name):
    function = getattr(Counting, name)
    assert not find_span(function) & find_switch_points(function.__code__)


@pytest.mark.parametrize(("name", "number"), [("count", 1), ("count_loudly", 2), ("count_in_a_loop", 2)])
def test_the_start_the_opcode_after_a_call_and_the_head_of_a_loop_are_switch_points(name, number):
    code = getattr(Counting, name).__code__
    assert len(find_switch_points(code)) == number
    if name == "count_in_a_loop":
        assert "FOR_ITER" in find_names(code, find_switch_points(code))


def test_a_generator_may_be_switched_from_when_it_goes_on():
    before, after = (find_switch_points(f.__code__) for f in (Counting.count, Counting.count_and_yield))
    assert len(after) > len(before)


def test_elsewhere_every_opcode_that_others_can_see_is_a_point():
    """What moves references within the frame is left out, unless it is asked for."""
    code = Counting.count.__code__
    everything, points = find_points(code, every=True).stops, find_points(code).stops
    assert everything == {item.offset for item in dis.get_instructions(code)}
    assert points < everything
    assert find_span(code) & points


def test_no_exception_is_raised_on_the_normal_way_out_of_a_block():
    """CPython runs no handler between the block and the call of `__exit__`."""
    code = Counting.count_with_a_lock.__code__
    assert find_points(code, every=True).raises < find_points(code, every=True).stops
    counting, tracer = Counting(), Tracer(Scope(FOLDER, every=True), "raises")
    tracer.run(lambda: counting.count_with_a_lock(1))
    assert tracer.count > 10
    for number in range(tracer.count):
        with pytest.raises(KeyboardInterrupt):
            tracer.run(lambda: counting.count_with_a_lock(1), number, interrupt)
        assert not counting.lock.locked(), number


def interrupt(frame):
    raise KeyboardInterrupt


def test_an_exception_comes_between_a_lock_and_the_block_that_releases_it():
    """That is no normal way out: CPython may run a handler there."""

    def careless(lock):
        if lock.acquire():
            try:
                len("")
            finally:
                lock.release()

    left = 0
    for number in range(100):
        lock = threading.Lock()
        try:
            Tracer(Scope(FOLDER), "raises").run(lambda lock=lock: careless(lock), number, interrupt)
        except KeyboardInterrupt:
            left += lock.locked()
    assert left


def test_a_stop_comes_before_each_opcode_in_turn():
    """The tracer counts as many points as it stops at, and the frame goes on after each stop."""
    counting, offsets, tracer = Counting(), [], Tracer(Scope(FOLDER, every=True))
    tracer.run(lambda: counting.count(1))
    total = tracer.count
    for number in range(total):
        tracer.run(lambda: counting.count(1), number, lambda frame: offsets.append(frame_of(frame)))
    own = [offset for name, offset in offsets if name == "count"]
    assert own == sorted(find_points(Counting.count.__code__, every=True).stops)[-len(own) :]
    assert len(own) > 4
    assert (len(offsets), counting.value) == (total, total + 1)


def frame_of(frame):
    return frame.f_code.co_name, frame.f_lasti


def test_what_is_outside_the_folder_is_not_traced():
    tracer = Tracer(Scope("/no/such/folder"))
    tracer.run(lambda: Counting().count(1))
    assert tracer.count == 0


def test_tracing_ends_with_the_run():
    before = sys.gettrace()
    Tracer(Scope(FOLDER)).run(lambda: Counting().count(1))
    assert sys.gettrace() is before
