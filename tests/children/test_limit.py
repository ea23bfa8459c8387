"""``max_children``: how many label sets a metric has beside the overflow child, in every storage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncmetrics import Counter

LIMIT = 3
OVERFLOW = "__overflow__"


@pytest.fixture
def counter(registry):
    return Counter("c", "C.", ["n"], max_children=LIMIT, registry=registry)


def read(metric):
    return {s.labels["n"]: s.value for family in metric.collect() for s in family.samples}


def count(counter, names):
    for name in names:
        counter.labels(name).inc()


def test_the_overflow_child_takes_no_place(counter):
    count(counter, "abcd")
    counter.remove("a")
    count(counter, "ef")
    assert read(counter) == {"b": 1, "c": 1, "e": 1, OVERFLOW: 2}


def test_a_limit_of_one_has_one_child_beside_the_overflow_child(registry):
    counter = Counter("c", "C.", ["n"], max_children=1, registry=registry)
    count(counter, "abc")
    counter.remove("a")
    count(counter, "dd")
    assert read(counter) == {"d": 2, OVERFLOW: 2}


def test_an_overflow_child_that_the_program_asked_for_first_takes_no_place(counter):
    count(counter, [OVERFLOW, "a", "b", "c", "d"])
    assert read(counter) == {OVERFLOW: 2, "a": 1, "b": 1, "c": 1}


def test_an_overflow_child_that_was_removed_comes_back_from_zero_when_it_is_needed(counter):
    count(counter, "abcd")
    counter.remove(OVERFLOW)
    assert OVERFLOW not in read(counter)
    count(counter, "e")
    assert read(counter) == {"a": 1, "b": 1, "c": 1, OVERFLOW: 1}


def test_to_ask_for_the_overflow_child_is_no_use_beyond_the_limit(registry, counter):
    count(counter, "abc")
    counter.labels(OVERFLOW).inc()
    name = "asyncmetrics_overflowed_label_sets_total"
    assert registry.get_sample_value(name, {"metric": "c"}) in {None, 0}


def test_after_clear_there_is_room_for_all(counter):
    count(counter, "abcd")
    counter.clear()
    count(counter, "efgh")
    assert read(counter) == {"e": 1, "f": 1, "g": 1, OVERFLOW: 1}


def test_label_values_that_only_begin_as_the_overflow_child_take_a_place(registry):
    counter = Counter("c", "C.", ["n", "m"], max_children=1, registry=registry)
    counter.labels(OVERFLOW, "x")
    counter.labels("a", "x")
    labels = {tuple(s.labels.values()) for family in counter.collect() for s in family.samples}
    assert labels == {(OVERFLOW, "x"), (OVERFLOW, OVERFLOW)}


def test_threads_at_the_limit_lose_no_count(counter):
    def use(worker):
        for number in range(200):
            counter.labels(f"{worker} {number % 7}").inc()
            if number % 50 == worker:
                read(counter)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert sum(read(counter).values()) == 800
