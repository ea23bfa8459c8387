"""Workers that define one family in different ways, at the same time or one after the other: all answer the same."""

from __future__ import annotations

import tempfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
)
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.files.layout import LAST_DECLARED
from tests.forks import run_forked
from tests.storage.readings import read_lines, read_value

CONFLICTS = "asyncmetrics_worker_conflicting_families"


def counter(registry):
    Counter("m", "M.", registry=registry).inc(2)


def gauge(registry):
    Gauge("m", "M.", registry=registry, multiprocess_mode="sum").set(5)


def named_total(registry):
    Gauge("m_total", "M.", registry=registry, multiprocess_mode="sum").set(6)


def largest(registry):
    Gauge("m", "M.", registry=registry, multiprocess_mode="max").set(7)


def each(registry):
    Gauge("m", "M.", registry=registry, multiprocess_mode="liveall").set(8)


def labelled(registry):
    Counter("m", "M.", ["n"], registry=registry).labels("x").inc(3)


def summary(registry):
    Summary("m", "M.", registry=registry).observe(4)


def histogram(registry):
    Histogram("m", "M.", buckets=[1], registry=registry).observe(0.5)


def other_buckets(registry):
    Histogram("m", "M.", buckets=[2], registry=registry).observe(0.5)


def other_text(registry):
    Counter("m", "Another text.", registry=registry).inc(2)


def other_unit(registry):
    Counter("m_seconds", "M.", unit="seconds", registry=registry).inc(9)


DEFINITIONS = (
    counter, gauge, named_total, largest, each, labelled, summary, histogram, other_buckets, other_text, other_unit,
)  # fmt: skip


def read_truth(registry: CollectorRegistry) -> list[str]:
    """Return the lines about the family that a worker answers with, and how many families it leaves out."""
    lines = generate_latest(registry).decode().splitlines()
    about = [line for line in lines if line.startswith(("m ", "m_", "m{", "# HELP m", "# TYPE m", CONFLICTS))]
    assert len([line for line in about if line.startswith("# TYPE m")]) == len({*_list_types(about)})
    assert not read_lines(registry, "asyncmetrics_collector_errors_total")
    return sorted(about)


def _list_types(lines):
    return [line.split()[2] for line in lines if line.startswith("# TYPE m")]


def read_one_truth(*registries: CollectorRegistry) -> list[str]:
    """Return what all workers answer with."""
    first, *others = (read_truth(registry) for registry in registries)
    assert all(other == first for other in others)
    return first


CHANGES = [
    (counter, gauge, "m 5.0"),
    (gauge, counter, "m_total 2.0"),
    (counter, named_total, "m_total 6.0"),
    (named_total, counter, "m_total 2.0"),
    (gauge, largest, "m 7.0"),
    (largest, gauge, "m 5.0"),
    (gauge, each, 'm{worker="1"} 8.0'),
    (counter, labelled, 'm_total{n="x"} 3.0'),
    (labelled, counter, "m_total 2.0"),
    (counter, summary, "m_sum 4.0"),
    (histogram, other_buckets, 'm_bucket{le="2.0"} 1.0'),
    (other_buckets, histogram, 'm_bucket{le="1.0"} 1.0'),
]


@pytest.mark.parametrize(("old", "new", "line"), CHANGES)
def test_the_newest_definition_counts_whichever_worker_answers(worker, old, new, line):
    registries = [worker(), worker()]
    old(registries[0])
    new(registries[1])
    truth = read_one_truth(*registries)
    assert line in truth
    assert f"{CONFLICTS} 1.0" in truth
    assert len(_list_types(truth)) == 1


@pytest.mark.parametrize(("old", "new", "line"), CHANGES)
def test_a_worker_without_the_metric_answers_with_the_newest_definition(worker, old, new, line):
    one, two, three = worker(), worker(), worker()
    old(one)
    new(two)
    assert line in read_one_truth(three, one, two)


def test_the_clock_does_not_decide(worker, monkeypatch):
    one, two = worker(), worker()
    counter(one)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    gauge(two)
    assert "m 5.0" in read_one_truth(one, two)


def test_an_older_version_that_is_started_again_is_the_newest(worker):
    one, two, three = worker(), worker(), worker()
    counter(one)
    gauge(two)
    counter(three)
    truth = read_one_truth(one, two, three)
    assert "m_total 4.0" in truth
    assert f"{CONFLICTS} 1.0" in truth


def test_an_older_version_that_takes_over_its_slot_again_is_the_newest(worker):
    def start_old() -> None:
        counter(worker())

    run_forked(start_old)  # slot 0
    blocker = worker()
    Counter("other", "O.", registry=blocker).inc()  # takes slot 0, with the counts of the old version
    newer = worker()
    gauge(newer)
    counter(blocker)
    assert "m_total 4.0" in read_one_truth(blocker, newer)


def test_of_three_versions_the_last_one_counts(worker):
    registries = [worker() for _ in range(4)]
    for version, registry in zip((counter, labelled, gauge), registries, strict=False):
        version(registry)
    truth = read_one_truth(*registries)
    assert "m 5.0" in truth
    assert f"{CONFLICTS} 2.0" in truth


def test_a_change_of_the_text_leaves_nothing_out(worker):
    one, two, three = worker(), worker(), worker()
    counter(one)
    other_text(two)
    truth = read_one_truth(one, two, three)
    assert {"# HELP m_total Another text.", "m_total 4.0", f"{CONFLICTS} 0.0"} <= set(truth)


def test_another_unit_is_another_family(worker):
    one, two = worker(), worker()
    counter(one)
    other_unit(two)
    assert {"m_total 2.0", "m_seconds_total 9.0", f"{CONFLICTS} 0.0"} <= set(read_one_truth(one, two))


def test_a_metric_that_the_new_version_no_longer_has_stays(worker):
    one, two = worker(), worker()
    counter(one)
    Counter("other", "O.", registry=two).inc()
    assert "m_total 2.0" in read_one_truth(one, two)
    run_forked(lambda: counter(worker()))
    assert "m_total 4.0" in read_one_truth(one, two)


def test_a_stopped_version_hides_nothing_of_the_version_that_continues(worker):
    registry = worker()
    counter(registry)
    run_forked(lambda: gauge(worker()))
    truth = read_one_truth(registry, worker())
    assert "m_total 2.0" in truth
    assert f"{CONFLICTS} 1.0" in truth


def test_of_dead_versions_the_newest_counts(worker):
    run_forked(lambda: [gauge(worker()), counter(worker())])
    assert "m_total 2.0" in read_truth(worker())


def test_a_definition_counts_from_its_first_child_on(worker):
    one, two = worker(), worker()
    counter(one)
    new = Counter("m", "M.", ["n"], registry=two)
    assert "m_total 2.0" in read_one_truth(one, two)
    new.labels("x").inc()
    assert 'm_total{n="x"} 1.0' in read_one_truth(one, two)


def test_a_metric_is_declared_when_it_is_made_and_not_when_it_is_used(worker):
    one, two = worker(), worker()
    old = Counter("m", "M.", ["n"], registry=one)
    counter(two)
    old.labels("x").inc()
    assert "m_total 2.0" in read_one_truth(one, two)


def test_a_worker_that_lost_goes_on_counting_and_may_win_again(worker):
    one, two = worker(), worker()
    mine = Counter("m", "M.", registry=one)
    mine.inc()
    theirs = Gauge("m", "G.", registry=two)
    theirs.set(1)
    mine.inc()
    assert "m_total 2.0" not in read_one_truth(one, two)
    two.unregister(theirs)
    del theirs
    one.unregister(mine)
    Counter("m", "M.", registry=one)
    assert read_value(one, "m_total") == 2


def test_a_restricted_registry_has_the_newest_definition(worker):
    one, two = worker(), worker()
    counter(one)
    summary(two)
    for registry in (one, two):
        restricted = registry.restricted_registry(["m_sum", "m_total"])
        lines = [line for line in generate_latest(restricted).decode().splitlines() if line[:1] != "#"]
        assert lines == ["m_sum 4.0"]
        assert not list(registry.restricted_registry(["m_total"]).collect())


def test_an_unregistered_metric_stays_away_when_its_text_changes(worker):
    one, two = worker(), worker()
    mine = Counter("m", "M.", registry=one)
    mine.inc()
    other_text(two)
    one.unregister(mine)
    assert read_value(one, "m_total") is None
    assert read_value(two, "m_total") == 3


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(DEFINITIONS)), max_size=8))
def test_all_workers_answer_the_same_after_any_declarations(steps):
    with tempfile.TemporaryDirectory() as path:
        registries = [start_worker(path) for _ in range(4)]
        for which, is_dead, declare in steps:
            registries[which].storage.close()
            if is_dead:  # the next one takes its slot
                start_worker(path).storage.close()
            registries[which] = start_worker(path)
            declare(registries[which])
            read_one_truth(*registries)
        for registry in registries:
            registry.storage.close()


def start_worker(path: str) -> CollectorRegistry:
    """Return the registry of a worker that has taken a slot."""
    registry = CollectorRegistry(storage=SharedStorage(path))
    Gauge("present", "P.", registry=registry).set(1)
    return registry


@pytest.mark.parametrize("is_adopted", [True, False])
def test_a_damaged_number_of_a_declaration_stops_no_worker(worker, path, is_adopted):
    registry = None if is_adopted else worker()
    if registry is not None:
        Counter("other", "O.", registry=registry).inc()
    run_forked(lambda: counter(worker()))
    with (path / f"s{int(not is_adopted)}.cells").open("r+b") as file:
        file.seek(8 * LAST_DECLARED)
        file.write(b"\xff" * 8)
    registry = registry or worker()
    counter(registry)
    assert read_value(registry, "m_total") == 4


def test_adopting_slots_again_and_again_does_not_grow_the_log(worker, path):
    names = [f"c{number}" for number in range(20)]

    def start() -> None:
        registry = worker()
        for name in names:
            Counter(name, "C.", registry=registry).inc()

    def measure() -> int:
        (log,) = path.glob("s0.keys.*")
        return log.stat().st_size

    run_forked(start)
    first = measure()
    for _ in range(20):
        run_forked(start)
    assert measure() < 2 * first
    assert read_value(worker(), "c0_total") == 21


def test_a_worker_that_adopts_a_slot_with_another_definition_starts_from_zero(worker):
    registry = worker()
    Counter("other", "C.", registry=registry).inc()

    def old() -> None:
        Histogram("h", "H.", buckets=[1], registry=worker()).observe(0.5)

    def new() -> None:
        mine = worker()
        Histogram("h", "H.", buckets=[2], registry=mine).observe(0.5)
        assert mine.get_sample_value("h_bucket", {"le": "2.0"}) == 1

    run_forked(old)
    run_forked(new)
    assert registry.get_sample_value("h_bucket", {"le": "2.0"}) == 1
    assert registry.get_sample_value("asyncmetrics_worker_dropped_series_total") == 1


def test_a_metric_that_is_made_again_does_not_disturb_the_one_before(worker):
    registry = worker()
    old = Counter("c", "C.", registry=registry)
    old.inc()
    registry.unregister(old)
    new = Counter("c", "C.", registry=registry)
    new.inc(5)
    old.inc()
    assert registry.get_sample_value("c_total") == 7


def test_families_whose_samples_have_the_same_names_are_one_conflict(worker):
    one, two, three = worker(), worker(), worker()
    counter(one)
    gauge(two)
    named_total(three)
    truth = read_one_truth(one, two, three)
    assert {"m 5.0", "m_total 6.0", f"{CONFLICTS} 1.0"} <= set(truth)


def test_a_new_help_text_keeps_what_was_counted(worker):
    registry = worker()
    run_forked(lambda: Counter("c", "Old.", registry=worker()).inc(3))
    run_forked(lambda: Counter("c", "New.", registry=worker()).inc(4))
    assert read_lines(registry, "# HELP c_total") == ["# HELP c_total New."]
    Counter("c", "C.", registry=registry)
    assert read_value(registry) == 7
    assert read_lines(registry, "# HELP c_total") == ["# HELP c_total C."]
