"""The table of children against a model: no reading has a child twice, or misses one that stays."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.children import table
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage import MemoryStorage

KEYS = st.integers(0, 12).map(lambda number: (str(number),))


class Table(RuleBasedStateMachine):
    """Create, remove, clear and read, a slice at a time, with segments of three."""

    def __init__(self):
        super().__init__()
        table._SEGMENT = 3
        self.table = MemoryStorage().open(Descriptor("counter", "c", "C.", ("n",)), SelfMetrics(MemoryStorage()))
        self.model: dict[tuple[str], object] = {}
        self.reading = None

    def teardown(self):
        table._SEGMENT = 256

    @rule(key=KEYS)
    def find(self, key):
        child = self.table.find(key)
        assert self.model.setdefault(key, child) is child

    @rule(key=KEYS)
    def remove(self, key):
        self.table.remove(key)
        gone = self.model.pop(key, None)
        if self.reading:
            self.reading["stays"].discard(gone)

    @rule()
    def clear(self):
        self.table.clear()
        self.model.clear()
        if self.reading:
            self.reading["stays"].clear()

    @rule()
    def begin(self):
        self.reading = {"batches": self.table.read(), "seen": [], "stays": set(self.model.values())}

    @rule()
    def go_on(self):
        if self.reading:
            batch = next(self.reading["batches"], None)
            if batch is not None:
                self.reading["seen"] += batch
                return
            seen = self.reading["seen"]
            assert len({child.labelvalues for child in seen}) == len(seen)
            assert self.reading["stays"] <= set(seen)
            self.reading = None

    @invariant()
    def a_whole_reading_is_the_model(self):
        assert [child for batch in self.table.read() for child in batch] == list(self.model.values())


Table.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestTable = Table.TestCase


class Tail(list):
    """The segment that grows, of a table that another thread uses just before a new child is put into it."""

    meanwhile = None

    def append(self, child):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        super().append(child)
        if meanwhile:
            self.read = [found for batch in self.table.slices() for found in batch]


def test_a_reading_leaves_out_a_child_that_was_removed_while_it_was_created():
    """Another child has its label values by then, and no reading may have both."""
    children = MemoryStorage().open(Descriptor("counter", "c", "C.", ("n",)), SelfMetrics(MemoryStorage()))
    tail = children._tail = Tail()
    children._segments = {id(tail): tail}
    tail.table = children
    others = []

    def meanwhile():
        children.remove(("x",))
        others.append(children.find(("x",)))

    tail.meanwhile = meanwhile
    removed = children.find(("x",))
    assert removed is not others[0]
    assert tail.read == others


@pytest.fixture(params=[False, True], ids=["lock-free", "locking"])
def storage_registry(request):
    return CollectorRegistry(storage=MemoryStorage(locking=request.param))


def test_children_of_either_kind_count_the_same(storage_registry):
    Counter("c", "C.", registry=storage_registry).inc(2)
    gauge = Gauge("g", "G.", registry=storage_registry)
    gauge.set(5)
    gauge.inc()
    gauge.dec(3)
    Summary("s", "S.", registry=storage_registry).observe(4)
    Histogram("h", "H.", registry=storage_registry).observe(0.2)
    value = storage_registry.get_sample_value
    assert [value("c_total"), value("g"), value("s_sum"), value("h_bucket", {"le": "0.25"})] == [2, 3, 4, 1]


def test_a_child_that_locks_can_be_used_inside_itself(storage_registry):
    """As a signal handler would: the lock is taken already."""
    counter = Counter("c", "C.", ["n"], registry=storage_registry)
    child = counter.labels("x")
    lock = getattr(child, "_lock", threading.RLock())
    with lock:
        child.inc()
    assert child.value == 1


def test_threads_that_create_and_remove_lose_no_child_that_stays(storage_registry):
    counter = Counter("c", "C.", ["n"], registry=storage_registry)
    for number in range(500):
        counter.labels(f"stays {number}")
    stop = threading.Event()

    def churn(name):
        number = 0
        while not stop.is_set():
            counter.labels(f"{name} {number}").inc()
            counter.remove(f"{name} {number}")
            number += 1

    threads = [threading.Thread(target=churn, args=(str(n),)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            (family,) = storage_registry.collect()
            found = [sample.labels["n"] for sample in family.samples]
            assert len(found) == len(set(found))
            assert sum(name.startswith("stays") for name in found) == 500
    finally:
        stop.set()
        for thread in threads:
            thread.join()
