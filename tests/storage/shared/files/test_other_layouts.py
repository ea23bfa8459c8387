"""Slots of another version of the library: they stay as they are, and the workers of this version share among them."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncmetrics import Counter
from tests.forks import run_forked
from tests.storage.readings import read_lines, read_value


def make_other_slots(worker, path: Path, count: int = 1) -> dict[str, bytes]:
    """Make slots, raise the version of their layout, and return the content of all files."""
    run_forked(lambda: [Counter("c", "C.", ["n"], registry=worker()).labels("x").inc(7) for _ in range(count)])
    for file in path.glob("*.cells"):
        content = file.read_bytes()
        assert content.startswith(b"amarena")
        file.write_bytes(content[:7] + b"9" + content[8:])
    return read_files(path)


def read_files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextmanager
def lock(path: Path, is_live: bool) -> Iterator[None]:
    """Hold the lock of a slot as its owner does, if it lives."""
    with path.open("rb") as file:
        if is_live:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("is_live", [False, True])
def test_workers_share_beside_a_slot_of_another_layout_and_never_change_it(worker, path, is_live):
    before = make_other_slots(worker, path)
    with lock(path / "s0.cells", is_live):
        registries = [worker(), worker()]
        counters = [Counter("c", "C.", ["n"], registry=registry) for registry in registries]
        for counter in counters:
            counter.labels("x").inc()
        assert [read_value(registry, n="x") for registry in registries] == [2, 2]
        assert read_value(registries[0], "asyncmetrics_workers", state="live") == 2
        counters[0].remove("x")
        counters[1].clear()
        assert [read_value(registry, n="x") for registry in registries] == [None, None]
    after = read_files(path)
    assert {name: after[name] for name in before} == before
    assert {"s1.cells", "s2.cells"} < set(after)


def test_another_layout_is_counted_and_logged_once(worker, path, caplog, monkeypatch):
    make_other_slots(worker, path, count=3)
    registry = worker()
    Counter("c", "C.", ["n"], registry=registry).labels("x").inc()
    (first,) = read_lines(registry, "asyncmetrics_worker_slot_errors_total")
    assert float(first.split()[1]) >= 3
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 1.1)  # a slot that is damaged is counted once a second
    assert read_lines(registry, "asyncmetrics_worker_slot_errors_total") == [first]
    (record,) = caplog.records
    assert "layout '9'" in record.getMessage()
    assert "layout '3'" in record.getMessage()
