"""Choosing children by labels, removing them, and the limits on how many there are."""

from __future__ import annotations

import enum
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncmetrics import Counter, Gauge, Histogram, generate_latest
from asyncmetrics.children import expiry
from asyncmetrics.errors import LabelError


@pytest.fixture
def counter(registry):
    return Counter("c", "C.", ["method", "route"], registry=registry)


@pytest.fixture
def series(registry):
    """Give every child's labels and value of the metric c."""
    return lambda: {
        tuple(s.labels.values()): s.value for f in registry.collect() for s in f.samples if s.name == "c_total"
    }


def test_values_in_order_and_by_name_choose_the_same_child(counter):
    assert counter.labels("GET", "/") is counter.labels(route="/", method="GET")


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_a_child_is_found_again_by_any_number_of_names(names, registry):
    counter = Counter("c", "C.", list(names), registry=registry)
    found = counter.labels(**{name: f"of {name}" for name in reversed(names)})
    assert found is counter.labels(*(f"of {name}" for name in names))
    assert found is counter.labels(**{name: f"of {name}" for name in names})


def test_a_value_that_is_given_by_name_is_its_text(counter, series):
    for value in (1, "1", [1]):
        counter.labels(method="GET", route=value).inc()
    assert series() == {("GET", "1"): 2, ("GET", "[1]"): 1}


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1.0"), (True, "True"), (None, "None"), ([1], "[1]"), (Colour.RED, "red"), ("\ud800x", "\ufffdx")],
)
def test_a_value_is_its_text(value, text, counter, series):
    counter.labels(value, "/").inc()
    counter.labels(value, "/").inc()
    assert series() == {(text, "/"): 2}


def test_values_that_are_equal_but_differ_as_text_are_different_children(counter, series):
    for value in (1, 1.0, True, "1"):
        counter.labels(value, "/").inc()
    assert series() == {("1", "/"): 2, ("1.0", "/"): 1, ("True", "/"): 1}


@pytest.mark.parametrize(
    ("values", "named", "told"),
    [
        (("GET",), {}, "method"),
        (("GET", "/", "x"), {}, "route"),
        ((), {"method": "GET"}, "missing.*route"),
        ((), {"method": "GET", "route": "/", "odd": 1}, "unknown.*odd"),
        ((), {"method": "GET", "odd": 1}, r"missing \['route'\], unknown \['odd'\]"),
        (("GET",), {"route": "/"}, "in order or by name"),
        (("GET", "/"), {"method": "GET", "route": "/"}, "in order or by name"),
        ((), {}, "values"),
    ],
)
def test_labels_that_do_not_fit_are_an_error_that_names_them(values, named, told, counter):
    counter.labels("GET", "/")  # which the labels would find
    with pytest.raises(LabelError, match=told):
        counter.labels(*values, **named)


def test_a_metric_without_labels_takes_none_by_name(registry):
    with pytest.raises(LabelError, match="unknown.*odd"):
        Counter("x", "X.", registry=registry).labels(odd=1)


def test_a_metric_with_labels_has_no_number_of_its_own(counter):
    with pytest.raises(LabelError, match="method"):
        counter.inc()


def test_labels_cannot_be_chained(counter):
    with pytest.raises(LabelError, match="chained"):
        counter.labels("GET", "/").labels("GET", "/")


def test_a_labelled_child_is_exposed_from_labels_on(counter, series):
    counter.labels("GET", "/")
    assert series() == {("GET", "/"): 0}


def test_a_removed_child_is_gone_and_a_new_one_starts_at_zero(counter, series):
    held = counter.labels("GET", "/")
    held.inc(5)
    counter.remove("GET", "/")
    held.inc()
    assert series() == {}
    counter.labels("GET", "/").inc()
    assert series() == {("GET", "/"): 1}


def test_removing_what_is_not_there_is_no_error(counter):
    counter.remove("GET", "/nothing")


@pytest.mark.parametrize("values", [(), ("GET",), ("GET", "/", "x")])
def test_removing_needs_every_value(values, counter):
    with pytest.raises(LabelError, match="method"):
        counter.remove(*values)


def test_a_metric_without_labels_has_nothing_to_remove(registry):
    with pytest.raises(LabelError, match="no labels"):
        Counter("x", "X.", registry=registry).remove()


def test_children_are_removed_by_some_of_their_labels(counter, series):
    for method in ("GET", "PUT"):
        for route in ("/", "/x"):
            counter.labels(method, route)
    counter.remove_by_labels({"method": "GET"})
    assert set(series()) == {("PUT", "/"), ("PUT", "/x")}
    counter.remove_by_labels({})
    assert len(series()) == 2


def test_removing_by_an_unknown_label_is_an_error(counter):
    with pytest.raises(LabelError, match="odd"):
        counter.remove_by_labels({"odd": "x"})
    with pytest.raises(TypeError, match="mapping"):
        counter.remove_by_labels([("method", "GET")])


def test_clear_takes_every_child(counter, series):
    counter.labels("GET", "/").inc()
    counter.clear()
    assert series() == {}
    counter.labels("GET", "/").inc()
    assert series() == {("GET", "/"): 1}


def test_clear_leaves_a_metric_without_labels_its_number(registry):
    counter = Counter("x", "X.", registry=registry)
    counter.inc()
    counter.clear()
    assert registry.get_sample_value("x_total") == 1


def test_past_the_limit_new_label_sets_share_one_child_and_are_counted(registry, series):
    counter = Counter("c", "C.", ["a", "b"], max_children=2, registry=registry)
    for number in range(5):
        counter.labels(number, "x").inc()
    counter.labels(0, "x").inc()
    assert series() == {("0", "x"): 2, ("1", "x"): 1, ("__overflow__", "__overflow__"): 3}
    assert registry.get_sample_value("asyncmetrics_overflowed_label_sets_total", {"metric": "c"}) == 3


def test_removing_makes_room_below_the_limit(registry, series):
    counter = Counter("c", "C.", ["a"], max_children=1, registry=registry)
    counter.labels("x")
    counter.remove("x")
    counter.labels("y")
    assert series() == {("y",): 0}


def test_a_limit_can_be_lifted(registry, series):
    counter = Counter("c", "C.", ["a"], max_children=None, registry=registry)
    for number in range(300):
        counter.labels(number)
    assert len(series()) == 300


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(expiry, "time", clock)
    return clock


def test_a_child_that_does_not_change_leaves_after_its_time(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    counter.labels("idle").inc()
    counter.labels("busy").inc()
    series()
    clock.now += 30
    counter.labels("busy").inc()
    assert len(series()) == 2
    clock.now += 30
    assert series() == {("busy",): 2}


def test_a_stale_child_without_references_starts_again_from_zero(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    counter.labels("x").inc(5)
    series()
    clock.now += 60
    assert series() == {}
    counter.labels("x").inc()
    assert series() == {("x",): 1}


def test_a_stale_child_that_is_held_comes_back_with_its_number_when_it_changes(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    held = counter.labels("x")
    held.inc(5)
    series()
    clock.now += 60
    assert series() == {}
    held.inc()
    assert series() == {("x",): 6}
    assert counter.labels("x") is held


def test_a_stale_child_that_is_held_is_found_by_its_labels(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    held = counter.labels("x")
    series()
    clock.now += 60
    assert series() == {}
    assert counter.labels("x") is held
    assert series() == {}
    counter.labels("x").inc()
    assert series() == {("x",): 1}


def test_nothing_is_lost_of_a_child_that_is_found_before_and_counts_after_it_went_stale(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    counter.labels("x").inc(5)
    series()
    clock.now += 60
    found = counter.labels("x")
    assert series() == {}
    found.inc()
    del found
    assert series() == {("x",): 6}


def test_a_stale_child_without_references_is_freed_at_the_next_reading(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    reference = weakref.ref(counter.labels("x"))
    series()
    clock.now += 60
    series()
    series()
    assert reference() is None


def test_threads_that_read_leave_children_with_a_time_to_live_as_they_are(registry, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    held = [counter.labels(number) for number in range(300)]

    def read(_):
        for number in range(200):
            clock.now += 100
            generate_latest(registry)
            held[number].inc()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    for child in held:
        child.inc()
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("c_total")]
    assert sorted(lines) == sorted(f'c_total{{a="{n}"}} {5.0 if n < 200 else 1.0}' for n in range(300))


def test_a_gauge_set_to_the_value_that_it_has_counts_as_unchanged(registry, clock):
    gauge = Gauge("g", "G.", ["a"], ttl=60, registry=registry)
    for _ in range(3):
        gauge.labels("x").set(7)
        found = registry.get_sample_value("g", {"a": "x"})
        clock.now += 30
    assert found is None


def test_a_removed_stale_child_stays_away(registry, series, clock):
    counter = Counter("c", "C.", ["a"], ttl=60, registry=registry)
    held = counter.labels("x")
    series()
    clock.now += 60
    series()
    counter.remove("x")
    held.inc()
    assert series() == {}


def test_many_children_are_exposed_in_the_order_of_their_creation(registry):
    histogram = Histogram("h", "H.", ["n"], registry=registry)
    for number in range(1000):
        histogram.labels(number)
    (family,) = registry.collect()
    assert [s.labels["n"] for s in family.samples if s.name == "h_count"] == [str(number) for number in range(1000)]
