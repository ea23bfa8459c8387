"""Storages with different names or directories, and one whose directory is known later."""

from __future__ import annotations

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Gauge,
)
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.files.directory import Directory
from tests.storage.readings import read_value


def test_registries_that_share_a_storage_do_not_mix(tmp_path):
    storage = SharedStorage(str(tmp_path / "metrics"))
    one, two = CollectorRegistry(storage=storage), CollectorRegistry(storage=storage.named("admin"))
    Counter("c", "C.", registry=one).inc()
    Counter("c", "C.", registry=two).inc(5)
    assert [one.get_sample_value("c_total"), two.get_sample_value("c_total")] == [1, 5]


def test_storages_of_one_name_do_not_write_over_each_other(path):
    storage = SharedStorage(str(path))
    registries = [CollectorRegistry(storage=storage.named("admin")) for _ in range(2)]
    counters = [Counter("c", "C.", registry=registry) for registry in registries]
    for counter in counters:
        counter.inc(2)
        counters[0].inc()
    assert read_value(registries[0]) == 6


def test_what_was_counted_before_the_directory_was_known_is_shared_once_it_is(worker, path):
    known = []
    registry = CollectorRegistry(storage=SharedStorage.later(lambda: known[0] if known else None))
    counter = Counter("c", "C.", ["n"], registry=registry)
    gauge = Gauge("g", "G.", multiprocess_mode="mostrecent", registry=registry)
    counter.labels("x").inc(2)
    gauge.set(5)
    assert read_value(registry, n="x") == 2
    other = worker()
    Gauge("g", "G.", multiprocess_mode="mostrecent", registry=other)
    known.append(Directory(str(path)))
    counter.labels("y").inc()
    assert [read_value(other, n="x"), read_value(other, n="y"), read_value(other, "g")] == [2, 1, 5]


def test_two_directories_never_mix(tmp_path):
    registries = [CollectorRegistry(storage=SharedStorage(str(tmp_path / name))) for name in ("shop", "mail")]
    for registry, amount in zip(registries, (1, 10), strict=True):
        Counter("c", "C.", registry=registry).inc(amount)
    assert [read_value(registry) for registry in registries] == [1, 10]
