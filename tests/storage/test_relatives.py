"""Processes that fork, or that multiprocessing starts, share the metrics that existed before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.skipif(not Path("/proc/self/auxv").exists(), reason="procfs")

# Everything that a program may hold from before: metrics, children, bound methods, decorators, functions of timers.
METRICS = """
import json, multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from asyncmetrics import REGISTRY, Counter, Enum, Gauge, Histogram, Info, Summary

options = {"exist_ok": True}  # a spawned process imports the main module once more
counter, labelled = Counter("c", "C.", **options), Counter("l", "L.", ["n"], **options)
histogram, summary = Histogram("h", "H.", buckets=[1, 10], **options), Summary("s", "S.", **options)
gauge = Gauge("g", "G.", multiprocess_mode="max", **options)
running = Gauge("running", "Running.", ["n"], multiprocess_mode="sum", **options)
info, state = Info("i", "I.", **options), Enum("e", "E.", states=["a", "b"], **options)
held, held_running = labelled.labels("held"), running.labels("held")
inc, held_inc, record, observe = counter.inc, held.inc, histogram.recorder(), summary.observe

@histogram.time()
@held_running.track_inprogress()
def timed():
    pass

@held.count_exceptions()
def failing():
    raise LookupError

def count():
    inc(); counter.inc(2); held_inc(); held.inc(3, {"trace": "7"}); labelled.labels("new").inc()
    record(0.5); histogram.observe(5); timed(); observe(3); summary.observe(1)
    held_running.inc(4); held_running.dec(4); gauge.set(5); gauge.inc(2)
    info.info({"version": "7"}); state.state("b")
    try:
        failing()
    except LookupError:
        pass

def count_before():
    counter.inc(100); held.inc(100); histogram.observe(7); summary.observe(2); gauge.set(1)

def show():
    read = REGISTRY.get_sample_value
    print(json.dumps({
        "counter": read("c_total"), "held": read("l_total", {"n": "held"}), "new": read("l_total", {"n": "new"}),
        "count": read("h_count"), "fast": read("h_bucket", {"le": "1.0"}),
        "summary": [read("s_count"), read("s_sum")],
        "running": read("running", {"n": "held"}),
        "shared": read("asyncmetrics_workers_shared"),
    }))
"""
START = """
if __name__ == "__main__":
    count_before()
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=count) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    show()
    count()
    show()
"""
POOL = """
if __name__ == "__main__":
    count_before()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[1])) as executor:
        for future in [executor.submit(count) for _ in range(2)]:
            future.result()
        show()
    count()
    show()
"""
FORK = """
count_before()
for _ in range(2):
    pid = os.fork()
    if not pid:
        count()
        if not os.fork():
            pass  # a fork of a fork that counts nothing
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
show()
count()
show()
"""
BOTH = {"counter": 106, "held": 110, "new": 2, "count": 7, "fast": 4, "summary": [5, 10], "running": 0, "shared": 1}
ALL = {"counter": 109, "held": 115, "new": 3, "count": 10, "fast": 6, "summary": [7, 14], "running": 0, "shared": 1}


@pytest.fixture
def place(tmp_path) -> Path:
    """The directory where the processes may make theirs."""
    path = tmp_path / "place"
    path.mkdir()
    return path


@pytest.fixture
def run(tmp_path, place):
    """Run a program with the metrics above; return what it shows, and the lines of its standard error."""

    def run(program: str, *arguments: str) -> tuple[list[dict], list[str]]:
        path = tmp_path / "program.py"
        path.write_text(METRICS + program)
        kept = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
        environment = {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), "XDG_RUNTIME_DIR": str(place)}
        command = [sys.executable, str(path), *arguments]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr.splitlines()

    return run


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("program", [START, POOL], ids=["process", "pool"])
def test_the_processes_of_multiprocessing_share_with_their_parent(run, program, method):
    assert run(program, method) == ([BOTH, ALL], [])


def test_forked_processes_share_with_their_parent(run):
    assert run(FORK) == ([BOTH, ALL], [])


def test_a_child_process_that_counts_nothing_changes_nothing(run, place):
    program = """
count_before()
if not os.fork():
    os._exit(0)
os.wait()
show()
"""
    ((shown,), errors) = run(program)
    assert (shown["counter"], shown["shared"], errors) == (100, None, [])
    assert list(place.iterdir()) == []


def test_a_pool_whose_tasks_count_nothing_changes_nothing(run, place):
    program = """
if __name__ == "__main__":
    count_before()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        list(executor.map(abs, range(3)))
    show()
"""
    ((shown,), errors) = run(program)
    assert (shown["counter"], shown["shared"], errors) == (100, None, [])
    assert list(place.iterdir()) == []


def test_a_daemon_whose_parent_has_ended_keeps_its_numbers_and_may_fork_again(run, place):
    program = """
count_before()
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
count()
show()
if not os.fork():
    count()
    os._exit(0)
os.wait()
show()
"""
    shown, errors = run(program)  # until the daemon closes its standard output
    assert errors == []
    assert [(one["counter"], one["held"], one["count"], one["shared"]) for one in shown] == [
        (103, 105, 4, None),
        (106, 110, 7, 1),
    ]


def test_a_worker_that_cannot_share_logs_once_and_exposes_that(run):
    program = """
from pathlib import Path
from asyncmetrics.storage.shared import discovery
discovery.choose_base = lambda: Path("/proc/no/such/place")
count_before()
if not os.fork():
    count()
    show()
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    ((shown,), errors) = run(program)
    assert (shown["counter"], shown["new"], shown["shared"]) == (103, 1, 0)
    assert len(errors) == 1
    assert "keeps its metrics for itself" in errors[0]


def test_functions_of_gauges_and_exemplars_are_taken_along(run):
    program = """
from asyncmetrics.exposition.latest import generate_latest
functional = Gauge("f", "F.", multiprocess_mode="sum")
functional.set_function(lambda: 3)
sampled = Gauge("sampled", "S.", ["n"], multiprocess_mode="sum")
sampled.collect_from(lambda: {("x",): 2})
if not os.fork():
    counter.inc(1, {"trace": "9"})
    held.inc(1, {"trace": "8"})
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.exemplar:
                print(json.dumps([sample.name, dict(sample.exemplar.labels)]))
    print(json.dumps([REGISTRY.get_sample_value("f"), REGISTRY.get_sample_value("sampled", {"n": "x"})]))
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    shown, errors = run(program)
    assert (shown, errors) == (
        [["c_total", {"trace": "9"}], ["l_total", {"trace": "8"}], [3, 2]],
        [],
    )


def test_the_traces_that_a_forked_process_counts_with_are_exposed_by_its_parent(run):
    program = """
native = Histogram("native", "N.", native=True, buckets=())
natively = native.labels()
if not os.fork():
    for number, count_one in enumerate([counter.inc, held.inc, histogram.observe, natively.observe], 1):
        count_one(1, {"trace_id": f"{number:032x}"})
    os._exit(0)
os.wait()
for family in REGISTRY.collect():
    for sample in family.samples:
        if sample.exemplar:
            print(json.dumps([sample.name, int(sample.exemplar.labels["trace_id"], 16)]))
"""
    shown, errors = run(program)
    assert (shown, errors) == ([["c_total", 1], ["l_total", 2], ["h_bucket", 3], ["native_bucket", 4]], [])


IN_FLIGHT = """
import os
from asyncmetrics import Counter, Histogram, Summary, generate_latest
from asyncmetrics.model.family import LiveFamily

metrics = [kind("m" + kind.__name__, "M.", ["n"], ttl=3600) for kind in (Counter, Histogram, Summary)]
for metric in metrics:
    for number in range(600):
        (metric.labels(number).inc if metric is metrics[0] else metric.labels(number).observe)(1)
readings = [iter(family.read_batches()) for metric in metrics for family in [metric.make_family()]]
found = [list(next(reading)) for reading in readings]
if not os.fork():
    metrics[0].labels("child").inc()
    os._exit(0)
os.wait()
generate_latest()  # from now on this process shares, with the child
print([sum(point.read_numbers()[0] if metric is not metrics[1] else point.read_numbers()[-1]
           for batch in [first, *rest] for point in batch) for metric, first, rest in zip(metrics, found, readings)])
"""


def test_a_reading_that_has_begun_before_a_process_shares_goes_on(tmp_path):
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-c", IN_FLIGHT]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    assert (ended.stdout.strip(), ended.stderr) == ("[600.0, 600.0, 600.0]", "")


EXPIRING = """
import os, time
from asyncmetrics import REGISTRY, Counter

now, ahead = time.monotonic, [0]
time.monotonic = lambda: now() + sum(ahead)
counter = Counter("c", "C.", ["n"], ttl=600)
held = counter.labels("held")
held.inc()
counter.labels("x").inc()
ahead.append(500)
if not os.fork():
    counter.labels("child").inc()
    os._exit(0)
os.wait()
print([REGISTRY.get_sample_value("c_total", {"n": name}) for name in ("held", "x", "child")])
ahead.append(200)
print([REGISTRY.get_sample_value("c_total", {"n": name}) for name in ("held", "x", "child")])
held.inc()
print(REGISTRY.get_sample_value("c_total", {"n": "held"}))
"""


def test_a_child_keeps_the_time_of_its_last_change_when_a_process_begins_to_share(tmp_path):
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-c", EXPIRING]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    shown = ended.stdout.splitlines()
    assert (shown, ended.stderr) == (["[1.0, 1.0, 1.0]", "[None, None, 1.0]", "2.0"], "")
