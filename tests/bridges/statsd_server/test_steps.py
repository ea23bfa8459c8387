"""The steps of the server on an event loop: what is known is not read anew, and memory is freed in parts."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server.caching import RecentCache
from asyncmetrics.bridges.statsd_server.lines import Lines
from asyncmetrics.bridges.statsd_server.outcomes import Outcomes
from asyncmetrics.bridges.statsd_server.sets import Sets


class Value:
    """What weak references may refer to."""


class CountingMint:
    """Finds a change that does nothing, and counts how often it was asked for one."""

    def __init__(self):
        self.asked = 0

    def find_change(self, series):
        self.asked += 1
        return lambda value: None


class Level:
    """A gauge without a registry."""

    number = None

    def set(self, value):
        self.number = value


def take_all(lines, texts):
    texts = iter(texts)
    while lines.take(texts):
        pass


def test_ten_thousand_series_in_turn_stay_known():
    mint: Any = CountingMint()
    lines = Lines(mint, Outcomes(CollectorRegistry()), 4096)
    for _ in range(3):
        take_all(lines, [b"a:1|c|#path:/%d" % number for number in range(10_000)])
    assert mint.asked == 10_000


def test_a_cache_frees_one_entry_at_a_time():
    cache, freed = RecentCache(100), []
    for number in range(500):
        value, before = Value(), len(freed)
        weakref.finalize(value, freed.append, number)
        cache.put(number, value)
        del value
        assert len(freed) <= before + 1
    assert len(freed) >= 200


def test_a_cache_forgets_what_was_not_used():
    cache = RecentCache(2)
    for number in range(6):
        cache.put(number, number)
        cache.get(0)
    assert [cache.get(number) for number in range(6)] == [0, None, None, None, 4, 5]
    assert len(cache) <= 4


@pytest.mark.parametrize("limit", [50, 100])
def test_sets_share_their_limit_and_are_counted_apart(send, value, lines, limit):
    send(*[b"a:%d|s\nb:%d|s" % (number, number) for number in range(50)], max_set_members=limit)
    assert value("a") + value("b") == limit
    assert lines("set_limit") == 100 - limit


def test_the_members_of_an_interval_are_freed_in_parts():
    sets = Sets(100_000)
    gauge: Any = Level()
    add = sets.make_change(gauge)
    for number in range(50_000):
        add(b"%d" % number)
    steps = list(sets.flush())
    assert gauge.number == 50_000
    assert len(steps) > 100
