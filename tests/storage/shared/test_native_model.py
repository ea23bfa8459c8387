"""Native histograms of several workers against a list of all observations, for any sequence of operations."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.model.native import find_key, merge_stages
from asyncmetrics.storage import SharedStorage
from tests.storage.readings import read_natives
from tests.thoroughness import examples

pytestmark = pytest.mark.blocking  # no test has a loop, and to watch for one slows down each lock

KEYS = st.sampled_from("xyz")
WORKERS = st.integers(0, 2)
AMOUNTS = st.one_of(st.integers(-60, 60).map(lambda power: 1.1**power), st.floats(allow_nan=False, width=32))


class Workers(RuleBasedStateMachine):
    """Up to three workers in three slots; a slot keeps the observations of a worker that has ended."""

    def __init__(self):
        super().__init__()
        self.path = tempfile.mkdtemp()
        self.workers: list[tuple[CollectorRegistry, Histogram] | None] = [None] * 3
        self.slots: list[dict[str, list[float]]] = [{} for _ in range(3)]
        self.held = {}

    @initialize(schema=st.integers(-4, 8), limit=st.integers(1, 40), buckets=st.sampled_from([(), (-1, 1)]))
    def declare(self, schema, limit, buckets):
        self.options = {"native": schema, "max_buckets": limit, "buckets": buckets}
        self.start()

    @precondition(lambda self: None in self.workers)
    @rule(locking=st.booleans())
    def start(self, locking=False):
        """A new worker takes the lowest slot that has no owner."""
        registry = CollectorRegistry(storage=SharedStorage(self.path, serves=False, locking=locking))
        histogram = Histogram("h", "H.", ["n"], registry=registry, **self.options)
        self.workers[self.workers.index(None)] = registry, histogram

    def choose(self, number):
        slots = [slot for slot, worker in enumerate(self.workers) if worker]
        return slots[number % len(slots)] if slots else None

    @rule(number=WORKERS, key=KEYS, amounts=st.lists(AMOUNTS, max_size=20))
    def observe(self, number, key, amounts):
        slot = self.choose(number)
        if slot is not None:
            child = self.workers[slot][1].labels(key)
            self.held[slot, key] = child
            for amount in amounts:
                child.observe(amount)
            self.slots[slot].setdefault(key, []).extend(amounts)

    @rule(number=WORKERS, key=KEYS)
    def remove(self, number, key):
        """Of a series, a worker removes its own numbers and those of workers that have ended."""
        slot = self.choose(number)
        if slot is not None:
            self.workers[slot][1].remove(key)
            for other, worker in enumerate(self.workers):
                if worker is None or other == slot:
                    self.slots[other].pop(key, None)

    @rule(number=WORKERS, key=KEYS, amount=AMOUNTS)
    def observe_after_removal(self, number, key, amount):
        """A child that was removed counts on, and nothing of it is exposed."""
        slot = self.choose(number)
        child = self.held.get((slot, key))
        if child is not None and key not in self.slots[slot]:
            child.observe(amount)

    @rule(number=WORKERS)
    def end(self, number):
        slot = self.choose(number)
        if slot is not None:
            self.workers[slot][0].storage.close()
            self.workers[slot] = None
            self.held = {(other, key): child for (other, key), child in self.held.items() if other != slot}

    @invariant()
    def every_worker_exposes_all_observations(self):
        expected: dict[str, list[float]] = {}
        for slot in self.slots:
            for key, amounts in slot.items():
                expected.setdefault(key, []).extend(amounts)
        for worker in filter(None, self.workers):
            natives = {key: native for (key,), native in read_natives(worker[0]).items()}
            assert natives.keys() == expected.keys()
            for key, amounts in expected.items():
                native = natives[key]
                keys = [find_key(amount, native.schema, native.zero_threshold) for amount in amounts]
                stage = native.schema, native.zero_threshold, {one: float(keys.count(one)) for one in keys}
                assert native == merge_stages([stage], native.sum_value, native.nh_exemplars)

    def teardown(self):
        for worker in filter(None, self.workers):
            worker[0].storage.close()
        shutil.rmtree(self.path)


Workers.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
TestWorkers = pytest.mark.slow(Workers.TestCase)
