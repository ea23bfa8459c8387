"""When the numbers of a child last changed."""

from __future__ import annotations

from asyncmetrics import Counter
from asyncmetrics.children.expiry import Expiry


def test_a_child_that_is_parked_or_unknown_has_no_time_of_change(registry):
    child = Counter("c", "C.", ["n"], registry=registry).labels("x")
    expiry = Expiry(10.0)
    times = [expiry.get_changed_at(child)]
    expiry.is_stale(child, 100.0)
    times.append(expiry.get_changed_at(child))
    expiry.park(child)
    assert [*times, expiry.get_changed_at(child)] == [None, 100.0, None]
