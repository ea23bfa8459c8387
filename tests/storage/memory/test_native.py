"""Native histograms in memory: what a plain model of client_golang's rules has, and no lost observation."""

from __future__ import annotations

import time
from math import inf
from sys import float_info
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.errors import ExemplarError, MetricsError
from asyncmetrics.model.native import DEFAULT_ZERO_THRESHOLD, MIN_SCHEMA, find_bound, find_index
from asyncmetrics.storage import MemoryStorage
from asyncmetrics.storage.memory.stand_ins import copy_slots, link, make_stand_in
from tests.thoroughness import examples


class Model:
    """The buckets of a native histogram by client_golang's rules: a plain dict for each side of zero."""

    def __init__(
        self, native, max_buckets, zero_threshold=DEFAULT_ZERO_THRESHOLD, max_zero_threshold=0.0, min_reset_seconds=0.0
    ):
        self.first = native, zero_threshold
        self.max_buckets, self.max_zero_threshold = max_buckets, max_zero_threshold
        self.min_reset_seconds, self.reset_at, self.is_reset_scheduled = min_reset_seconds, time.time(), False
        self.reset()

    def reset(self):
        self.schema, self.zero_threshold = self.first
        self.sides, self.zeros, self.total = ({}, {}), 0, 0.0
        self.is_reset_scheduled, self.reset_at = False, time.time()

    def is_due(self):
        return bool(self.min_reset_seconds) and time.time() - self.reset_at >= self.min_reset_seconds

    def pass_time(self):
        """Do what a timer of client_golang does."""
        if self.is_reset_scheduled and self.is_due():
            self.reset()

    def observe(self, amount):
        if self.add(amount) and self.max_buckets and sum(map(len, self.sides)) > self.max_buckets:
            self.limit(amount)

    def add(self, amount):
        self.total += amount
        if abs(amount) <= self.zero_threshold:
            self.zeros += 1
            return False
        side, index = self.sides[amount < 0], find_index(amount, self.schema)
        is_new = index not in side
        side[index] = side.get(index, 0) + 1
        return is_new

    def limit(self, amount):
        if self.is_due():
            self.reset()
            self.add(amount)
            return
        self.is_reset_scheduled = True
        if not self.widen() and self.schema > MIN_SCHEMA:
            self.halve()

    def widen(self):
        nearest = min(min(side) for side in self.sides if side)
        bound = find_bound(nearest, self.schema)
        if self.zero_threshold >= self.max_zero_threshold or bound > self.max_zero_threshold:
            return False
        self.zero_threshold = bound
        self.zeros += sum(side.pop(nearest, 0) for side in self.sides)
        return True

    def halve(self):
        halves = ({}, {})
        for side, half in zip(self.sides, halves, strict=True):
            for index, count in side.items():
                half[(index + 1) // 2] = half.get((index + 1) // 2, 0) + count
        self.sides, self.schema = halves, self.schema - 1

    def show(self):
        count = self.zeros + sum(sum(side.values()) for side in self.sides)
        return count, self.total, self.schema, self.zero_threshold, self.zeros, *self.sides


def unpack(spans, deltas):
    counts, index, count, left = {}, 0, 0, iter(deltas or ())
    for span in spans or ():
        index += span.offset
        for _ in range(span.length):
            count += next(left)
            if count:
                counts[index] = count
            index += 1
    return counts


def show(histogram):
    native = histogram.read_native()
    sides = unpack(native.pos_spans, native.pos_deltas), unpack(native.neg_spans, native.neg_deltas)
    return native.count_value, native.sum_value, native.schema, native.zero_threshold, native.zero_count, *sides


def declare(*, locking=False, **options):
    registry = CollectorRegistry(storage=MemoryStorage(locking=locking))
    return Histogram("h", "H.", ["n"], native=options.pop("native", 5), registry=registry, **options).labels("x")


AMOUNTS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, 5e-324, 1.7976931348623157e308]),
    st.floats(1e-6, 1e6),
    st.floats(-10, 10),
    st.integers(-3, 30).map(lambda power: 1.1**power),
)
OPTIONS = st.fixed_dictionaries(
    {
        "native": st.integers(-4, 8),
        "max_buckets": st.none() | st.integers(1, 12),
        "zero_threshold": st.sampled_from([0.0, 2.938735877055719e-39, 0.001]),
        "max_zero_threshold": st.sampled_from([0.0, 0.1, 3.0]),
    }
)


@pytest.mark.parametrize("locking", [False, True], ids=["lock-free", "locking"])
@pytest.mark.parametrize("buckets", [(), (0.0, 1.0)], ids=["native only", "both"])
@settings(max_examples=examples(300))
@given(options=OPTIONS, amounts=st.lists(AMOUNTS, max_size=60), exemplars=st.booleans())
def test_every_sequence_of_observations_has_the_buckets_of_the_model(buckets, locking, options, amounts, exemplars):
    child = declare(buckets=buckets, locking=locking, **options)
    model = Model(**options)
    for amount in amounts:
        child.observe(amount, {"trace_id": "a"} if exemplars else None)
        model.observe(amount)
    assert show(child) == model.show()
    assert child.read_numbers()[-2] == len(amounts)


BUCKETS = pytest.mark.parametrize("buckets", [(), (1.0, 10.0)], ids=["native only", "both"])


@BUCKETS
@settings(max_examples=examples(300))
@given(
    options=OPTIONS,
    steps=st.lists(st.tuples(st.sampled_from([0, 0, 0, 7]), AMOUNTS), max_size=40),
    wait=st.sampled_from([5, 20]),
)
def test_a_child_that_is_read_resets_when_the_model_does(buckets, options, steps, wait):
    now = 1000.0
    with patch.object(time, "time", lambda: now):
        child = declare(buckets=buckets, min_reset_seconds=wait, **options)
        model = Model(**options, min_reset_seconds=wait)
        for seconds, amount in steps:
            now += seconds
            model.pass_time()
            child.read_numbers()
            child.observe(amount)
            model.observe(amount)
        assert show(child) == model.show()
        assert (child.created, child.read_numbers()[-2]) == (model.reset_at, model.show()[0])


@BUCKETS
def test_a_reset_that_is_due_is_done_at_the_next_new_bucket(buckets):
    now = 1000.0
    with patch.object(time, "time", lambda: now):
        child = declare(buckets=buckets, max_buckets=2, min_reset_seconds=60)
        for amount in (1, 2, 4):
            child.observe(amount)
        now += 60
        child.observe(1)
        assert child.read_native().count_value == 4
        child.observe(8)
    assert show(child)[:3] == (1, 8, 5)
    assert child.read_counts()[1] == 8


@BUCKETS
def test_a_zero_bucket_that_gets_wider_costs_no_memory(buckets):
    """Small numbers before large ones widen it once for each further bucket."""
    options = {"native": 5, "max_buckets": 20, "max_zero_threshold": 1.0}
    child, model = declare(buckets=buckets, **options), Model(**options)
    for power in range(-400, 0):
        child.observe(2 ** (power / 32))
        model.observe(2 ** (power / 32))
    assert show(child) == model.show()
    assert child._stages is None
    assert len(child._stage[3]) <= 401


@BUCKETS
def test_a_timer_follows_a_change_of_stage(buckets):
    child = declare(buckets=buckets, max_buckets=1, native=2)
    record, model = child.recorder(), Model(2, 1)
    for seconds in (0.5, 1.5, 0.0, 1.5, 3.0, 1e9, 0.5):
        record(seconds)
        model.observe(seconds)
    assert model.schema < 0
    assert show(child) == model.show()


@BUCKETS
def test_an_observation_of_nan_is_dropped_and_counted(buckets):
    registry = CollectorRegistry()
    histogram = Histogram("h", "H.", native=True, buckets=buckets, registry=registry)
    histogram.observe(float("nan"))
    assert registry.get_sample_value("asyncmetrics_dropped_observations_total", {"metric": "h"}) == 1
    assert registry.get_sample_value("h_count") == 0


@BUCKETS
@pytest.mark.parametrize("change", ["add_number", "set_number"])
def test_no_number_of_a_native_histogram_can_be_changed_alone(buckets, change):
    child = declare(buckets=buckets, ttl=60)
    with pytest.raises(MetricsError, match=r"h\{n='x'\}: no number .* use observe\(\)"):
        getattr(child, change)(0, 1.0)


@BUCKETS
def test_an_observation_is_a_change_for_the_ttl(buckets, monkeypatch):
    child = declare(buckets=buckets, ttl=60)
    later = child.changed_at + 59
    monkeypatch.setattr(time, "monotonic", lambda: later)
    child.recorder()(1.0)
    assert child.changed_at == later


def test_infinite_observations_have_buckets_of_their_own():
    child = declare(buckets=())
    for amount in (inf, -inf, float_info.max):
        child.observe(amount)
    last = find_index(float_info.max, 5)
    assert show(child)[-2:] == ({last: 1, last + 1: 1}, {last + 1: 1})


@BUCKETS
def test_exemplars_come_in_the_order_of_their_times(buckets):
    child = declare(buckets=buckets)
    for amount in (100, 5, 0.5):
        child.observe(amount, {"trace_id": str(amount)})
    assert [exemplar.value for exemplar in child.read_native().nh_exemplars] == [100, 5, 0.5]


def test_a_power_of_two_has_one_exemplar_and_a_native_histogram_ten():
    child = declare(buckets=())
    for power in range(20):
        child.observe(2.0**power * 1.5, {"trace_id": "first"})
        child.observe(2.0**power * 1.25, {"trace_id": "second"})
    exemplars = child.read_native().nh_exemplars
    assert [exemplar.value for exemplar in exemplars] == [2.0**power * 1.25 for power in range(10, 20)]
    assert child.read_exemplars() == {0: exemplars[-1]}


@BUCKETS
def test_a_refused_exemplar_changes_nothing(buckets):
    child = declare(buckets=buckets)
    with pytest.raises(ExemplarError):
        child.observe(1.0, {"trace_id": 1})
    assert child.read_native().count_value == 0


@pytest.mark.parametrize("locking", [False, True], ids=["lock-free", "locking"])
@BUCKETS
def test_a_stand_in_passes_every_observation_on(buckets, locking):
    """Also what bound methods and timers from before observe."""
    old, new = (declare(buckets=buckets, locking=locking, max_buckets=2) for _ in range(2))
    model = Model(5, 2)
    record, observe = old.recorder(), old.observe
    for amount in (1, 2, 4):
        old.observe(amount)
        model.observe(amount)
    make_stand_in(old)
    copy_slots(old, new)
    link(old, new)
    for amount in (2, -3, 1, 0, 90):
        record(amount * 1.0)
        observe(amount)
        for _ in range(2):
            model.observe(amount)
    assert show(new) == model.show() == show(old)
    assert new.read_numbers() == old.read_numbers()
    assert new.read_numbers()[-2:] == type(new.read_numbers())(model.show()[:2])


@BUCKETS
@pytest.mark.parametrize("method", ["_make_stage", "_restart"])
def test_a_child_that_becomes_a_stand_in_while_it_is_reset_counts_once(buckets, method, monkeypatch):
    old, new = (declare(buckets=buckets, max_buckets=2, min_reset_seconds=1e-9) for _ in range(2))
    for amount in (1, 2):
        old.observe(amount)
    do = getattr(type(old), method)

    def convert(child, *arguments):
        monkeypatch.undo()
        make_stand_in(old)
        copy_slots(old, new)
        link(old, new)
        return do(child, *arguments)

    monkeypatch.setattr(type(old), method, convert)
    old.observe(4)
    assert show(new)[:2] == (3, 7)
    assert new.read_counts()[1] == 7


@BUCKETS
def test_a_thread_that_found_its_bucket_before_a_stand_in_took_over_loses_nothing(buckets):
    old, new = (declare(buckets=buckets) for _ in range(2))
    old.observe(1)
    bounds, _, _, counts, _ = old._stage
    make_stand_in(old)
    copy_slots(old, new)
    link(old, new)
    counts[len(bounds)] = counts[len(bounds)] + 1.0  # what the thread does next
    old._sum = old._sum + 1.0
    assert show(new)[:2] == (2, 2)
