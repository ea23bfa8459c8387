"""Processes that close the descriptors of shared storage, or have none left."""

from __future__ import annotations

import resource
import subprocess
import sys

from asyncmetrics import (
    Counter,
    Gauge,
)
from tests.forks import run_forked
from tests.patience import PROGRAM_SECONDS
from tests.storage.readings import read_value

PRELUDE = """
import gc, os, resource, shutil, sys
from pathlib import Path
from asyncmetrics import CollectorRegistry, Counter, generate_latest
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked
from tests.storage.readings import read_value

folder = Path(sys.argv[1])
path = folder / "metrics"
files = []

def make_worker():
    return CollectorRegistry(storage=SharedStorage(str(path)))

def close_all():
    # As a daemon does. The application then opens files, which get the same numbers.
    os.closerange(3, 256)
    for number in range(40):
        name = folder / str(number)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT)
        os.write(descriptor, b"precious")
        files.append((descriptor, name))

def check_files():
    for descriptor, name in files:
        assert os.path.samestat(os.fstat(descriptor), name.stat()), name
        assert name.read_bytes() == b"precious", name

registry = make_worker()
counter = Counter("c", "C.", ["n"], registry=registry)
"""


def run_program(code, folder):
    """Run a program in an interpreter of its own, because other code needs the files of this one; return its log."""
    command = [sys.executable, "-c", PRELUDE + code, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


LOSS = """
counter.labels("before").inc(2)
generate_latest(registry)
close_all()
counter.labels("before").inc()
counter.labels("x").inc(5)
counter.labels("removed").inc(5)
counter.remove("removed")
assert [read_value(registry, n=n) for n in ("before", "x", "removed")] == [3, 5, None]
for number in range(300):
    counter.labels(str(number)).inc()
for number in range(300):
    counter.remove(str(number))
counter.labels("y").inc(7)
assert read_value(registry, n="y") == 7
assert read_value(registry, "asyncmetrics_worker_dropped_series_total") == 0
assert read_value(registry, "asyncmetrics_worker_slot_errors_total") == 0
assert read_value(registry, "asyncmetrics_workers", state="live") == 1
check_files()
"""


def test_a_process_that_closes_all_files_writes_to_none_of_the_applications(tmp_path, worker, path):
    assert run_program(LOSS, tmp_path) == ""
    registry = worker()
    assert [read_value(registry, n=n) for n in ("before", "x", "removed", "y")] == [3, 5, None, 7]
    assert len(list(path.glob("*.cells"))) == 1


REMOVAL = """
run_forked(lambda: [counter.labels(n).inc(5) for n in "xy"])
assert read_value(registry, n="x") == 5
close_all()
counter.remove("x")
assert [read_value(registry, n=n) for n in "xy"] == [None, 5]
check_files()
"""


def test_a_removal_after_a_loss_reaches_the_slots_of_dead_workers(tmp_path):
    run_program(REMOVAL, tmp_path)


GARBAGE = """
counter.labels("x").inc()
generate_latest(registry)
close_all()
del registry, counter
gc.collect()
check_files()
"""


def test_a_storage_that_is_garbage_closes_no_file_of_the_application(tmp_path):
    run_program(GARBAGE, tmp_path)


NEW_FILES = """
counter.labels("x").inc()
close_all()
shutil.rmtree(path)
assert read_value(registry, n="x") == 1
counter.labels("x").inc()
gc.collect()
check_files()
assert read_value(registry, n="x") == 2
assert read_value(registry, "asyncmetrics_workers_shared") == 1
"""


def test_a_storage_that_continues_in_new_files_closes_no_file_of_the_application(tmp_path):
    """It frees its old mapping, which had a descriptor of its own before Python 3.13."""
    assert "continues in new ones" in run_program(NEW_FILES, tmp_path)


LOCK = """
counter.labels("x").inc(5)
close_all()
counter.labels("x").inc()
run_forked(lambda: counter.labels("x").inc(100))
counter.labels("x").inc()
assert read_value(registry, n="x") == 107
run_forked(lambda: counter.labels("x").inc(1000))
check_files()
"""


def test_no_worker_takes_the_slot_of_one_that_has_lost_its_lock(tmp_path, worker, path):
    """Its counts would be there twice."""
    run_program(LOCK, tmp_path)
    assert read_value(worker(), n="x") == 1107
    assert len(list(path.glob("*.cells"))) == 2


def test_a_process_that_may_open_no_more_files_is_scraped_for_the_first_time(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)

    def work() -> None:
        counter.labels("x").inc(5)
        Gauge("g", "G.", multiprocess_mode="livesum", registry=registry).set(3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        assert read_value(registry, n="x") == 5
        counter.labels("x").inc()
        assert read_value(registry, n="x") == 6
        assert read_value(registry, "g") == 3
        for number in range(300):  # more than a log is rewritten for
            counter.labels(str(number)).inc()
            counter.remove(str(number))
        assert read_value(registry, n="x") == 6

    run_forked(work)


NO_DESCRIPTORS = """
counter.labels("x").inc(5)
os.closerange(3, 256)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
counter.labels("x").inc()
counter.labels("y").inc()
assert [read_value(registry, n=n) for n in "xy"] == [6, 1]
counter.labels("z").inc()
assert [read_value(registry, n=n) for n in "xyz"] == [6, 1, 1]
"""


def test_a_process_without_descriptors_serves_its_own_numbers(tmp_path):
    run_program(NO_DESCRIPTORS, tmp_path)
