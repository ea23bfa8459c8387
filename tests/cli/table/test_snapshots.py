"""Two readings of an exposition, and the increase between them, as PromQL counts it."""

from __future__ import annotations

from math import inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli.table.snapshots import Distribution, Snapshot, read_snapshot


def _read(text: str, at: float = 0.0) -> Snapshot:
    return read_snapshot(Exposition(text).parse(), at)


def _increase(first: str, last: str) -> Snapshot:
    return _read(last, 60).subtract(_read(first, 50))


def test_the_seconds_of_an_increase_are_those_between_the_readings():
    assert _increase("", "").at == 10


def test_a_counter_that_is_lower_than_before_has_begun_anew():
    increase = _increase("# TYPE a_total counter\na_total 100", "# TYPE a_total counter\na_total 7")
    assert increase.get_value("a_total", ()) == 7


def test_a_counter_that_was_not_there_before_has_begun_at_0():
    assert _increase("", "# TYPE a_total counter\na_total 7").get_value("a_total", ()) == 7


def test_an_untyped_sample_called_total_is_a_counter():
    assert _increase("a_total 100", "a_total 7").families["a_total"].kind == "counter"


def test_a_gauge_may_fall_and_a_new_one_has_not_changed():
    text = '# TYPE a gauge\na{x="1"}'
    increase = _increase(f"{text} 100", f'{text} 7\na{{x="2"}} 5')
    assert increase.families["a"].values == {(("x", "1"),): -93, (("x", "2"),): 0}


def test_a_histogram_without_a_finite_bound_has_a_mean_and_no_quantile():
    """That is what a text has of a native histogram without classic buckets."""
    text = '# TYPE h histogram\nh_bucket{le="+Inf"} 4\nh_sum 2\nh_count 4'
    found = _read(text).get_distribution("h", ())
    assert found.mean == 0.5
    assert isnan(found.estimate_quantile(0.5))


def test_a_histogram_that_has_fewer_events_than_before_has_begun_anew():
    text = '# TYPE h histogram\nh_bucket{{le="1"}} {0}\nh_bucket{{le="+Inf"}} {0}\nh_sum {0}\nh_count {0}'
    fresh = _increase(text.format(50), text.format(3)).get_distribution("h", ())
    assert (fresh.events, fresh.total, fresh.buckets) == (3, 3, {1: 3, inf: 3})


def test_families_are_found_with_any_namespace_and_with_dots():
    snapshot = _read('queue_length 1\nshop_queue_length 2\n{"my.queue.length"} 3\nother_queue_lengths 4')
    assert [reading.name for reading in snapshot.find("queue_length")] == [
        "queue_length", "shop_queue_length", "my.queue.length",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("buckets", "q", "expected"),
    [
        ({1: 10, 2: 10, inf: 10}, 0.5, 0.5),  # linear inside its bucket
        ({1: 0, 2: 10, inf: 10}, 0.5, 1.5),
        ({1: 0, 2: 5, inf: 10}, 0.9, 2),  # in the last bucket: the highest finite bound
        ({-1: 10, inf: 10}, 0.5, -1),  # histogram_quantile: no interpolation below a first bound of 0 or less
        ({1: 0, inf: 0}, 0.5, None),
        ({1: 10, 2: 10, inf: 10}, 1.0, 1),
    ],
)
def test_a_quantile_is_that_of_histogram_quantile(buckets, q, expected):
    found = Distribution(buckets[inf], 0.0, buckets).estimate_quantile(q)
    assert isnan(found) if expected is None else found == expected


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    qs=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
)
def test_a_larger_quantile_is_not_smaller(counts, qs):
    buckets = {float(bound): float(sum(counts[: bound + 1])) for bound in range(len(counts))}
    distribution = Distribution(float(sum(counts)), 0.0, {**buckets, inf: float(sum(counts))})
    low, high = (distribution.estimate_quantile(q) for q in qs)
    assert low <= high or (isnan(low) and isnan(high) and not sum(counts))


def test_a_summary_has_the_quantiles_that_its_server_has_computed():
    text = '# TYPE s summary\ns{quantile="0.5"} 3\ns_sum 12\ns_count 4'
    found = _increase("", text).get_distribution("s", ())
    assert (found.events, found.mean, found.estimate_quantile(0.5), isnan(found.estimate_quantile(0.9))) == (
        4,
        3,
        3,
        True,
    )


def test_the_distributions_of_a_route_are_added():
    one = Distribution(1, 2, {1: 1, inf: 1})
    one.add(Distribution(3, 5, {1: 0, inf: 3}))
    assert one == Distribution(4, 7, {1: 1, inf: 4})
