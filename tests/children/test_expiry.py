"""When a child with a time to live leaves the exposition, and what counts as a change, in every storage."""

from __future__ import annotations

import time

import pytest

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Summary

TTL = 60


@pytest.fixture
def advance(monkeypatch):
    """Let the monotonic clock go forward by so many seconds."""
    now, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(ahead))
    return ahead.append


def is_exposed(metric):
    return any(family.samples for family in metric.collect())


def measure(child):
    with child.time():
        pass


def come_back(child):
    child.inc()
    child.dec()


OPTIONS = {"Enum": {"states": ["on", "off"]}}
CHANGES = {
    "counter": (Counter, lambda child: child.inc()),
    "counter, of an amount": (Counter, lambda child: child.inc(2, {"trace": "7"})),
    "counter, reset": (Counter, lambda child: child.reset()),
    "gauge, up": (Gauge, lambda child: child.inc()),
    "gauge, down": (Gauge, lambda child: child.dec(amount=0.5)),
    "gauge, set": (Gauge, lambda child: child.set(child.read_numbers()[0] + 1)),
    "gauge, up and down": (Gauge, come_back),
    "gauge, timed": (Gauge, measure),
    "summary": (Summary, lambda child: child.observe(1)),
    "summary, timed": (Summary, measure),
    "histogram": (Histogram, lambda child: child.observe(1, {"trace": "7"})),
    "histogram, timed": (Histogram, measure),
    "info": (Info, lambda child: child.info({"at": str(time.monotonic())})),
    "enum": (Enum, lambda child: child.state("off" if child.read_numbers()[0] else "on")),
}
REPETITIONS = {
    "gauge": (Gauge, lambda child: child.set(7)),
    "info": (Info, lambda child: child.info({"version": "1"})),
    "enum": (Enum, lambda child: child.state(state="off")),
}


def make(kind, registry):
    return kind("m", "M.", ["n"], ttl=TTL, registry=registry, **OPTIONS.get(kind.__name__, {}))


@pytest.mark.parametrize("name", CHANGES)
def test_a_child_past_its_time_leaves_at_the_first_collection(registry, advance, name):
    kind, change = CHANGES[name]
    metric = make(kind, registry)
    change(metric.labels("x"))
    advance(TTL)
    assert not is_exposed(metric)


@pytest.mark.parametrize("name", CHANGES)
def test_a_child_that_no_one_has_changed_leaves_its_time_after_its_creation(registry, advance, name):
    metric = make(CHANGES[name][0], registry)
    metric.labels("x")
    advance(TTL)
    assert not is_exposed(metric)


@pytest.mark.parametrize("is_collected", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_a_child_whether_or_not_it_was_collected_before(registry, advance, name, is_collected):
    kind, change = CHANGES[name]
    metric = make(kind, registry)
    child = metric.labels("x")
    if is_collected:
        assert is_exposed(metric)
    advance(TTL - 10)
    change(child)
    advance(TTL - 10)
    assert is_exposed(metric)


@pytest.mark.parametrize("name", CHANGES)
def test_the_time_counts_from_the_change_and_not_from_the_collection_that_saw_it(registry, advance, name):
    kind, change = CHANGES[name]
    metric = make(kind, registry)
    child = metric.labels("x")
    assert is_exposed(metric)
    change(child)
    advance(TTL - 10)
    assert is_exposed(metric)
    advance(10)
    assert not is_exposed(metric)


@pytest.mark.parametrize("name", REPETITIONS)
def test_what_a_child_has_already_is_no_change(registry, advance, name):
    kind, change = REPETITIONS[name]
    metric = make(kind, registry)
    child = metric.labels("x")
    change(child)
    advance(TTL - 10)
    change(child)
    advance(10)
    assert not is_exposed(metric)


@pytest.mark.parametrize(
    ("kind", "call", "error"),
    [
        (Gauge, lambda child: child.set(), TypeError),
        (Gauge, lambda child: child.set("many"), TypeError),
        (Gauge, lambda child: child.set(numbers=1), TypeError),
        (Enum, lambda child: child.state("lost"), ValueError),
        (Enum, lambda child: child.state(["on"]), ValueError),
        (Info, lambda child: child.info(5), ValueError),
    ],
)
def test_a_wrong_call_raises_what_it_raises_without_a_time_to_live(registry, kind, call, error):
    timed = make(kind, registry)
    plain = kind("p", "P.", ["n"], registry=registry, **OPTIONS.get(kind.__name__, {}))
    messages = []
    for metric in (timed, plain):
        with pytest.raises(error) as caught:
            call(metric.labels("x"))
        messages.append(str(caught.value).replace("m{", "p{").replace("m_info{", "p_info{"))
    assert messages[0] == messages[1]


def test_a_metric_without_labels_leaves_as_well(registry, advance):
    counter = Counter("c", "C.", ttl=TTL, registry=registry)
    counter.inc()
    advance(TTL)
    assert not is_exposed(counter)
    counter.inc()
    assert registry.get_sample_value("c_total") == 2
