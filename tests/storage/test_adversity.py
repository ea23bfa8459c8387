"""Shared storage where things go wrong, or get large: files that do not agree, other systems, forks of forks, users."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, generate_latest
from asyncmetrics.errors import StorageError
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.automatic import AutomaticStorage
from asyncmetrics.storage.shared.files.directory import Directory
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, wait_for


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics"


@pytest.fixture
def worker(path):
    """Make a registry as one more worker on the same directory would have it."""
    return lambda: CollectorRegistry(storage=SharedStorage(str(path)))


def forked(work) -> None:
    pid = os.fork()
    if not pid:
        signal.alarm(PATIENCE_SECONDS)  # what hangs is ended by the kernel
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def counted(registry, name="c_total", **labels):
    return registry.get_sample_value(name, labels)


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
def test_a_damaged_slot_keeps_nobody_from_counting(worker, path, damage):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()
    forked(lambda: [counter.labels(f"theirs {number}").inc() for number in range(5)])
    damage(path)
    for _ in range(2):
        forked(lambda: counter.labels("x").inc(10))
    assert counted(registry, n="x") == 21
    assert (
        counted(registry, "asyncmetrics_worker_slot_errors_total")
        + counted(registry, "asyncmetrics_worker_dropped_series_total")
        > 0
    ) or damage is empty_cells


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_slot_that_is_damaged_between_scrapes_is_told_as_it_was(worker, path, damage):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    forked(lambda: [counter.labels(f"theirs {number}").inc(7) for number in range(600)])
    assert counted(registry, n="theirs 599") == 7
    damage(path)
    assert counted(registry, n="theirs 599") == 7


def test_storages_of_one_name_do_not_write_over_each_other(path):
    storage = SharedStorage(str(path))
    registries = [CollectorRegistry(storage=storage.named("admin")) for _ in range(2)]
    counters = [Counter("c", "C.", registry=registry) for registry in registries]
    for counter in counters:
        counter.inc(2)
        counters[0].inc()
    assert counted(registries[0]) == 6


def test_whoever_closes_a_storage_writes_no_more(worker, path):
    storage = SharedStorage(str(path))
    counter = Counter("c", "C.", registry=CollectorRegistry(storage=storage))
    counter.inc(5)
    storage.close()
    other = worker()
    Counter("c", "C.", registry=other).inc(100)
    counter.inc()
    assert counted(other) == 105
    assert len(list(path.iterdir())) == 2


def test_a_closed_storage_goes_on_for_its_own_process(path):
    storage = SharedStorage(str(path))
    registry = CollectorRegistry(storage=storage)
    counter = Counter("c", "C.", registry=registry)
    counter.inc(5)
    storage.close()
    counter.inc()
    assert counted(registry) == 6
    assert counted(registry, "asyncmetrics_workers_shared") == 0


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_newest_buckets_win_whoever_answers(worker, order):
    registries = []
    for bound in order:
        registries.append(worker())
        Histogram("h", "H.", buckets=[bound], registry=registries[-1]).observe(0.5)
        time.sleep(0.01)
    for registry in registries:
        bounds = {s.labels["le"] for f in registry.collect() for s in f.samples if s.name == "h_bucket"}
        assert bounds == {f"{order[1]}.0", "+Inf"}
        assert counted(registry, "h_count") == 1
        assert counted(registry, "asyncmetrics_worker_conflicting_families") == 1


def test_a_family_of_another_kind_elsewhere_costs_no_scrape(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc()
    Gauge("c", "G.", registry=two).set(5)
    Gauge("c_total", "G.", registry=worker()).set(7)
    assert counted(one) == 1
    assert counted(two, "c", worker="1") == 5
    assert generate_latest(one).count(b"# TYPE c_total counter") == 1


def test_changing_a_help_text_or_a_mode_keeps_what_was_counted(worker):
    registry = worker()
    forked(lambda: Counter("c", "Old.", registry=worker()).inc(3))
    forked(lambda: Counter("c", "New.", registry=worker()).inc(4))
    Counter("c", "C.", registry=registry)
    assert counted(registry) == 7


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_long_label_values_come_through(worker, size):
    one, two = worker(), worker()
    for value in ("ÿ" * size, "x" * size):
        Counter("c", "C.", ["n"], registry=one, exist_ok=True).labels(value).inc(2)
        assert counted(two, n=value) == 2


def test_a_label_value_that_is_too_long_is_dropped_and_counted_and_hurts_no_other(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    counter.labels("x" * 17_000_000).inc()
    counter.labels("y").inc()
    assert counted(two, n="y") == 1
    assert counted(two, "asyncmetrics_worker_dropped_series_total") == 1


def test_many_labels_of_any_text(worker):
    one, two = worker(), worker()
    names = [f"n{number}" for number in range(60)]
    values = [chr(0x10FFFF), "\udcff", "\x00", "\u2028", "\ufffe", "é", "e\u0301", ""] + ["x"] * 52
    Counter("c", "C.", names, registry=one).labels(*values).inc()
    values[1] = "\ufffd"
    assert counted(two, **dict(zip(names, values, strict=True))) == 1


def test_more_than_64_slots(worker, path):
    registries = [worker() for _ in range(70)]
    for registry in registries:
        Counter("c", "C.", registry=registry).inc()
        Gauge("g", "G.", multiprocess_mode="livesum", registry=registry).set(1)
    assert {counted(registry) for registry in registries} == {70}
    assert counted(registries[0], "g") == 70
    assert counted(registries[0], "asyncmetrics_workers", state="live") == 70
    assert len(list(path.iterdir())) == 140


def test_a_thousand_families(worker):
    one, two = worker(), worker()
    for number in range(1000):
        Counter(f"c{number}", "C.", ["n"], registry=one).labels("x").inc(number)
    found = {f.name: f.samples[0].value for f in two.collect() if f.name.startswith("c")}
    assert found == {f"c{number}": number for number in range(1000)}


def test_a_storage_that_is_gone_leaves_its_slot(path, worker):
    Counter("c", "C.", registry=worker()).inc(5)
    registry = worker()
    assert counted(registry) == 5
    Counter("c", "C.", registry=registry).inc()
    assert counted(registry) == 6
    assert len(list(path.iterdir())) <= 4


def test_forks_of_forks(worker, path):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()

    def deeper(levels: int) -> None:
        counter.inc()
        if levels:
            forked(lambda: deeper(levels - 1))
            forked(lambda: deeper(levels - 1))
        counter.inc()

    forked(lambda: deeper(3))
    assert counted(registry) == 1 + 2 * 15
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
    assert counted(registry) == 3


def test_a_process_that_changes_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = CollectorRegistry(storage=SharedStorage("metrics"))
    counter = Counter("c", "C.", registry=registry)
    counter.inc()
    os.chdir("/")
    forked(lambda: counter.inc())
    assert counted(registry) == 2


def test_a_daemon_that_closes_all_files(worker):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()

    def work() -> None:
        os.closerange(3, 64)
        for _ in range(20):
            os.open("/", os.O_RDONLY)  # the numbers are others' now
        counter.inc()

    forked(work)
    assert counted(registry) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_a_worker_that_gives_up_its_rights_keeps_its_metrics_for_itself(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)

    def work() -> None:
        os.setuid(65534)
        counter.inc(5)
        assert counted(registry) == 5
        assert counted(registry, "asyncmetrics_workers_shared") == 0

    forked(work)
    assert counted(registry) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_workers_of_another_user_than_their_supervisor_share_with_each_other(tmp_path):
    """As those of ``gunicorn --preload --user``: their directory is found once more."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.name.startswith(("test_", "pytest-", "popen-")):
            folder.chmod(0o711)
    for user in (0, 65534):
        (tmp_path / str(user)).mkdir(mode=0o700)
        os.chown(tmp_path / str(user), user, user)
    find = lambda: Directory(str(tmp_path / str(os.geteuid())))  # noqa: E731
    counter = Counter("c", "C.", registry=(registry := CollectorRegistry(storage=SharedStorage.later(find))))

    def work(expected: int) -> None:
        os.setuid(65534)
        counter.inc()
        assert counted(registry) == expected

    for expected in (1, 2, 3):
        forked(partial(work, expected))
    assert len(list((tmp_path / "65534").iterdir())) == 2


def test_an_exception_of_a_signals_handler_reaches_whom_it_interrupts(worker, monkeypatch):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x")
    write = os.pwrite

    def interrupted(*arguments):
        monkeypatch.setattr(os, "pwrite", write)
        write(*arguments)
        raise TimeoutError("too late")

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(TimeoutError, match="too late"):
        counter.labels("y")
    counter.labels("y").inc()
    counter.labels("z").inc(2)
    assert [counted(registry, n=n) for n in "xyz"] == [0, 1, 2]
    assert counted(registry, "asyncmetrics_worker_dropped_series_total") == 0


def test_series_that_are_stale_leave_a_slot_that_was_adopted(worker, path):
    first = worker()
    Counter("other", "O.", registry=first)

    def old() -> None:
        counter = Counter("c", "C.", ["n"], ttl=0.2, max_children=4, registry=worker())
        for number in range(4):
            counter.labels(f"old {number}").inc()

    forked(old)
    new = worker()
    counter = Counter("c", "C.", ["n"], ttl=0.2, max_children=4, registry=new)

    def readings() -> set[str]:
        counter.remove("__overflow__")
        counter.labels("new").inc()
        return {s.labels["n"] for f in counter.collect() for s in f.samples if s.name == "c_total"}

    wait_for(readings, {"new"})


def test_no_posix_fallocate(worker, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(20_000):
        counter.labels(str(number)).inc()
    assert counted(two, n="19999") == 1


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


def test_a_directory_that_was_asked_for_is_used_by_a_single_process(path, monkeypatch):
    program = (
        "import asyncmetrics as a; c = a.Counter('c', 'C.'); c.inc(); print(a.REGISTRY.get_sample_value('c_total'))"
    )
    environment = {**os.environ, "ASYNCMETRICS_DIR": str(path)}
    for expected in ("1.0", "2.0"):
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ended.stdout.strip() == expected


def test_a_storage_that_is_alone_is_told_by_nothing():
    registry = CollectorRegistry(storage=AutomaticStorage())
    Counter("c", "C.", registry=registry).inc()
    assert counted(registry, "asyncmetrics_workers_shared") is None


SPAWNING = """
import multiprocessing, sys
import asyncmetrics
counter = asyncmetrics.Counter("c", "C.", exist_ok=True)
counter.inc()

def work():
    counter.inc()
    print(asyncmetrics.REGISTRY.get_sample_value("c_total"))
    print(asyncmetrics.REGISTRY.get_sample_value("asyncmetrics_workers_shared"))

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_a_process_that_is_spawned_by_no_server_counts_for_itself(tmp_path):
    """Its main module is imported before it can tell what it is for."""
    program = tmp_path / "program.py"
    program.write_text(SPAWNING)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False)
    assert (ended.stderr, ended.stdout.split()) == ("", ["2.0", "None"])


def test_a_directory_that_is_found_to_be_unusable_later_is_logged_and_told(tmp_path, caplog):
    (tmp_path / "file").touch()
    registry = CollectorRegistry(storage=SharedStorage.later(lambda: Directory(str(tmp_path / "file"))))
    counter = Counter("c", "C.", registry=registry)
    counter.inc(2)
    assert counted(registry) == 2
    assert counted(registry, "asyncmetrics_workers_shared") == 0
    assert "expected a directory" in caplog.text


def test_what_was_counted_before_the_directory_was_known_is_shared_once_it_is(worker, path):
    known = []
    registry = CollectorRegistry(storage=SharedStorage.later(lambda: known[0] if known else None))
    counter = Counter("c", "C.", ["n"], registry=registry)
    gauge = Gauge("g", "G.", multiprocess_mode="mostrecent", registry=registry)
    counter.labels("x").inc(2)
    gauge.set(5)
    assert counted(registry, n="x") == 2
    other = worker()
    Gauge("g", "G.", multiprocess_mode="mostrecent", registry=other)
    known.append(Directory(str(path)))
    counter.labels("y").inc()
    assert [counted(other, n="x"), counted(other, n="y"), counted(other, "g")] == [2, 1, 5]


def test_enums_and_infos_of_the_dead_are_not_told(worker):
    registry = worker()
    Counter("c", "C.", registry=registry)

    def work() -> None:
        mine = worker()
        Enum("e", "E.", states=["a", "b"], registry=mine).state("b")
        Info("i", "I.", ["n"], registry=mine).labels("x").info({"version": "1"})

    forked(work)
    names = {s.name for f in registry.collect() for s in f.samples}
    assert not names & {"e", "i_info"}


def test_a_full_disk_drops_series_and_counts_them(worker, monkeypatch):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("before").inc()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(20_000):
        counter.labels(str(number)).inc()
    dropped = counted(registry, "asyncmetrics_worker_dropped_series_total")
    found = [s for f in registry.collect() for s in f.samples if s.name == "c_total"]
    assert dropped > 0
    assert len(found) + dropped == 20_001
    monkeypatch.undo()
    counter.labels("after").inc()
    assert counted(registry, n="after") == 1


def test_a_scrape_inside_a_scrape_reads_the_same(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(5000):
        counter.labels(str(number)).inc()
    Counter("c", "C.", ["n"], registry=two)
    outer = [family for family in two.collect() if family.name == "c"][0]
    batches = outer.batches()
    seen = 0
    for batch in batches:
        seen += len(batch)
        with suppress(StopIteration):
            assert counted(two, n="4999") == 1
    assert seen == 5000


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


@pytest.mark.parametrize(
    "put",
    [put_fifo, put_directory, put_hard_link, put_symbolic_link, put_file_of_another_user],
    ids=lambda put: put.__name__,
)
def test_what_is_no_file_of_ours_is_left_as_it_is_and_its_slot_is_passed_over(worker, path, put):
    path.mkdir(mode=0o700)
    put(path / "s0.cells")
    before = (path / "s0.cells").lstat()
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    counter.inc()
    forked(counter.inc)
    assert counted(registry) == 2
    assert counted(registry, "asyncmetrics_worker_slot_errors_total") > 0
    assert (path / "s0.cells").lstat() == before
    assert not (path / "precious").exists() or (path / "precious").read_bytes() == b"precious"


def test_a_file_with_two_hard_links_is_not_opened(tmp_path):
    """It may be a file that another program relies on, whatever its content looks like."""
    directory = Directory(str(tmp_path))
    (tmp_path / "single").touch()
    (tmp_path / "linked").touch()
    (tmp_path / "other name").hardlink_to(tmp_path / "linked")
    os.close(directory.open("single", os.O_RDWR))
    with pytest.raises(PermissionError, match="one name"):
        directory.open("linked", os.O_RDWR)


def removed_directory(path):
    shutil.rmtree(path)


def removed_files(path):
    for file in path.iterdir():
        file.unlink()


def removed_logs(path):
    for file in path.glob("s*.keys.*"):
        file.unlink()


@pytest.mark.parametrize("remove", [removed_directory, removed_files, removed_logs], ids=lambda remove: remove.__name__)
def test_workers_go_on_with_new_files_where_somebody_removes_theirs(worker, path, remove):
    registries = [worker() for _ in range(2)]
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in registries]
    for counter in counters:
        counter.labels("x").inc()
    remove(path)
    for number in range(500):
        counters[0].labels(str(number)).inc()
    for counter in counters:
        counter.labels("x").inc()
    generate_latest(registries[1])
    assert [[counted(registry, n=n) for n in ("x", "0", "499")] for registry in registries] == [[4, 1, 1]] * 2


def test_a_process_that_may_open_no_more_files_counts_and_is_scraped(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        counter.labels("x").inc(5)
        assert counted(registry, n="x") == 5
        assert counted(registry, "asyncmetrics_workers_shared") == 0

    forked(work)
    assert counted(registry, n="x") == 1


def test_a_slot_that_there_is_no_room_for_is_a_clear_error(path, monkeypatch):
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no slot can be had.*No space left on device"):
        Counter("c", "C.", registry=CollectorRegistry(storage=SharedStorage(str(path))))


def test_a_restricted_registry_tells_what_all_workers_have(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        Counter("c", "C.", registry=registry).inc()
        Counter("other", "O.", registry=registry).inc()
    restricted = one.restricted_registry(["c_total"])
    assert [line for line in generate_latest(restricted).decode().splitlines() if line[:1] != "#"] == ["c_total 2.0"]


def test_two_directories_never_mix(tmp_path):
    registries = [CollectorRegistry(storage=SharedStorage(str(tmp_path / name))) for name in ("shop", "mail")]
    for registry, amount in zip(registries, (1, 10), strict=True):
        Counter("c", "C.", registry=registry).inc(amount)
    assert [counted(registry) for registry in registries] == [1, 10]
