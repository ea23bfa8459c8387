"""An arena against a model, its owner killed between any two steps: the counts stay, whichever worker adopts it."""

from __future__ import annotations

import gc
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.native import NativeOptions, find_key, merge_stages
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage import MemoryStorage, SharedStorage
from asyncmetrics.storage.shared.files import arena as _arena
from asyncmetrics.storage.shared.files import cells as _cells
from asyncmetrics.storage.shared.files import open_file as _open_file
from asyncmetrics.storage.shared.files.definition import PAIRS
from asyncmetrics.storage.shared.files.directory import Directory
from tests.thoroughness import examples

pytestmark = pytest.mark.blocking  # no test has a loop, and to watch for one slows down each lock

INF = float("inf")
COUNTER = Descriptor("counter", "c", "C.", ("n",))
HISTOGRAM = Descriptor("histogram", "h", "H.", ("n",), buckets=(1.0, INF))
NATIVE = Descriptor("histogram", "b", "B.", ("n",), buckets=(INF,), native=NativeOptions(max_buckets=PAIRS + 2))
GAUGE = Descriptor("gauge", "g", "G.", ("n",), mode="livesum")
KEYS = st.integers(0, 6).map(lambda number: (str(number),))
STEPS = st.integers(0, 12)
AMOUNTS = st.integers(-5, 20).map(lambda power: 1.1**power if power else 0.0)


class Killed(BaseException):
    """What ends a worker: nothing of the library may catch it."""


class Interrupted(Exception):  # noqa: N818  # it is no error
    """What a signal's handler raises: the worker goes on."""


class Clock:
    """Count the steps that a kill, or a signal, could come between, and raise ``what`` at the one that is set."""

    left = -1
    what: type[BaseException] = Killed

    @classmethod
    def step(cls, *only):
        if only and cls.what not in only:  # a signal's handler runs where something is called
            return
        if cls.left == 0:
            cls.left = -1
            raise cls.what
        cls.left -= cls.left > 0


class Words:
    """A header whose every store is a step."""

    def __init__(self, words):
        self.words = words

    def __getitem__(self, index):
        return self.words[index]

    def __setitem__(self, index, value):
        Clock.step(Killed)
        self.words[index] = value
        Clock.step(Killed)


def stepping(function):
    def step(*args, **kwargs):
        Clock.step()
        found = function(*args, **kwargs)
        Clock.step()
        return found

    return step


class SteppingOs:
    """The module `os`, with steps around what changes a file."""

    pwrite = staticmethod(stepping(_open_file.os.pwrite))

    def __getattr__(self, name):
        return getattr(OS, name)


UNLINK = Directory.unlink
OS, ALLOCATE, MAP, FEW = _open_file.os, _cells.allocate, _cells.CellsFile._map, _arena._MIN_WASTE


def mapped(file, start, length):
    found = MAP(file, start, length)
    if not start:
        file.header = Words(file.header)
    return found


class Arena(RuleBasedStateMachine):
    """One slot, of one worker after the other, and a reader that outlives them all."""

    def __init__(self):
        super().__init__()
        gc.collect()
        gc.disable()  # a collection between two steps would end a former worker, whose steps count too
        _open_file.os, _cells.allocate, _cells.CellsFile._map, _arena._MIN_WASTE = (
            SteppingOs(),
            stepping(ALLOCATE),
            mapped,
            3,
        )
        Directory.unlink = stepping(UNLINK)
        self.path = tempfile.mkdtemp()
        self.reader = SharedStorage(self.path)
        self.tables = [
            self.reader.open(descriptor, SelfMetrics(MemoryStorage()))
            for descriptor in (COUNTER, HISTOGRAM, GAUGE, NATIVE)
        ]
        self.amounts: dict[tuple[str, ...], list[float]] = {}
        self.counts: dict[tuple[str, ...], float] = {}
        self.observed: dict[tuple[str, ...], tuple[int, float]] = {}
        self.gauges: dict[tuple[str, ...], float] = {}
        self.worker = None
        self.begin(-1)

    def teardown(self):
        Clock.left = -1
        Directory.unlink = UNLINK
        _open_file.os, _cells.allocate, _cells.CellsFile._map, _arena._MIN_WASTE = OS, ALLOCATE, MAP, FEW
        self.die()
        self.reader.close()
        gc.enable()
        shutil.rmtree(self.path)

    def read(self):
        return [
            {point.labelvalues: take(point.read_numbers()) for batch in table.read() for point in batch}
            for table, take in zip(
                self.tables[:3], (lambda n: n[0], lambda n: (n[2], n[3]), lambda n: n[0]), strict=True
            )
        ]

    def read_natives(self):
        return {point.labelvalues: point.read_native() for batch in self.tables[3].read() for point in batch}

    def die(self):
        """The kernel closes what a dead process had open."""
        if self.worker is not None:
            self.worker._worker.arena.close()
            self.worker._worker.reader.slots.close()
        self.worker = None
        self.gauges = {}

    def killable(self, work):
        """Do something that a kill may end; return whether it did."""
        try:
            work()
        except Killed:
            self.die()
            return True
        finally:
            Clock.left = -1
        return False

    def open(self):
        storage = SharedStorage(self.path)
        try:
            self.own = [
                storage.open(descriptor, SelfMetrics(MemoryStorage()))
                for descriptor in (COUNTER, HISTOGRAM, GAUGE, NATIVE)
            ]
            self.worker = storage
        finally:
            if self.worker is None:
                storage.close()

    @precondition(lambda self: self.worker is None)
    @rule(steps=STEPS)
    def begin(self, steps):
        Clock.left = steps if steps < 10 else -1
        self.killable(self.open)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=st.integers(0, 5), kill=STEPS)
    def count(self, key, amount, kill):
        Clock.left = kill if kill < 8 else -1
        if self.killable(lambda: self.own[0].find(key)):
            self.settle_with(0, self.counts, key, {self.counts.get(key), self.counts.get(key, 0.0)})
            return
        self.own[0].find(key).inc(amount)
        self.counts[key] = self.counts.get(key, 0.0) + amount

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=st.integers(0, 3), kill=STEPS)
    def observe(self, key, amount, kill):
        Clock.left = kill if kill < 8 else -1
        count, total = self.observed.get(key, (0, 0.0))
        if self.killable(lambda: self.own[1].find(key)):
            self.settle_with(1, self.observed, key, {self.observed.get(key), (count, total)})
            return
        self.own[1].find(key).observe(amount)
        self.observed[key] = (count + 1, total + amount)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=st.integers(0, 3))
    def set(self, key, amount):
        self.own[2].find(key).set(amount)
        self.gauges[key] = amount

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, kill=STEPS)
    def remove(self, key, kill):
        Clock.left = kill if kill < 8 else -1
        if self.killable(lambda: self.own[0].remove(key)):
            self.settle_with(0, self.counts, key, {self.counts.get(key), None})
            return
        self.counts.pop(key, None)

    def interrupted(self, work, at):
        """Do something that a signal's handler may end; whatever is left of it is done by the next occasion."""
        Clock.left, Clock.what = at if at < 10 else -1, Interrupted
        try:
            work()
        except Interrupted:
            pass
        finally:
            Clock.left, Clock.what = -1, Killed
        self.worker._worker.do(lambda: None)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=st.integers(0, 5), at=STEPS)
    def count_interrupted(self, key, amount, at):
        self.interrupted(lambda: self.own[0].find(key), at)
        self.own[0].find(key).inc(amount)
        self.counts[key] = self.counts.get(key, 0.0) + amount

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=st.integers(0, 5), at=STEPS)
    def observe_interrupted(self, key, amount, at):
        self.interrupted(lambda: self.own[1].find(key), at)
        self.own[1].find(key).observe(amount)
        count, total = self.observed.get(key, (0, 0.0))
        self.observed[key] = (count + 1, total + amount)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, at=STEPS)
    def remove_interrupted(self, key, at):
        self.interrupted(lambda: self.own[0].remove(key), at)
        self.counts.pop(key, None)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=AMOUNTS, kill=STEPS)
    def observe_native(self, key, amount, kill):
        """The observation in flight may be lost."""
        Clock.left = kill if kill < 8 else -1
        is_killed = self.killable(lambda: self.own[3].find(key).observe(amount))
        self.settle_native(key, amount, {0, 1} if is_killed else {1})

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, amount=AMOUNTS, at=STEPS)
    def observe_native_interrupted(self, key, amount, at):
        """What an observation could not show, the next one does."""
        self.interrupted(lambda: self.own[3].find(key).observe(amount), at)
        self.own[3].find(key).observe(amount)
        self.settle_native(key, amount, {1, 2})

    def settle_native(self, key, amount, times):
        """Take as many observations of ``amount`` as are there."""
        before, found = self.amounts.get(key, []), self.read_natives().get(key)
        if found is not None:
            counted = int(found.count_value) - len(before)
            assert counted in times
            self.amounts[key] = [*before, *[amount] * counted]
        else:
            assert not before
            assert 0 in times

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, kill=STEPS)
    def remove_native(self, key, kill):
        Clock.left = kill if kill < 8 else -1
        if not self.killable(lambda: self.own[3].remove(key)) or key not in self.read_natives():
            self.amounts.pop(key, None)

    def settle_with(self, table, model, key, allowed):
        """Take what is there of a series after a kill, if it is one of the two things that it may be."""
        found = self.read()[table].get(key)
        assert found in allowed
        model.pop(key, None)
        if found is not None:
            model[key] = found

    @precondition(lambda self: self.worker is not None)
    @rule()
    def end(self):
        self.die()

    @invariant()
    def every_reading_is_the_model(self):
        assert self.read() == [self.counts, self.observed, self.gauges]
        natives = self.read_natives()
        assert natives.keys() == self.amounts.keys()
        assert all(has_amounts(natives[key], amounts) for key, amounts in self.amounts.items())


def has_amounts(native, amounts):
    """Return whether a native histogram has exactly these observations in its buckets."""
    keys = [find_key(amount, native.schema, native.zero_threshold) for amount in amounts]
    counts = {key: float(keys.count(key)) for key in keys}
    expected = merge_stages([(native.schema, native.zero_threshold, counts)], native.sum_value, native.nh_exemplars)
    return native == expected


Arena.TestCase.settings = settings(
    max_examples=examples(120), stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestArena = pytest.mark.slow(Arena.TestCase)
