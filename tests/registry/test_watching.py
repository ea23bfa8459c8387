"""A registry calls its watchers with each collector that is registered."""

from __future__ import annotations

import threading

import pytest

from asyncmetrics import Counter, Gauge
from asyncmetrics.errors import DuplicateMetricError


def test_a_watcher_sees_each_collector(registry):
    seen = []
    registry.watch_registrations(seen.append)
    metrics = [Counter("a", "A.", registry=registry), Gauge("b", "B.", registry=registry)]
    assert seen == metrics


def test_a_watcher_does_not_see_what_is_there_or_refused(registry):
    Counter("a", "A.", registry=registry)
    seen = []
    registry.watch_registrations(seen.append)
    with pytest.raises(DuplicateMetricError):
        Counter("a", "A.", registry=registry)
    assert seen == []


def test_the_returned_function_ends_only_its_own_watcher(registry):
    first, second = [], []
    stop = registry.watch_registrations(first.append)
    registry.watch_registrations(second.append)
    stop()
    stop()
    metric = Counter("a", "A.", registry=registry)
    assert (first, second) == ([], [metric])


def test_what_a_watcher_raises_prevents_the_registration(registry):
    def refuse(collector):
        raise ValueError("not this one")

    stop = registry.watch_registrations(refuse)
    with pytest.raises(ValueError, match="not this one"):
        Counter("a", "A.", registry=registry)
    stop()
    Counter("a", "A.", registry=registry)  # the name is free


def test_watchers_of_many_threads_all_stay(registry):
    seen = []
    threads = [threading.Thread(target=registry.watch_registrations, args=(seen.append,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Counter("a", "A.", registry=registry)
    assert len(seen) == 20
