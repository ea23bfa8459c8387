"""`MultiProcessCollector`: what all processes count, exposed by one that may have declared none of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from asyncmetrics.prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from asyncmetrics.prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from asyncmetrics.storage.decision import DECISION
from tests.other_users import OTHER_USER, is_root
from tests.patience import PROGRAM_SECONDS, wait_for, wait_until

ROOT = Path(__file__).parents[2]
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

pytestmark = pytest.mark.skipif(not Path("/proc/self/auxv").exists(), reason="procfs")

# Executes each line that it reads, and confirms it.
WORKER = """
import sys
from asyncmetrics.prometheus_client import *
from asyncmetrics.prometheus_client import multiprocess
default = Counter("jobs_total", "Jobs.", ["n"])
own = Counter("own_total", "In a registry.", registry=CollectorRegistry())
nowhere = Counter("nowhere_total", "In no registry.", registry=None)
both = Counter("both_total", "In two registries."), Counter("both_total", "In two.", registry=CollectorRegistry())
size = Histogram("size", "Sizes.", buckets=[1, 2])
live, highest = (Gauge(mode, mode, multiprocess_mode=mode) for mode in ("livesum", "max"))
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
COUNT = (
    'default.labels("x").inc(); own.inc(2); nowhere.inc(3); [one.inc() for one in both]; size.observe(1.5); '
    "live.set(1); highest.set(7)"
)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The directory of the variable; the process of the tests has decided before that it is alone."""
    DECISION.begin()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def start(folder) -> Iterator[Callable[[], SimpleNamespace]]:
    """Start a worker: ``start().do("default.labels('x').inc()")``."""
    with ExitStack() as stack:

        def start() -> SimpleNamespace:
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER],
                env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate, timeout=PROGRAM_SECONDS)
            stack.callback(process.kill)
            assert process.stdin is not None
            assert process.stdout is not None

            def do(line: str) -> None:
                print(line, file=process.stdin, flush=True)
                assert process.stdout.readline() == "done\n"

            return SimpleNamespace(process=process, do=do)

        yield start


def read(registry: CollectorRegistry, *names: str) -> list[float | None]:
    return [registry.get_sample_value(name) for name in names]


def test_a_process_that_declares_nothing_exposes_what_all_workers_count(start):
    """In every registry, also in none; two metrics of one name are summed."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    for _ in range(2):
        start().do(COUNT)
    assert registry.get_sample_value("jobs_total", {"n": "x"}) == 2
    assert read(registry, "own_total", "nowhere_total", "both_total", "size_count") == [4, 6, 4, 2]
    assert read(registry, "livesum", "max") == [2, 7]
    assert registry.get_sample_value("size_bucket", {"le": "2.0"}) == 2
    assert registry.get_sample_value("asyncmetrics_workers", {"state": "live"}) == 2


def test_the_process_that_reads_is_no_worker(start, folder):
    start().do(COUNT)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    assert b"jobs_total" in generate_latest(registry)
    assert sorted(path.name for path in folder.glob("*/*.cells")) == ["s0.cells"]


def test_what_ended_workers_counted_stays(start):
    """Live gauges go."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    worker = start()
    worker.do(COUNT)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    assert read(registry, "own_total", "livesum", "max") == [2, None, 7]


def test_families_are_plain(start):
    """They are no live views: a program may change, keep and compare them. Custom collectors have none."""
    start().do(COUNT)
    families = {family.name: family for family in MultiProcessCollector(None).collect()}
    before = list(families["own"].samples)
    families["own"].add_sample("own_total", {"a": "b"}, 1)
    assert len(families["own"].samples) == len(before) + 1 == 2
    assert not [name for name in families if name.startswith(("process_", "python_"))]


def test_a_derived_class_may_change_the_families(start):
    """As programs do that relabel."""

    class Relabelling(MultiProcessCollector):
        def collect(self):
            for family in super().collect():
                family.samples = [sample._replace(labels={"team": "shop"}) for sample in family.samples]
                yield family

    start().do(COUNT)
    registry = CollectorRegistry()
    Relabelling(registry)
    assert b'own_total{team="shop"} 2.0' in generate_latest(registry)


def test_an_emptied_directory_is_filled_again_by_live_workers(start, folder):
    """``rm -rf dir/*`` of an entrypoint; no worker answers a scrape, and no count is lost."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    workers = [start(), start()]
    for expected in (4, 8, 12):
        for worker in workers:
            worker.do(COUNT)
        wait_for(lambda: registry.get_sample_value("own_total"), expected)
        # A worker that misses its files makes new ones at once: rm may find a folder that is not empty again.
        wait_until(lambda: subprocess.run(f"rm -rf {folder}/*", shell=True, check=False).returncode == 0)


def test_the_default_registry_has_each_sample_once(start, folder):
    """It exposes its metrics for all workers already, and gets those of other registries beside them."""
    start().do(COUNT)
    worker = start()
    worker.do("multiprocess.MultiProcessCollector(REGISTRY)")
    worker.do(COUNT)
    worker.do("lines = [line for line in generate_latest(REGISTRY).decode().splitlines() if line[0] != '#']")
    worker.do("names = [line.rpartition(' ')[0] for line in lines]")
    worker.do("assert len(names) == len(set(names)), names")
    worker.do("""assert {'jobs_total{n="x"} 2.0', 'own_total 4.0', 'nowhere_total 6.0'} <= {*lines}, lines""")
    worker.do("assert not [name for name in names if 'errors' in name and 'slot' not in name], names")


def test_a_registry_exposes_its_own_metrics_for_all_workers(start):
    start().do(COUNT)
    worker = start()
    worker.do("registry = CollectorRegistry(); mine = Counter('own_total', 'In a registry.', registry=registry)")
    worker.do("mine.inc()")
    worker.do("families = {family.name: family.samples[0].value for family in registry.collect()}")
    worker.do("assert families == {'own': 3.0}, families")


def test_a_path_is_read_instead_of_the_variable(start, folder, monkeypatch):
    """The directory of ``ASYNCMETRICS_DIR`` can be read as well."""
    start().do(COUNT)
    monkeypatch.delenv(VARIABLE)
    for path in (folder, *folder.iterdir()):
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(path))
        assert read(registry, "own_total") == [2]


def test_metrics_of_this_process_count_where_the_variable_is_set_late(folder):
    """As in tests, which set it for each test."""
    registry = CollectorRegistry(support_collectors_without_names=True)
    MultiProcessCollector(registry)
    one, other = (Counter("late_total", "Late.", registry=None) for _ in range(2))
    one.inc()
    other.inc(2)
    Histogram("late_size", "Late.", registry=None).observe(1)
    Gauge("late_level", "Late.", multiprocess_mode="sum", registry=CollectorRegistry()).set(3)
    assert read(registry, "late_total", "late_size_sum", "late_level") == [3, 1, 3]


@pytest.mark.parametrize("path", [None, "", "/nowhere"])
def test_a_missing_directory_is_an_error(path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ValueError, match="env PROMETHEUS_MULTIPROC_DIR is not set or not a directory"):
        MultiProcessCollector(CollectorRegistry(), path=path)


def test_the_old_name_of_the_variable_is_deprecated(folder, monkeypatch):
    monkeypatch.setenv(VARIABLE.lower(), os.environ.pop(VARIABLE))
    with pytest.warns(DeprecationWarning, match=VARIABLE):
        MultiProcessCollector(CollectorRegistry())
    assert os.environ[VARIABLE] == str(folder)


def test_nothing_is_to_be_done_for_a_process_that_has_ended(folder):
    """The hooks that programs have for gunicorn keep working."""
    mark_process_dead(123)
    mark_process_dead(123, path=str(folder))
    values.close_all_multiprocess_files()


@is_root
def test_workers_of_another_user_are_named_in_the_log(folder, caplog):
    path = folder / f"asyncmetrics-{OTHER_USER}"
    path.mkdir()
    os.chown(path, OTHER_USER, OTHER_USER)
    collector = MultiProcessCollector(None)
    for _ in range(2):
        assert list(collector.collect()) == []
    (line,) = [record.getMessage() for record in caplog.records]
    who = f"run as another user (asyncmetrics-{OTHER_USER}); run them and this process as one user"
    assert line == f"{folder}: the workers there {who}"


def test_one_name_with_other_labels_in_two_registries(start):
    """Both registries expose their own metric; only the first one is shared, and the other says so."""
    worker = start()
    worker.do("app, admin = CollectorRegistry(), CollectorRegistry()")
    worker.do("Counter('requests', 'R.', ['path'], registry=app).labels('/').inc(2)")
    worker.do("Counter('requests', 'R.', ['user'], registry=admin).labels('joe').inc(3)")
    worker.do("assert app.get_sample_value('requests_total', {'path': '/'}) == 2")
    worker.do("assert admin.get_sample_value('requests_total', {'user': 'joe'}) == 3")
    worker.do("errors = admin.get_sample_value('asyncmetrics_collector_errors_total', {'collector': 'requests'})")
    worker.do("assert errors == 1, errors")
