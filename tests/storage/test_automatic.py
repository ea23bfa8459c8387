"""When a process shares its metrics by itself, and when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
)
from asyncmetrics.storage.automatic import AutomaticStorage
from tests.storage.readings import read_value

WINDOWS = """
import os, sys
import asyncio, concurrent.futures.thread, logging, random, socketserver, ssl, tempfile, threading
sys.modules["fcntl"] = None
for name in ("register_at_fork", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "posix_fallocate", "geteuid", "pread"):
    delattr(os, name)
import asyncmetrics, asyncmetrics.testing
from asyncmetrics.storage import SharedStorage
try:
    SharedStorage("x")
except OSError as error:
    print(error)
try:
    asyncmetrics.Counter("c", "C.").inc()
    print("counted")
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize(("directory", "expected"), [("", "counted"), ("x", "Unix only")])
def test_where_there_are_no_locks_the_import_works_and_the_error_is_clear(directory, expected):
    environment = {**os.environ, "ASYNCMETRICS_DIR": directory}
    command = [sys.executable, "-c", WINDOWS]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    told = ended.stdout.splitlines()
    assert "Unix only" in told[0]
    assert expected in told[1]


ALONE = """
import os, sys, threading
before = len(os.listdir("/proc/self/fd"))
import asyncmetrics
asyncmetrics.Counter("c", "C.", ["n"]).labels("x").inc()
asyncmetrics.Gauge("g", "G.").set_function(lambda: 1)
asyncmetrics.Histogram("h", "H.", ttl=5).observe(1)
asyncmetrics.generate_latest()
assert threading.active_count() == 1
assert len(os.listdir("/proc/self/fd")) == before
print(sorted(name for name in sys.modules if name.startswith("asyncmetrics.storage")))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="procfs")
def test_a_process_that_is_alone_opens_no_file_and_starts_no_thread():
    environment = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
    ended = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True)
    assert not {"arena", "worker", "slot_readers", "slot_reader"} & {
        name.rpartition(".")[2].strip("',[]\n") for name in ended.stdout.split()
    }


def test_a_directory_that_was_asked_for_is_used_by_a_single_process(tmp_path):
    program = (
        "import asyncmetrics as a; c = a.Counter('c', 'C.'); c.inc(); print(a.REGISTRY.get_sample_value('c_total'))"
    )
    environment = {**os.environ, "ASYNCMETRICS_DIR": str(tmp_path / "metrics")}
    for expected in ("1.0", "2.0"):
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ended.stdout.strip() == expected


def test_a_process_that_is_alone_exposes_nothing_about_workers():
    registry = CollectorRegistry(storage=AutomaticStorage())
    Counter("c", "C.", registry=registry).inc()
    assert read_value(registry, "asyncmetrics_workers_shared") is None


KEPT = """
import os
from asyncmetrics import REGISTRY, Histogram, Summary

histogram = Histogram("h", "H.", ["n"], buckets=(1, 2)).labels("x")
summary = Summary("s", "S.", ["n"]).labels("x")

def add():
    histogram.add_number(1, 5.0)
    histogram.add_number(3, 8.0)
    summary.add_number(0, 2.0)
    summary.add_number(1, 3.0)

add()
if not (pid := os.fork()):
    histogram.observe(1.5)
    add()
    os._exit(0)
os.waitpid(pid, 0)
add()
REGISTRY.get_sample_value("h_count")
histogram.observe(1.5)  # the child passes changes on from now on
add()
print(type(histogram).__name__)
print([REGISTRY.get_sample_value(name, {"n": "x"}) for name in ("h_count", "h_sum", "s_count", "s_sum")])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_parts_of_children_that_a_program_kept_when_the_process_began_to_share():
    environment = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
    ended = subprocess.run([sys.executable, "-c", KEPT], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["StandInMemoryHistogram", "[22.0, 35.0, 8.0, 12.0]"]


KEPT_NATIVE = """
import os
from asyncmetrics import REGISTRY, Histogram

kept = [Histogram(name, "H.", ["n"], native=True, buckets=buckets, max_buckets=2).labels("x")
        for name, buckets in (("h", ()), ("g", (1, 2)))]
records = [histogram.recorder() for histogram in kept]

def observe():
    for histogram, record in zip(kept, records):
        for amount in (0.5, -1.0, 4.0):
            histogram.observe(amount)
            record(amount)

observe()
if not (pid := os.fork()):
    observe()
    os._exit(0)
os.waitpid(pid, 0)
observe()
REGISTRY.get_sample_value("h_count")
kept[0].observe(1.5, {"trace_id": "a"})  # the children pass changes on from now on
observe()
print(*(type(histogram).__name__ for histogram in kept))
natives = [sample.native_histogram for family in REGISTRY.collect() if family.name in "hg" for sample in family.samples]
print([(native.count_value, native.sum_value) for native in natives if native])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_native_histograms_that_a_program_kept_when_the_process_began_to_share():
    environment = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
    ended = subprocess.run(
        [sys.executable, "-c", KEPT_NATIVE], env=environment, capture_output=True, text=True, check=True
    )
    names, numbers = ended.stdout.splitlines()
    assert names == "StandInMemoryNativeHistogram StandInMemoryDualHistogram"
    assert numbers == "[(25.0, 29.5), (24.0, 28.0)]"
