"""Executors of `concurrent.futures`: their threads or processes, the waits and the functions that run."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pytest

from asyncmetrics import generate_latest, instrument, uninstrument
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, wait_until
from tests.runtime import remote_functions

SHORT = 0.02


def wait(registry, part="count", pool="jobs"):
    return registry.get_sample_value(f"thread_pool_wait_seconds_{part}", {"pool": pool})


def runs(registry, function, part="count", pool="jobs"):
    return registry.get_sample_value(f"thread_pool_run_seconds_{part}", {"pool": pool, "function": function})


def read(registry, what, pool="jobs", **labels):
    return registry.get_sample_value(f"thread_pool_{what}", {"pool": pool, **labels})


@pytest.fixture
def executor(registry):
    with ThreadPoolExecutor(2) as executor:
        yield instrument(executor, name="jobs", registry=registry)


def sleep():
    time.sleep(SHORT)
    return "slept"


SLEEP = f"{__name__}:sleep"


def test_a_call_is_recorded_by_its_function(registry, executor):
    assert executor.submit(sleep).result() == "slept"
    assert wait(registry) == 1
    wait_until(lambda: runs(registry, SLEEP) == 1)
    assert runs(registry, SLEEP, "sum") >= SHORT


def test_threads_are_counted_by_their_state(registry, executor):
    release = threading.Event()
    futures = [executor.submit(release.wait, PATIENCE_SECONDS) for _ in range(3)]
    wait_until(lambda: read(registry, "threads", state="busy") == 2)
    assert read(registry, "threads", state="idle") == 0
    assert read(registry, "queue_length") == 1
    assert read(registry, "max") == 2
    release.set()
    assert [future.result() for future in futures] == [True] * 3
    wait_until(lambda: read(registry, "threads", state="idle") == 2)
    assert read(registry, "queue_length") == 0


def test_a_call_waits_until_a_thread_is_free(registry):
    with instrument(ThreadPoolExecutor(1), name="jobs", registry=registry) as executor:
        release = threading.Event()
        executor.submit(release.wait, PATIENCE_SECONDS)
        waiting = executor.submit(sleep)
        began = time.perf_counter()
        time.sleep(SHORT)
        waited = time.perf_counter() - began
        release.set()
        waiting.result()
        assert wait(registry, "sum") >= waited


def test_an_exception_stays_as_it_is_and_is_recorded(registry, executor):
    def fail():
        raise error

    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        executor.submit(fail).result()
    assert caught.value is error
    wait_until(lambda: runs(registry, f"{fail.__module__}:{fail.__qualname__}") == 1)


def test_a_call_that_is_cancelled_in_time_is_not_recorded(registry):
    with instrument(ThreadPoolExecutor(1), name="jobs", registry=registry) as executor:
        release = threading.Event()
        executor.submit(release.wait, PATIENCE_SECONDS)
        assert executor.submit(sleep).cancel()
        release.set()
    assert wait(registry) == 1
    assert runs(registry, SLEEP) is None


class Callable:
    def __call__(self):
        return "called"

    def method(self):
        return "method"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (partial(partial(sleep)), "sleep"),
        (partial(contextvars.copy_context().run, sleep), "sleep"),
        (Callable().method, "Callable.method"),
        (Callable(), "Callable"),
    ],
)
def test_the_function_below_a_wrapper_is_the_label(registry, executor, function, name):
    executor.submit(function).result()
    wait_until(lambda: runs(registry, f"{__name__}:{name}") == 1)


def test_a_wrapper_of_a_library_with_other_arguments_is_the_label(registry, executor):
    def imitated(_):
        pass

    imitated.__module__, imitated.__qualname__ = "fastapi.telemetry._api", "_run_sync_endpoint"
    executor.submit(partial(imitated, sleep)).result()
    wait_until(lambda: runs(registry, "fastapi.telemetry._api:_run_sync_endpoint") == 1)


class Proxy:
    """A callable with an attribute of any name, as those of `xmlrpc.client`."""

    def __getattr__(self, name):
        return Proxy()

    def __call__(self):
        return 7


class UnboundProxy(Proxy):
    """One that has no object to ask, as those of `werkzeug.local`."""

    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("kind", [Proxy, UnboundProxy])
def test_the_class_of_a_proxy_is_the_label(registry, executor, kind):
    assert executor.submit(kind()).result() == 7
    assert runs(registry, f"{__name__}:{kind.__qualname__}") == 1


def test_no_call_waits_after_the_shutdown(registry, executor):
    executor.submit(sleep)
    executor.shutdown()
    assert read(registry, "queue_length") == 0
    assert read(registry, "threads", state="idle") == 0


def test_the_calls_that_wait_while_an_executor_shuts_down_are_counted(registry, executor):
    release = threading.Event()
    for _ in range(3):
        executor.submit(release.wait, PATIENCE_SECONDS)
    wait_until(lambda: read(registry, "threads", state="busy") == 2)
    executor.shutdown(wait=False)
    length = read(registry, "queue_length")
    release.set()
    assert length == 1


def test_map_is_recorded(registry, executor):
    assert list(executor.map(abs, [-1, -2])) == [1, 2]
    wait_until(lambda: runs(registry, "builtins:abs") == 2)


async def test_run_in_executor_is_recorded(registry, executor):
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(executor, sleep) == "slept"
    assert runs(registry, SLEEP) == 1


def test_functions_are_bounded(registry, executor):
    def make(number):
        def function():
            """Do nothing."""

        function.__qualname__ = f"function{number}"
        return function

    for future in [executor.submit(make(number)) for number in range(1100)]:
        future.result(PATIENCE_SECONDS)
    wait_until(lambda: wait(registry) == 1100)
    lines = [line for line in generate_latest(registry).decode().splitlines() if "run_seconds_count{" in line]
    assert len(lines) <= 1001 + 2  # two threads may add one each at the same time
    assert any("__overflow__" in line for line in lines)


def test_uninstrument_leaves_nothing(registry, executor):
    executor.submit(sleep).result()
    uninstrument(executor)
    executor.submit(sleep).result()
    assert type(executor) is ThreadPoolExecutor
    assert "jobs" not in generate_latest(registry).decode()


def test_an_executor_that_is_instrumented_twice_counts_once(registry, executor):
    instrument(executor).submit(sleep).result()
    assert wait(registry) == 1


def test_the_series_of_an_executor_that_is_gone_disappear(registry):
    with instrument(ThreadPoolExecutor(1), name="jobs", registry=registry) as executor:
        executor.submit(sleep).result()
    del executor
    gc.collect()
    assert "jobs" not in generate_latest(registry).decode()


ENDING = """
import asyncio, multiprocessing, queue
import anyio
from concurrent.futures import ThreadPoolExecutor
from asyncmetrics import generate_latest, instrument

def work():
    objects[0].put(1)  # from now on the processes share their metrics
    begun.set()
    done.wait()

context = multiprocessing.get_context("fork")
begun, done = context.Event(), context.Event()
objects = [
    instrument(queue.Queue()),
    instrument(asyncio.Semaphore(1)),
    instrument(ThreadPoolExecutor(1)),
    instrument(anyio.CapacityLimiter(1)),
    instrument(anyio.create_memory_object_stream(1)[0]),
]
objects[2].submit(int).result()
process = context.Process(target=work)
process.start()
begun.wait()
objects[0].put(1)
assert b"queue_put_wait_seconds_count" in generate_latest()
done.set()
process.join()
objects[4].close()
"""


def test_the_end_of_the_process_is_silent():
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def processes(request, registry):
    context = multiprocessing.get_context(request.param)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield instrument(executor, name="jobs", registry=registry)


DOUBLE = "tests.runtime.remote_functions:double"
FAIL = "tests.runtime.remote_functions:fail"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a process with threads, from Python 3.12 on
def test_calls_in_processes_come_back_as_they_are_and_are_recorded(registry, processes):
    assert processes.submit(remote_functions.double, 2).result(PROGRAM_SECONDS) == 4
    assert list(processes.map(remote_functions.double, range(4), chunksize=2)) == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="no") as caught:
        processes.submit(remote_functions.fail).result(PROGRAM_SECONDS)
    assert type(caught.value) is ValueError
    assert vars(caught.value) == {}
    cause = str(caught.value.__cause__)
    assert "ZeroDivisionError" in cause
    assert cause.rstrip('"\n').endswith("\nValueError: no")
    assert wait(registry) == 4
    assert [runs(registry, DOUBLE), runs(registry, FAIL)] == [3, 1]
    assert read(registry, "max") == 2
    wait_until(lambda: read(registry, "threads", state="busy") == 0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (remote_functions.fail_in_syntax, "SyntaxError", '  File "three.py", line 1\n    one two\n'),
        pytest.param(
            remote_functions.fail_in_group,
            "ExceptionGroup",
            "| ValueError: no\n",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no groups"),
        ),
    ],
)
def test_the_traceback_of_another_process_is_complete(registry, function, kind, text):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        instrument(executor, name="jobs", registry=registry)
        error = executor.submit(function).exception(PROGRAM_SECONDS)
        assert type(error).__name__ == kind
        assert text in str(error.__cause__)
        assert "__reduce_ex__" not in vars(error)
        assert runs(registry, f"{function.__module__}:{function.__qualname__}") == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_pool_of_processes_fails_as_without_us(registry):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        instrument(executor, name="jobs", registry=registry)
        with pytest.raises(Exception, match="pickle|local object"):
            executor.submit(lambda: None).result(PROGRAM_SECONDS)
        with pytest.raises(Exception, match="pickle|local object"):
            executor.submit(remote_functions.return_lambda).result(PROGRAM_SECONDS)
        with pytest.raises(BrokenExecutor):
            executor.submit(remote_functions.end_process).result(PROGRAM_SECONDS)
        assert read(registry, "threads", state="idle") == 0
        uninstrument(executor)
        assert type(executor) is ProcessPoolExecutor
    assert "jobs" not in generate_latest(registry).decode()
