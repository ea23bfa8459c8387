"""When the numbers of a child last changed."""

from __future__ import annotations

from asyncmetrics import Counter
from asyncmetrics.children.expiry import Expiry


def test_a_child_that_no_reading_has_seen_has_no_time_of_change(registry):
    child = Counter("c", "C.", ["n"], registry=registry).labels("x")
    assert Expiry(10.0).get_changed_at(child) is None
