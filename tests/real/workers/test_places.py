"""Where workers share: full or read-only memory, planted files, ids that come back, applications side by side."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.collectors import ProcessCollector
from asyncmetrics.storage import SharedStorage
from tests.patience import PROGRAM_SECONDS

pytestmark = [pytest.mark.real, pytest.mark.slow]

COUNT_MANY = """
import sys
from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.storage import SharedStorage

registry = CollectorRegistry(storage=SharedStorage(sys.argv[1]))
counter = Counter("c", "C.", ["n"], registry=registry)
for turn in range(2):
    for number in range(20_000):
        counter.labels(str(number)).inc()
told = {s.labels["n"]: s.value for f in registry.collect() for s in f.samples if s.name == "c_total"}
dropped = registry.get_sample_value("asyncmetrics_worker_dropped_series_total")
assert set(told.values()) == {2.0}, set(told.values())
assert 0 < dropped == 20_000 - len(told), (dropped, len(told))
"""
ASKED_FOR = "import asyncmetrics; asyncmetrics.Counter('c', 'C.')"


@pytest.fixture
def mount(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Mount memory of its own, where that is allowed: ``mount("size=300k")``."""
    with ExitStack() as stack:

        def mount(options: str) -> Path:
            path = tmp_path / f"mounted-{len(list(tmp_path.iterdir()))}"
            path.mkdir()
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False
            )
            if done.returncode:
                pytest.skip("mounting is not allowed here")
            stack.callback(subprocess.run, ["umount", path], check=True)
            return path

        yield mount


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environment}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=paths,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


def test_full_memory_ends_no_worker_and_dropped_series_are_counted(mount):
    done = run(COUNT_MANY, str(mount("size=400k") / "metrics"))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_read_only_directory_that_was_asked_for_is_an_error_that_names_it(mount):
    path = str(mount("ro") / "metrics")
    done = run(ASKED_FOR, ASYNCMETRICS_DIR=path)
    assert done.returncode == 1
    assert "StorageError" in done.stderr.splitlines()[-1]
    assert path in done.stderr.splitlines()[-1]


def test_workers_without_room_count_for_themselves_and_expose_that(mount, start):  # unmounted after the end
    path = mount("size=8k")
    server = start("uvicorn", XDG_RUNTIME_DIR=str(path))
    assert server.value("asyncmetrics_workers_shared") == 0
    assert server.get("/items/1")[0] == 200


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious" * 10_000)
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    (folder / "s0.cells").symlink_to(victim)
    registry = CollectorRegistry(storage=SharedStorage(str(folder)))
    Counter("c", "C.", registry=registry).inc()
    assert registry.get_sample_value("c_total") == 1
    assert registry.get_sample_value("asyncmetrics_worker_slot_errors_total") >= 1
    assert victim.read_bytes() == b"precious" * 10_000


def test_a_process_with_the_id_of_a_dead_worker_is_not_that_worker(tmp_path):
    """The lock alone shows whether a worker lives; what is written in a file does not."""
    folder = str(tmp_path / "metrics")
    declare = f"""
import sys
from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.storage import SharedStorage
registry = CollectorRegistry(storage=SharedStorage({folder!r}))
Counter("c", "C.", registry=registry).inc(5)
Gauge("g", "G.", multiprocess_mode="livesum", registry=registry).set(7)
"""
    registry = CollectorRegistry(storage=SharedStorage(folder))
    ProcessCollector(registry=registry)
    Counter("c", "C.", registry=registry).inc()
    Gauge("g", "G.", multiprocess_mode="livesum", registry=registry).set(1)
    done = run(declare)
    assert done.returncode == 0, done.stderr
    with (Path(folder) / "s1.cells").open("r+b") as file:
        file.seek(8)
        file.write(struct.pack("=Q", os.getpid()))
    value = registry.get_sample_value
    assert [value("c_total"), value("g")] == [6, 1]
    assert [value("asyncmetrics_workers", {"state": state}) for state in ("live", "dead")] == [1, 1]
    assert value("process_threads", {"worker": "1"}) is None


def test_two_applications_of_one_user_do_not_mix(start, load, place):
    one, two = start("uvicorn"), start("uvicorn")
    asked = [load(server, 1) for server in (one, two)]
    assert [server.value("answered_total") - 1 for server in (one, two)] == [tally.answered for tally in asked]
    assert len(list(place.glob("asyncmetrics-*"))) == 2
