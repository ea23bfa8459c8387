"""Exemplars in an arena whose owner is killed, or interrupted, between any two steps."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, precondition, rule

from tests.storage.shared.files.test_kills import KEYS, STEPS, Arena, Clock
from tests.thoroughness import examples

pytestmark = pytest.mark.blocking  # as test_kills


class ArenaWithExemplars(Arena):
    """The machine of `test_kills`, in which counters and histograms get exemplars: each one has another trace."""

    def __init__(self):
        super().__init__()
        self.exemplars = ({}, {})  # of counters and histograms, the trace of each key
        self.traces = 0

    def make_trace(self):
        self.traces += 1
        return {"trace_id": f"{self.traces:032x}"}

    def read_traces(self, table):
        points = [point for batch in self.tables[table].read() for point in batch]
        return {
            point.labelvalues: int(exemplar.labels["trace_id"], 16)
            for point in points
            for exemplar in point.read_exemplars().values()
        }

    def share(self, table, model, key):
        """Give a child an exemplar after it has counted; a kill loses it, or leaves the one before it."""
        child = self.own[table].find(key)
        child.inc(0, self.make_trace()) if table == 0 else child.observe(0.5, self.make_trace())
        self.exemplars[table][key] = self.traces

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, kill=STEPS)
    def count_with_exemplar(self, key, kill):
        self.count(key, 0, 12)
        Clock.left = kill if kill < 10 else -1
        if self.killable(lambda: self.share(0, self.counts, key)):
            self.settle_exemplar(0, key)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, kill=STEPS)
    def observe_with_exemplar(self, key, kill):
        self.observe(key, 0, 12)
        before = self.observed[key]
        Clock.left = kill if kill < 10 else -1
        after = (before[0] + 1, before[1] + 0.5)
        if not self.killable(lambda: self.share(1, self.observed, key)):
            self.observed[key] = after
            return
        self.settle_with(1, self.observed, key, {before, after})
        self.settle_exemplar(1, key)

    @precondition(lambda self: self.worker is not None)
    @rule(key=KEYS, at=STEPS)
    def count_with_exemplar_interrupted(self, key, at):
        self.count(key, 0, 12)
        self.interrupted(lambda: self.share(0, self.counts, key), at)
        self.share(0, self.counts, key)

    def settle_exemplar(self, table, key):
        """Take the exemplar that is there after a kill, if it is the last one of this series, or the one before."""
        found = self.read_traces(table).get(key)
        assert found in {None, self.exemplars[table].get(key), self.traces}
        self.exemplars[table].pop(key, None)
        if found is not None:
            self.exemplars[table][key] = found

    @invariant()
    def every_exemplar_is_that_of_its_series(self):
        for table, model in enumerate((self.counts, self.observed)):
            own = self.exemplars[table]
            for key in own.keys() - model.keys():  # the series was removed
                del own[key]
            assert self.read_traces(table) == own


ArenaWithExemplars.TestCase.settings = settings(
    max_examples=examples(90), stateful_step_count=30, suppress_health_check=list(HealthCheck), deadline=None
)
TestArenaWithExemplars = pytest.mark.slow(ArenaWithExemplars.TestCase)
