"""Workers that define one family in different ways, at the same time or one after the other."""

from __future__ import annotations

import time

import pytest

from asyncmetrics import (
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from tests.forks import run_forked
from tests.storage.readings import read_value


def test_families_with_another_definition_are_left_out_and_counted(worker):
    one, two = worker(), worker()
    Histogram("h", "H.", buckets=[1], registry=one).observe(0.5)
    Histogram("h", "H.", buckets=[2], registry=two).observe(0.5)
    assert one.get_sample_value("h_count") == 1
    assert one.get_sample_value("asyncmetrics_worker_conflicting_families") == 1


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


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_newest_buckets_win_whichever_worker_answers(worker, order):
    registries = []
    for bound in order:
        registries.append(worker())
        Histogram("h", "H.", buckets=[bound], registry=registries[-1]).observe(0.5)
        time.sleep(0.01)
    for registry in registries:
        bounds = {s.labels["le"] for f in registry.collect() for s in f.samples if s.name == "h_bucket"}
        assert bounds == {f"{order[1]}.0", "+Inf"}
        assert read_value(registry, "h_count") == 1
        assert read_value(registry, "asyncmetrics_worker_conflicting_families") == 1


def test_a_family_of_another_kind_elsewhere_costs_no_scrape(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc()
    Gauge("c", "G.", registry=two).set(5)
    Gauge("c_total", "G.", registry=worker()).set(7)
    assert read_value(one) == 1
    assert read_value(two, "c", worker="1") == 5
    assert generate_latest(one).count(b"# TYPE c_total counter") == 1


def test_changing_a_help_text_or_a_mode_keeps_what_was_counted(worker):
    registry = worker()
    run_forked(lambda: Counter("c", "Old.", registry=worker()).inc(3))
    run_forked(lambda: Counter("c", "New.", registry=worker()).inc(4))
    Counter("c", "C.", registry=registry)
    assert read_value(registry) == 7
