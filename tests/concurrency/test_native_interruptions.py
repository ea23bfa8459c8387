"""What interrupts an observation of a shared native histogram, where CPython may switch, breaks nothing."""

from __future__ import annotations

import sys
import threading
from functools import cache
from itertools import count

import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.storage import SharedStorage
from tests.concurrency.explorer.stops import find_switch_points
from tests.forks import run_forked
from tests.storage.readings import read_natives
from tests.thoroughness import IS_THOROUGH

pytestmark = [pytest.mark.slow, pytest.mark.blocking]
STRIDE = 1 if IS_THOROUGH else 7
find_points = cache(find_switch_points)


def get_stride(name):
    """Return the distance of the points of an observation that are tried."""
    return 1 if name == "no bucket" else STRIDE  # it has few points


class Stopped(Exception):  # noqa: N818  # what a signal handler raises
    """What a signal handler raises."""


def call_at(opcode, action, work):
    """Call ``work``, and ``action`` at its point of that number where CPython may switch; return whether it has it."""
    left = opcode

    def trace(frame, event, _):
        nonlocal left
        if "/asyncmetrics/" not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return None
        frame.f_trace = trace  # before the next line, which CPython 3.13 else ignores
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and frame.f_lasti in find_points(frame.f_code):
            left -= 1
            if left == 0:
                sys.settrace(None)
                action()
        return trace

    sys._getframe().f_trace_opcodes = True  # before `settrace`, which looks for it since CPython 3.12
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return left <= 0


def in_thread(action):
    """Do something in another thread, which ends before this one goes on."""

    def act():
        thread = threading.Thread(target=action)
        thread.start()
        thread.join()

    return act


class Scene:
    """A native histogram with a new series at each attempt; ``amounts`` are those that must be exposed."""

    def __init__(self, path, buckets):
        self.registry = CollectorRegistry(storage=SharedStorage(str(path), serves=False))
        options = {"native": 4, "max_buckets": 15, "buckets": buckets}
        self.histogram = Histogram("h", "H.", ["n"], registry=self.registry, **options)
        self.keys = count()

    def begin(self):
        self.key = str(next(self.keys))
        self.child = self.histogram.labels(self.key)
        self.counted = 0
        for power in range(14):  # as many as a block has
            self.observe(1.5**power)

    def observe(self, amount):
        self.histogram.labels(self.key).observe(amount)
        self.counted += 1

    def observe_held(self, amount):
        self.child.observe(amount)
        self.counted += 1

    def remove(self):
        self.histogram.remove(self.key)
        self.counted = 0

    def read(self):
        return read_natives(self.registry)

    def end(self):
        """Check what is exposed, and free the cells for the next attempt."""
        found = self.read().get((self.key,))
        self.histogram.remove(self.key)
        return found


OBSERVATIONS = {
    "a bucket": lambda scene: scene.observe_held(0.75),
    "a stage": lambda scene: [scene.observe_held(0.75), scene.observe_held(0.5)],
    "no bucket": lambda scene: scene.observe_held(1.0),
}
INTERRUPTIONS = {
    "the same bucket": lambda scene: scene.observe_held(0.75),
    "two buckets": lambda scene: [scene.observe_held(0.25), scene.observe_held(0.125)],
    "in a thread": lambda scene: in_thread(lambda: scene.observe_held(0.75))(),
    "two in a thread": lambda scene: in_thread(lambda: [scene.observe_held(0.25), scene.observe_held(0.125)])(),
    "a reading": lambda scene: scene.read(),
    "a fork": lambda scene: run_forked(lambda: [scene.child.observe(9.0), scene.histogram.remove(scene.key)]),
}
BOTH = pytest.mark.parametrize("buckets", [(), (1, 2)], ids=["native only", "both"])


@pytest.mark.parametrize("name", OBSERVATIONS)
@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_observation_that_is_interrupted_loses_nothing(tmp_path, name, interruption):
    scene = Scene(tmp_path / "m", (1, 2))
    stride = get_stride(name) * (8 if interruption == "a fork" else 1)
    for opcode in range(1, 100_000, stride):
        scene.begin()
        has_run = call_at(opcode, lambda: INTERRUPTIONS[interruption](scene), lambda: OBSERVATIONS[name](scene))
        assert scene.end().count_value == scene.counted, opcode
        if not has_run:
            break
    assert opcode > stride


@BOTH
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_an_observation_that_a_handler_ends_is_counted_once_or_not_at_all(tmp_path, name, buckets):
    """What is not exposed then is exposed after the next observation of the series."""
    scene, stride = Scene(tmp_path / "m", buckets), get_stride(name)

    def stop():
        raise Stopped

    for opcode in range(1, 100_000, stride):
        scene.begin()
        try:
            has_run = call_at(opcode, stop, lambda: OBSERVATIONS[name](scene))
        except Stopped:
            has_run = True
        before = scene.counted
        scene.observe_held(1.0)
        own = scene.child.read_native()
        assert scene.end() == own, opcode
        assert own.count_value in {before + 1, before + 2}, opcode
        if not has_run:
            break
    assert opcode > stride


@BOTH
@pytest.mark.parametrize("name", OBSERVATIONS)
@pytest.mark.parametrize("where", ["in a handler", "in a thread"])
def test_a_series_that_is_removed_during_an_observation_starts_again_from_zero(tmp_path, name, where, buckets):
    scene, stride = Scene(tmp_path / "m", buckets), get_stride(name)
    act = scene.remove if where == "in a handler" else in_thread(scene.remove)
    for opcode in range(1, 100_000, stride):
        scene.begin()
        has_run = call_at(opcode, act, lambda: OBSERVATIONS[name](scene))
        assert has_run == (scene.end() is None), opcode
        scene.counted = 0
        for power in range(20):
            scene.observe(1.5**power)
        assert scene.end().count_value == 20, opcode
        if not has_run:
            break
    assert opcode > stride


@pytest.mark.parametrize("where", ["in a handler", "in a thread"])
def test_a_child_that_is_made_during_the_removal_of_another_starts_from_zero(tmp_path, where):
    scene = Scene(tmp_path / "m", ())

    def make():
        for power in range(-3, 4):
            scene.child.observe(1.5**power)
            scene.histogram.labels(scene.key).observe(1.5**power)

    act = make if where == "in a handler" else in_thread(make)
    for opcode in range(1, 100_000, STRIDE):
        scene.begin()
        has_run = call_at(opcode, act, scene.remove)
        scene.child.observe(1.0)
        if not has_run:
            break
        own = scene.histogram.labels(scene.key).read_native()
        scene.histogram.labels(scene.key).observe(1.5)
        assert scene.read()[scene.key,] == scene.histogram.labels(scene.key).read_native(), opcode
        assert own.count_value <= 7, opcode
        scene.end()
    assert opcode > STRIDE
