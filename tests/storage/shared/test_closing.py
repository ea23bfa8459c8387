"""Storages that are closed, or collected as garbage."""

from __future__ import annotations

from asyncmetrics import (
    CollectorRegistry,
    Counter,
)
from asyncmetrics.storage import SharedStorage
from tests.storage.readings import read_value


def test_a_closed_storage_writes_no_more(worker, path):
    storage = SharedStorage(str(path))
    counter = Counter("c", "C.", registry=CollectorRegistry(storage=storage))
    counter.inc(5)
    storage.close()
    other = worker()
    Counter("c", "C.", registry=other).inc(100)
    counter.inc()
    assert read_value(other) == 105
    assert len(list(path.iterdir())) == 2


def test_a_closed_storage_still_counts_for_its_own_process(path):
    storage = SharedStorage(str(path))
    registry = CollectorRegistry(storage=storage)
    counter = Counter("c", "C.", registry=registry)
    counter.inc(5)
    storage.close()
    counter.inc()
    assert read_value(registry) == 6
    assert read_value(registry, "asyncmetrics_workers_shared") == 0


def test_a_storage_that_is_garbage_releases_its_slot(path, worker):
    Counter("c", "C.", registry=worker()).inc(5)
    registry = worker()
    assert read_value(registry) == 5
    Counter("c", "C.", registry=registry).inc()
    assert read_value(registry) == 6
    assert len(list(path.iterdir())) <= 4
