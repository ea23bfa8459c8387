"""Full disks, label values that are too long, and processes that may open no more files."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
)
from asyncmetrics.errors import StorageError
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked
from tests.storage.readings import read_value


def test_a_label_value_that_is_too_long_is_dropped_and_counted_and_hurts_no_other(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    counter.labels("x" * 17_000_000).inc()
    counter.labels("y").inc()
    assert read_value(two, n="y") == 1
    assert read_value(two, "asyncmetrics_worker_dropped_series_total") == 1


def test_no_posix_fallocate(worker, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(20_000):
        counter.labels(str(number)).inc()
    assert read_value(two, n="19999") == 1


def test_a_full_disk_drops_series_and_counts_them(worker, monkeypatch):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("before").inc()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(20_000):
        counter.labels(str(number)).inc()
    dropped = read_value(registry, "asyncmetrics_worker_dropped_series_total")
    found = [s for f in registry.collect() for s in f.samples if s.name == "c_total"]
    assert dropped > 0
    assert len(found) + dropped == 20_001
    monkeypatch.undo()
    counter.labels("after").inc()
    assert read_value(registry, n="after") == 1


def test_a_process_that_may_open_no_more_files_counts_and_is_scraped(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        counter.labels("x").inc(5)
        assert read_value(registry, n="x") == 5
        assert read_value(registry, "asyncmetrics_workers_shared") == 0

    run_forked(work)
    assert read_value(registry, n="x") == 1


def test_a_slot_that_there_is_no_room_for_is_a_clear_error(path, monkeypatch):
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no slot is available.*No space left on device"):
        Counter("c", "C.", registry=CollectorRegistry(storage=SharedStorage(str(path))))
