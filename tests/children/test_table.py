"""The table of children against a model: no reading has a child twice, or misses one that stays."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asyncmetrics.children import listing
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage import MemoryStorage
from tests.thoroughness import examples

KEYS = st.integers(0, 12).map(lambda number: (str(number),))


class Table(RuleBasedStateMachine):
    """Create, remove, clear and read, a slice at a time, with segments of three."""

    def __init__(self):
        super().__init__()
        listing._SEGMENT = listing._FIRST_SEGMENT = 3
        self.table = MemoryStorage().open(Descriptor("counter", "c", "C.", ("n",)), SelfMetrics(MemoryStorage()))
        self.model: dict[tuple[str], object] = {}
        self.reading = None

    def teardown(self):
        listing._SEGMENT, listing._FIRST_SEGMENT = 256, 4

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


Table.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)

TestTable = Table.TestCase
