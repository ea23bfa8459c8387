"""Directories and files that are not ours: links, other kinds of files, other owners."""

from __future__ import annotations

import os
import time

import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
)
from asyncmetrics.errors import StorageError
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.files.directory import Directory
from tests.forks import run_forked
from tests.storage.readings import read_value


def test_a_directory_that_others_may_change_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for name, problem in (("link", "symbolic link"), ("open", "others may write"), ("file", "expected a directory")):
        with pytest.raises(StorageError, match=problem):
            SharedStorage(str(tmp_path / name))


def test_a_directory_that_turns_out_to_be_unusable_later_is_logged_and_exposed(tmp_path, caplog):
    (tmp_path / "file").touch()
    registry = CollectorRegistry(storage=SharedStorage.later(lambda: Directory(str(tmp_path / "file"))))
    counter = Counter("c", "C.", registry=registry)
    counter.inc(2)
    assert read_value(registry) == 2
    assert read_value(registry, "asyncmetrics_workers_shared") == 0
    assert "expected a directory" in caplog.text


def test_an_unusable_directory_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="expected a directory"):
        SharedStorage(str(tmp_path / "file" / "metrics"))


def put_fifo(place):
    os.mkfifo(place)


def put_directory(place):
    place.mkdir()


def put_hard_link(place):
    other = place.with_name("precious")
    other.write_bytes(b"precious")
    place.hardlink_to(other)


def put_symbolic_link(place):
    other = place.with_name("precious")
    other.write_bytes(b"precious")
    place.symlink_to(other)


def put_file_of_another_user(place):
    if os.geteuid():
        pytest.skip("only root may give a file away")
    place.write_bytes(b"precious")
    os.chown(place, 65534, 65534)


PUTS = [put_fifo, put_directory, put_hard_link, put_symbolic_link, put_file_of_another_user]


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
def test_a_file_that_is_not_ours_stays_as_it_is_and_its_slot_is_skipped(worker, path, put):
    path.mkdir(mode=0o700)
    put(path / "s0.cells")
    before = (path / "s0.cells").lstat()
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()
    run_forked(counter.inc)
    assert read_value(registry) == 2
    assert read_value(registry, "asyncmetrics_worker_slot_errors_total") > 0
    assert (path / "s0.cells").lstat() == before
    assert not (path / "precious").exists() or (path / "precious").read_bytes() == b"precious"


def test_a_file_with_two_hard_links_is_not_opened(tmp_path):
    """It may be a file that another program relies on, whatever its content looks like."""
    directory = Directory(str(tmp_path))
    (tmp_path / "single").touch()
    (tmp_path / "linked").touch()
    (tmp_path / "other name").hardlink_to(tmp_path / "linked")
    directory.open("single", os.O_RDWR).close()
    with pytest.raises(PermissionError, match="one name"):
        directory.open("linked", os.O_RDWR)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user")
def test_a_worker_that_changes_its_user_logs_once_that_it_cannot_read_others(worker, caplog):
    """As after ``gunicorn --preload --user`` with a metric that was used before; it looked for all 4,096 slots."""
    registry = worker()
    counter = Counter("c", "C.", registry=registry)

    def work() -> None:
        counter.inc(5)
        os.setuid(65534)
        for count in range(5, 8):
            assert read_value(registry) == count
            counter.inc()
        (record,) = caplog.records
        assert "this process keeps its metrics for itself" in record.getMessage()

    run_forked(work)


def test_a_directory_in_the_place_of_a_log_makes_its_slot_unusable_and_no_other(worker, path):
    (path / "s0.keys.0").mkdir(parents=True)
    path.chmod(0o700)
    registry = worker()
    Counter("c", "C.", registry=registry).inc()
    assert read_value(registry) == 1
    assert read_value(registry, "asyncmetrics_workers_shared") == 1
    assert read_value(registry, "asyncmetrics_worker_slot_errors_total") == 1


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
def test_what_is_in_the_place_of_a_slot_is_looked_at_once(worker, path, put, caplog, monkeypatch):
    path.mkdir(mode=0o700)
    put(path / "s0.cells")
    registry = worker()
    counters = [Counter(f"c{number}", "C.", registry=registry) for number in range(20)]
    now = time.monotonic()
    for second in range(3):
        monkeypatch.setattr(time, "monotonic", lambda second=second: now + 2 * second)
        for counter in counters:
            counter.inc()
        assert read_value(registry, "c19_total") == second + 1
    # One error of the worker that looked for a slot to take, and one of its reader.
    assert read_value(registry, "asyncmetrics_worker_slot_errors_total") == 2
    assert len(caplog.records) == 1
