"""Signal handlers, other threads and other scrapes in the middle of an operation."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, count
from threading import Event, Thread, current_thread, main_thread
from types import ModuleType

import pytest

from asyncmetrics import (
    Counter,
    generate_latest,
)
from asyncmetrics.errors import AmountError, StorageError
from asyncmetrics.registry.collectables import collect_within
from asyncmetrics.storage.shared import worker as module
from tests.patience import PATIENCE_SECONDS
from tests.storage.readings import read_lines, read_value


def test_families_of_other_workers_are_exposed_while_other_threads_scrape(worker):
    one, two = worker(), worker()

    def work(thread: int) -> None:
        for number in range(20):
            two.unregister(Counter(f"new_{thread}_{number}", "N.", registry=two))
            generate_latest(one)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert read_lines(one, "asyncmetrics_collector_errors_total") == []


# By functions, since the traceback of an exception keeps everything that it has passed.
EXCEPTIONS: list[Callable[[], Exception]] = [
    lambda: TimeoutError("too late"),
    lambda: OSError(errno.EIO, "too late"),
    lambda: OSError(errno.EBADF, "too late"),
    lambda: FileNotFoundError(errno.ENOENT, "too late"),
    lambda: BlockingIOError(errno.EAGAIN, "too late"),
    lambda: PermissionError(errno.EPERM, "too late"),
    lambda: StorageError("too late", "too late", errno.EIO),
    lambda: ValueError("too late"),
    lambda: AmountError("too late", -1.0, "too late"),
]


@pytest.fixture
def raise_each(monkeypatch):
    """Call ``work`` again and again; each time, a signal handler raises another exception at a call of a function."""
    before = signal.getsignal(signal.SIGUSR1)
    gc.collect()
    gc.disable()  # workers of earlier tests would call these functions when they are freed

    def raise_each(name: str, work: Callable[[], object]) -> Iterator[None]:
        module = fcntl if name == "flock" else os
        for make in EXCEPTIONS:
            raise_at_next_call(module, name, error := make())
            with pytest.raises(type(error)) as caught:
                work()
            assert caught.value is error
            yield

    def raise_at_next_call(module: ModuleType, name: str, error: Exception) -> None:
        def handle(*_: object) -> None:
            raise error

        def interrupted(*arguments, **options):
            if current_thread() is main_thread():  # which handlers interrupt
                monkeypatch.setattr(module, name, function)
                signal.raise_signal(signal.SIGUSR1)
            return function(*arguments, **options)

        function = getattr(module, name)
        signal.signal(signal.SIGUSR1, handle)
        monkeypatch.setattr(module, name, interrupted)

    yield raise_each
    gc.enable()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("name", ["lseek", "pwrite", "posix_fallocate"])
def test_an_exception_of_a_signal_handler_reaches_the_program_that_makes_a_series(worker, raise_each, name):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    made = count()
    counter.labels("x")
    for _ in raise_each(name, lambda: [counter.labels(str(next(made))) for _ in range(10_000)]):
        counter.labels("x").inc()
    last = str(next(made) - 1)
    assert [read_value(registry, n=n) for n in ("x", "0", last)] == [len(EXCEPTIONS), 0, 0]
    assert read_value(registry, "asyncmetrics_worker_dropped_series_total") == 0


@pytest.mark.parametrize("name", ["open", "fstat", "lseek", "stat", "pread", "pwrite", "posix_fallocate", "flock"])
def test_an_exception_of_a_signal_handler_reaches_the_program_that_takes_a_slot(worker, raise_each, name):
    registries = [worker()]
    Counter("c", "C.", registry=registries[0]).inc()

    def take_a_slot():
        registries.append(worker())
        Counter("c", "C.", registry=registries[-1])

    for number, _ in enumerate(raise_each(name, take_a_slot), 2):
        Counter("c", "C.", registry=registries[-1], exist_ok=True).inc()
        assert read_value(registries[0]) == number
    assert read_value(registries[0], "asyncmetrics_worker_slot_errors_total") == 0


@pytest.mark.parametrize("name", ["open", "fstat", "lseek", "stat", "pread", "flock"])
def test_an_exception_of_a_signal_handler_reaches_the_program_that_reads(worker, raise_each, name):
    registries = [worker(), worker()]
    for registry in registries:
        Counter("c", "C.", registry=registry).inc()

    def read():
        registries.append(worker())  # a worker that has not opened the files of the others
        for registry in registries:
            list(chain.from_iterable(family.read_batches() for family in collect_within(registry)))

    for _ in raise_each(name, read):
        assert [read_value(registries[0]), read_value(registries[1])] == [2, 2]
    assert read_value(registries[0], "asyncmetrics_worker_slot_errors_total") == 0


def test_a_scrape_inside_a_scrape_reads_the_same(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(5000):
        counter.labels(str(number)).inc()
    Counter("c", "C.", ["n"], registry=two)
    outer = [family for family in collect_within(two) if family.name == "c"][0]
    batches = outer.read_batches()
    seen = 0
    for batch in batches:
        seen += len(batch)
        with suppress(StopIteration):
            assert read_value(two, n="4999") == 1
    assert seen == 5000


@pytest.fixture
def interrupt_write(path, monkeypatch):
    """Call a function at the next write to a file of the test's workers, in the middle of their structural work."""
    write = os.pwrite

    def prepare(function: Callable[[], object]) -> None:
        def interrupted(descriptor, *arguments):
            # A worker of an earlier test is perhaps freed only now, and releases its slot.
            if os.fstat(descriptor).st_ino in {file.stat().st_ino for file in path.iterdir()}:
                monkeypatch.setattr(os, "pwrite", write)
                function()
            return write(descriptor, *arguments)

        monkeypatch.setattr(os, "pwrite", interrupted)

    return prepare


def test_a_reading_waits_for_another_thread_that_is_about_to_remove_a_series(worker, interrupt_write):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc(5)
    is_inside, goes_on = Event(), Event()
    interrupt_write(lambda: is_inside.set() or goes_on.wait(PATIENCE_SECONDS))
    thread = Thread(target=counter.labels, args=("y",))
    thread.start()
    assert is_inside.wait(PATIENCE_SECONDS)
    counter.remove("x")  # by the thread, after its own work
    counter.labels("x").inc()
    (family,) = (family for family in collect_within(registry) if family.name == "c")
    reading = iter(family.read_batches())
    meanwhile = [list(next(reading)) for _ in range(20)]
    goes_on.set()
    values = {point.labelvalues: point.read_numbers()[0] for batch in reading for point in batch}
    thread.join()
    assert (meanwhile, values) == ([[]] * 20, {("x",): 1.0, ("y",): 0.0})


def test_a_reading_that_interrupts_the_work_of_its_own_thread_does_not_wait(worker, interrupt_write):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()
    inside = []
    interrupt_write(lambda: inside.append(read_value(registry, n="x")))
    counter.labels("y").inc()
    assert (inside, read_value(registry, n="y")) == ([1.0], 1.0)


def test_readings_together_wait_only_once_for_work_that_does_not_end(worker, interrupt_write, monkeypatch):
    monkeypatch.setattr(module, "_WAITS", 5)
    registry = worker()
    counters = [Counter(f"c{number}", "C.", ["n"], registry=registry) for number in range(3)]
    is_inside, goes_on = Event(), Event()
    interrupt_write(lambda: is_inside.set() or goes_on.wait(PATIENCE_SECONDS))
    thread = Thread(target=counters[0].labels, args=("x",))
    thread.start()
    assert is_inside.wait(PATIENCE_SECONDS)
    families = [family for family in collect_within(registry) if family.name.startswith("c")]
    steps = [len(list(family.read_batches())) for family in families]
    goes_on.set()
    thread.join()
    assert (steps[0] >= 5, max(steps[1:]) < 5, read_value(registry, "c0_total", n="x")) == (True, True, 0.0)
