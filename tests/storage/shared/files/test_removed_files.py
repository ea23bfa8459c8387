"""Workers whose files another program removes."""

from __future__ import annotations

import shutil

import pytest

from asyncmetrics import (
    Counter,
    generate_latest,
)
from tests.storage.readings import read_value


def removed_directory(path):
    shutil.rmtree(path)


def removed_files(path):
    for file in path.iterdir():
        file.unlink()


def removed_logs(path):
    for file in path.glob("s*.keys.*"):
        file.unlink()


@pytest.mark.parametrize("remove", [removed_directory, removed_files, removed_logs], ids=lambda remove: remove.__name__)
def test_workers_go_on_with_new_files_after_theirs_were_removed(worker, path, remove):
    registries = [worker() for _ in range(2)]
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in registries]
    for counter in counters:
        counter.labels("x").inc()
    remove(path)
    for number in range(500):
        counters[0].labels(str(number)).inc()
    for counter in counters:
        counter.labels("x").inc()
    generate_latest(registries[1])
    assert [[read_value(registry, n=n) for n in ("x", "0", "499")] for registry in registries] == [[4, 1, 1]] * 2
