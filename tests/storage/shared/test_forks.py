"""Forked and spawned processes, and processes that change their directory, their files or their user."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Gauge,
)
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from tests.forks import run_forked
from tests.patience import PROGRAM_SECONDS
from tests.storage.readings import read_value


def test_a_forked_worker_starts_from_zero_and_never_writes_to_its_parents_slot(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    child = counter.labels("x")
    child.inc(3)
    run_forked(lambda: child.inc())
    assert child.value == 3
    assert registry.get_sample_value("c_total", {"n": "x"}) == 4


def test_what_a_forked_worker_does_not_use_takes_no_slot(worker, tmp_path):
    registry = worker()
    Counter("c", "C.", registry=registry).inc()
    run_forked(lambda: None)
    assert len(list((tmp_path / "metrics").iterdir())) == 2


def test_a_gauge_that_a_forked_worker_does_not_use_is_its_parents_alone(worker):
    registry = worker()
    Gauge("g", "G.", multiprocess_mode="min", registry=registry).set(5)
    counter = Counter("c", "C.", registry=registry)

    def work() -> None:
        counter.inc()
        assert registry.get_sample_value("g") == 5

    run_forked(work)


def test_forks_of_forks(worker, path):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()

    def deeper(levels: int) -> None:
        counter.inc()
        if levels:
            run_forked(lambda: deeper(levels - 1))
            run_forked(lambda: deeper(levels - 1))
        counter.inc()

    run_forked(lambda: deeper(3))
    assert read_value(registry) == 1 + 2 * 15
    assert len(list(path.iterdir())) <= 10


FORKING = """
import os, signal, sys, threading
from asyncmetrics import CollectorRegistry, Counter, generate_latest
from asyncmetrics.storage import SharedStorage

registry = CollectorRegistry(storage=SharedStorage(sys.argv[1]))
counter = Counter("c", "C.", ["n"], registry=registry)
stop, made = threading.Event(), [0, 0, 0]

def work(which):
    while not stop.is_set():
        counter.labels(f"{which} {made[which] % 500}").inc()
        made[which] += 1

threads = [threading.Thread(target=work, args=(which,)) for which in range(3)]
for thread in threads:
    thread.start()
for _ in range(15):
    pid = os.fork()
    if not pid:
        signal.alarm(120)
        counter.labels("forked").inc()
        generate_latest(registry)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
found = {s.labels["n"]: s.value for f in registry.collect() for s in f.samples if s.name == "c_total"}
assert found.pop("forked") == 15
assert sum(found.values()) == sum(made)
"""


def test_a_fork_while_threads_count(tmp_path):
    """In an interpreter of its own: coverage has a lock, which a forked process would wait for."""
    command = [sys.executable, "-c", FORKING, str(tmp_path / "metrics")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr


def count_there(path: str) -> None:
    registry = CollectorRegistry(storage=SharedStorage(path))
    Counter("c", "C.", registry=registry).inc()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_way_to_start_a_process(worker, path, method):
    registry = worker()
    Counter("c", "C.", registry=registry).inc()
    for _ in range(2):
        process = multiprocessing.get_context(method).Process(target=count_there, args=(str(path),))
        process.start()
        process.join()
        assert process.exitcode == 0
    assert read_value(registry) == 3


def test_a_process_that_changes_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = CollectorRegistry(storage=SharedStorage("metrics"))
    counter = Counter("c", "C.", registry=registry)
    counter.inc()
    os.chdir("/")
    run_forked(lambda: counter.inc())
    assert read_value(registry) == 2


def test_a_daemon_that_closes_all_files(worker):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()

    def work() -> None:
        os.closerange(3, 64)
        for _ in range(20):
            os.open("/", os.O_RDONLY)  # the numbers are others' now
        counter.inc()

    run_forked(work)
    assert read_value(registry) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_a_worker_that_gives_up_its_rights_keeps_its_metrics_for_itself(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)

    def work() -> None:
        os.setuid(65534)
        counter.inc(5)
        assert read_value(registry) == 5
        assert read_value(registry, "asyncmetrics_workers_shared") == 0

    run_forked(work)
    assert read_value(registry) == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; each run of pytest closes its own folders to them again."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_workers_of_another_user_than_their_supervisor_share_with_each_other(open_folder):
    """As those of ``gunicorn --preload --user``: their directory is found once more."""
    for user in (0, 65534):
        (open_folder / str(user)).mkdir(mode=0o700)
        os.chown(open_folder / str(user), user, user)
    find = lambda: Directory(str(open_folder / str(os.geteuid())))  # noqa: E731
    counter = Counter("c", "C.", registry=(registry := CollectorRegistry(storage=SharedStorage.later(find))))

    def work(expected: int) -> None:
        os.setuid(65534)
        counter.inc()
        assert read_value(registry) == expected

    for expected in (1, 2, 3):
        run_forked(partial(work, expected))
    assert len(list((open_folder / "65534").iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("use", ["a scrape", "a new series"])
def test_a_worker_that_has_counted_before_it_changes_its_user_takes_its_counts_along(open_folder, caplog, use):
    """As one of ``gunicorn --preload --user`` with a hook that counts."""
    for user in (0, 65534):
        (open_folder / str(user)).mkdir(mode=0o700)
        os.chown(open_folder / str(user), user, user)
    find = lambda: Directory(str(open_folder / str(os.geteuid())))  # noqa: E731
    registry = CollectorRegistry(storage=SharedStorage.later(find))
    counter, labelled = Counter("c", "C.", registry=registry), Counter("l", "L.", ["n"], registry=registry)

    def work() -> None:
        counter.inc()
        os.setuid(65534)
        counter.inc()
        if use == "a new series":
            labelled.labels("x").inc()
        assert read_value(registry) == 2
        assert read_value(registry, "asyncmetrics_workers_shared") == 1
        assert [record.getMessage() for record in caplog.records] == []

    run_forked(work)
    assert len(list((open_folder / "65534").iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_slots_in_a_directory_that_may_not_be_entered_are_logged_once(open_folder, caplog):
    (open_folder / "0").mkdir(mode=0o700)
    directory = Directory(str(open_folder / "0"))
    errors: list[int] = []

    def work() -> None:
        os.setuid(65534)
        assert SlotReaders(directory, lambda slot, _: errors.append(slot)).list_readers() == []
        assert errors == [0]

    run_forked(work)
