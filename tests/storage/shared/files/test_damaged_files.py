"""Files of a slot that do not agree with each other, or hold something else."""

from __future__ import annotations

import os
import sys

import pytest

from asyncmetrics import (
    Counter,
)
from tests.forks import run_forked
from tests.storage.readings import read_value


def cut_cells(path):
    os.truncate(path / "s1.cells", 5000)


def cut_header(path):
    os.truncate(path / "s1.cells", 40)


def empty_cells(path):
    os.truncate(path / "s1.cells", 0)


def lose_log(path):
    (path / "s1.keys.0").unlink()


def cut_log(path):
    os.truncate(path / "s1.keys.0", 100)


def scribble_on_log(path):
    with (path / "s1.keys.0").open("r+b") as file:
        file.seek(-12, os.SEEK_END)
        file.write(b"scribble")


def scribble_on_header(path):
    (path / "s1.cells").write_bytes(b"not an arena" * 1000)


def claim_more_cells(path):
    with (path / "s1.cells").open("r+b") as file:
        file.seek(8 * 4)
        file.write((1 << 40).to_bytes(8, sys.byteorder))


DAMAGES = [
    cut_cells,
    cut_header,
    empty_cells,
    lose_log,
    cut_log,
    scribble_on_log,
    scribble_on_header,
    claim_more_cells,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_slot_keeps_no_worker_from_counting(worker, path, damage):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()
    run_forked(lambda: [counter.labels(f"theirs {number}").inc() for number in range(5)])
    damage(path)
    for _ in range(2):
        run_forked(lambda: counter.labels("x").inc(10))
    assert read_value(registry, n="x") == 21
    assert (
        read_value(registry, "asyncmetrics_worker_slot_errors_total")
        + read_value(registry, "asyncmetrics_worker_dropped_series_total")
        > 0
    ) or damage is empty_cells


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_slot_that_is_damaged_between_scrapes_is_exposed_as_it_was(worker, path, damage):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    run_forked(lambda: [counter.labels(f"theirs {number}").inc(7) for number in range(600)])
    assert read_value(registry, n="theirs 599") == 7
    damage(path)
    assert read_value(registry, n="theirs 599") == 7
