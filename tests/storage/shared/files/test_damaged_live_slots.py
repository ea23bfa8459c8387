"""Files of a live worker that another program cuts off, replaces or overwrites."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    generate_latest,
)
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked
from tests.storage.readings import read_value
from tests.thoroughness import examples


def cut_cells(path):
    os.truncate(path / "s0.cells", 0)


def cut_half_of_the_cells(path):
    os.truncate(path / "s0.cells", (path / "s0.cells").stat().st_size // 2)


def cut_cells_within_the_header(path):
    os.truncate(path / "s0.cells", 40)


def cut_log(path):
    os.truncate(path / "s0.keys.0", 100)


def empty_log(path):
    os.truncate(path / "s0.keys.0", 0)


def replace_cells(path):
    (path / "other").write_bytes(b"not an arena" * 1000)
    (path / "other").replace(path / "s0.cells")


def replace_cells_by_nothing(path):
    (path / "other").touch()
    (path / "other").replace(path / "s0.cells")


def replace_log(path):
    (path / "other").write_bytes(b"no log" * 1000)
    (path / "other").replace(path / "s0.keys.0")


def scribble_on_the_header(path):
    with (path / "s0.cells").open("r+b") as file:
        file.write(b"not an arena" * 10)


DAMAGES = [
    cut_cells,
    cut_half_of_the_cells,
    cut_cells_within_the_header,
    cut_log,
    empty_log,
    replace_cells,
    replace_cells_by_nothing,
    replace_log,
    scribble_on_the_header,
]
SERIES = 2500  # more than half of the first 64 KiB of cells
LAST = str(SERIES - 1)


@pytest.mark.parametrize(
    "is_read_before", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["first scrape", "later scrape"]
)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_owner_of_damaged_files_continues_with_its_numbers(worker, path, damage, is_read_before, caplog):
    def work() -> None:
        counter = Counter("c", "C.", ["n"], registry=(registry := worker()))
        for number in range(SERIES):
            counter.labels(str(number)).inc(2)
        if is_read_before:
            generate_latest(registry)
        damage(path)
        for _ in range(2):
            assert [read_value(registry, n=n) for n in ("0", LAST)] == [2, 2]
        counter.labels("0").inc()
        counter.labels("new").inc()
        assert [read_value(registry, n=n) for n in ("0", LAST, "new")] == [3, 2, 1]
        assert read_value(registry, "asyncmetrics_workers_shared") == 1
        assert [record.getMessage() for record in caplog.records if "continues in new ones" in record.getMessage()]

    run_forked(work)
    assert [read_value(worker(), n=n) for n in ("0", LAST, "new")] == [3, 2, 1]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_other_workers_follow_the_owner_of_damaged_files_into_new_ones(worker, path, damage):
    owner, other = worker(), worker()
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in (owner, other)]
    for number in range(SERIES):
        counters[0].labels(str(number)).inc(2)
    counters[1].labels("0").inc(10)
    assert [read_value(other, n=n) for n in ("0", LAST)] == [12, 2]
    damage(path)
    assert [read_value(other, n=n) for n in ("0", LAST)] == [12, 2]  # the last good counts
    for registry in (owner, other, owner, other):
        assert [read_value(registry, n=n) for n in ("0", LAST)] == [12, 2]
    counters[0].labels("0").inc()
    counters[0].labels("new").inc()
    for registry in (other, owner):
        assert [read_value(registry, n=n) for n in ("0", LAST, "new")] == [13, 2, 1]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["s1.cells", "s1.keys.0"]),
        st.sampled_from(["truncate", "overwrite", "replace", "remove", "count"]),
        st.one_of(st.integers(0, 200), st.integers(4096, 4096 + 400), st.integers(0, 1 << 17)),
        st.binary(min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=8,
)


def change(file, how, position, content):
    if how == "truncate" and file.exists():
        os.truncate(file, position)
    elif how == "overwrite" and file.exists():
        with file.open("r+b") as stream:
            stream.seek(position)
            stream.write(content)
    elif how == "replace":
        file.with_name("other").write_bytes(content * (position // 100 + 1))
        file.with_name("other").replace(file)
    elif how == "remove":
        file.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("lives", [False, True], ids=["dead", "live"])
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=CHANGES)
def test_no_change_of_another_slots_files_hurts_this_worker(lives, changes):
    """No scrape fails, and each has all that this worker has counted."""
    with TemporaryDirectory() as name:
        registries = [CollectorRegistry(storage=(storage := SharedStorage(name))) for _ in range(2)]
        own, other = (Counter("c", "C.", ["n"], registry=registry) for registry in registries)
        own.labels("own").inc(3)
        for number in range(20):
            other.labels(str(number)).inc()
        if not lives:
            storage.close()
        expected = 3
        for file, how, position, content in changes:
            with suppress(OSError):
                change(Path(name) / file, how, position, content)
            own.labels("own").inc()
            own.labels(f"new {expected}").inc()
            expected += 1
            assert read_value(registries[0], n="own") == expected
            assert read_value(registries[0], n=f"new {expected - 1}") == 1
            own.remove(f"new {expected - 1}")
