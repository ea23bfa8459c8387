"""Exceptions that nothing catches are counted where they are found, once, and all hooks are chained and taken back."""

from __future__ import annotations

import asyncio
import builtins
import gc
import subprocess
import sys
import threading
import types

import pytest
import trio

from asyncmetrics import CollectorRegistry
from asyncmetrics.runtime import RuntimeMonitor
from tests.forks import run_forked
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS

NAME = "python_unhandled_exceptions_total"
LOOPS = ["asyncio", "uvloop", "trio"]
ASYNCIO_LOOPS = LOOPS[:2]


def run_on(kind, main):
    if kind == "trio":
        trio.run(main)
    elif kind == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


def read(registry):
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == NAME]
    return {(sample.labels["where"], sample.labels["type"]): sample.value for sample in samples}


def read_errors(registry):
    name = "asyncmetrics_internal_errors_total"
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == name]
    return {sample.labels["where"]: sample.value for sample in samples}


@pytest.fixture(scope="module", autouse=True)
def _no_garbage():
    """Collect what tests of other files have left: its finalisers may fail."""
    gc.collect()


@pytest.fixture
def seen(monkeypatch):
    """What the program's own hooks get, which are there before the monitor; it keeps pytest from failing the test."""
    calls = []
    monkeypatch.setattr(threading, "excepthook", lambda args: calls.append(("thread", args.exc_type)))
    monkeypatch.setattr(sys, "unraisablehook", lambda args: calls.append(("unraisable", args.exc_type)))
    monkeypatch.setattr(sys, "excepthook", lambda *args: calls.append(("main", args[0])))
    return calls


class Unfinished:
    def __init__(self, error=ValueError):
        self.error = error

    def __del__(self):
        raise self.error


def fail_in_thread(error=ZeroDivisionError):
    def fail():
        raise error

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(PATIENCE_SECONDS)


def leave_program(error):
    sys.excepthook(type(error), error, error.__traceback__)


async def fail():
    raise KeyError("a")


async def lose_task():
    task = asyncio.ensure_future(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


def measured(kind, act, registry, **options):
    """Run ``act`` while a loop is monitored, and return what was counted."""

    async def main():
        async with RuntimeMonitor(registry=registry, **options):
            act()

    run_on(kind, main)
    return read(registry)


def ignore_context(loop, context):
    pass


@pytest.mark.parametrize("kind", LOOPS)
def test_an_exception_of_a_thread_counts(kind, registry, seen):
    assert measured(kind, fail_in_thread, registry) == {("thread", "ZeroDivisionError"): 1}


@pytest.mark.parametrize("kind", LOOPS)
def test_an_exception_of_a_finaliser_counts(kind, registry, seen):
    assert measured(kind, Unfinished, registry) == {("unraisable", "ValueError"): 1}


def test_an_exception_that_leaves_the_program_counts(registry, seen):
    assert measured("asyncio", lambda: leave_program(OSError()), registry) == {("main", "OSError"): 1}


def test_the_hooks_of_the_program_are_called_as_before(registry, seen):
    def act():
        fail_in_thread()
        Unfinished()
        leave_program(OSError())

    measured("asyncio", act, registry)
    assert seen == [("thread", ZeroDivisionError), ("unraisable", ValueError), ("main", OSError)]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_is_no_failure(error, registry, seen):
    def act():
        fail_in_thread(error)
        Unfinished(error)
        leave_program(error())

    assert measured("asyncio", act, registry) == {}


def test_a_group_with_nothing_but_ctrl_c_is_no_failure(registry, seen):
    backport = pytest.importorskip("exceptiongroup") if sys.version_info < (3, 11) else builtins
    error = backport.BaseExceptionGroup("ended", [KeyboardInterrupt()])
    assert measured("asyncio", lambda: leave_program(error), registry) == {}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_a_task_that_nothing_awaits_counts(kind, registry):
    async def main():
        asyncio.get_running_loop().set_exception_handler(ignore_context)
        async with RuntimeMonitor(registry=registry):
            await lose_task()

    run_on(kind, main)
    assert read(registry) == {("task", "KeyError"): 1}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_a_task_that_is_awaited_does_not_count(kind, registry):
    async def main():
        async with RuntimeMonitor(registry=registry):
            with pytest.raises(KeyError):
                await asyncio.ensure_future(fail())
            gc.collect()

    run_on(kind, main)
    assert read(registry) == {}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_a_callback_that_raises_counts(kind, registry):
    async def main():
        asyncio.get_running_loop().set_exception_handler(ignore_context)
        async with RuntimeMonitor(registry=registry):
            asyncio.get_running_loop().call_soon([].pop)
            await asyncio.sleep(0)

    run_on(kind, main)
    assert read(registry) == {("callback", "IndexError"): 1}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_a_future_whose_exception_nothing_retrieves_counts(kind, registry):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(ignore_context)
        async with RuntimeMonitor(registry=registry):
            future = loop.create_future()
            future.set_exception(OSError())
            del future
            gc.collect()

    run_on(kind, main)
    assert read(registry) == {("future", "OSError"): 1}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_a_message_without_an_exception_does_not_count(kind, registry):
    async def main():
        asyncio.get_running_loop().set_exception_handler(ignore_context)
        async with RuntimeMonitor(registry=registry):
            asyncio.get_running_loop().call_exception_handler({"message": "slow"})

    run_on(kind, main)
    assert read(registry) == {}


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_an_exception_handler_that_is_set_later_is_called_and_returned(kind, registry):
    contexts = []

    def handle(loop, context):
        contexts.append((loop, type(context["exception"])))

    async def main():
        loop = asyncio.get_running_loop()
        async with RuntimeMonitor(registry=registry):
            loop.set_exception_handler(handle)
            assert loop.get_exception_handler() is handle
            await lose_task()
        assert contexts == [(loop, KeyError)]

    run_on(kind, main)
    assert read(registry) == {("task", "KeyError"): 1}


def test_an_exception_that_one_hook_passes_to_another_one_counts_once(registry, seen, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: sys.excepthook(*args[:3]))
    assert measured("asyncio", fail_in_thread, registry) == {("thread", "ZeroDivisionError"): 1}
    assert seen == [("main", ZeroDivisionError)]


def test_an_exception_that_a_loop_passes_to_a_hook_counts_once(registry, seen):
    def handle(loop, context):
        leave_program(context["exception"])

    async def main():
        asyncio.get_running_loop().set_exception_handler(handle)
        async with RuntimeMonitor(registry=registry):
            await lose_task()

    asyncio.run(main())
    assert (read(registry), seen) == ({("task", "KeyError"): 1}, [("main", KeyError)])


@pytest.mark.parametrize("kind", LOOPS)
def test_nothing_is_left_after_the_end(kind, registry):
    def list_hooks():
        return sys.excepthook, sys.unraisablehook, threading.excepthook

    before = list_hooks()

    async def main():
        loop = None if kind == "trio" else asyncio.get_running_loop()
        async with RuntimeMonitor(registry=registry):
            assert not set(before) & set(list_hooks())
        assert loop is None or "call_exception_handler" not in vars(loop)

    run_on(kind, main)
    assert list_hooks() == before


def test_two_monitors_count_once(registry, seen):
    async def main():
        async with RuntimeMonitor(registry=registry), RuntimeMonitor(registry=registry):
            fail_in_thread()

    asyncio.run(main())
    assert read(registry) == {("thread", "ZeroDivisionError"): 1}


def test_two_loops_after_each_other_count_each_once(registry, seen):
    measured("asyncio", fail_in_thread, registry)
    assert measured("trio", fail_in_thread, registry) == {("thread", "ZeroDivisionError"): 2}


def test_a_second_loop_counts_on_when_the_first_one_has_ended(registry, seen):
    other = CollectorRegistry()
    first_joined, second_joined, first_ended = threading.Event(), threading.Event(), threading.Event()

    async def run_first():
        async with RuntimeMonitor(registry=registry):
            first_joined.set()
            assert second_joined.wait(PATIENCE_SECONDS)
            fail_in_thread()

    async def run_second():
        assert first_joined.wait(PATIENCE_SECONDS)
        async with RuntimeMonitor(registry=other):
            second_joined.set()
            assert first_ended.wait(PATIENCE_SECONDS)
            fail_in_thread(OSError)

    second = threading.Thread(target=asyncio.run, args=(run_second(),))
    second.start()
    asyncio.run(run_first())
    first_ended.set()
    second.join(PATIENCE_SECONDS)
    assert (read(registry), read(other)) == ({("thread", "ZeroDivisionError"): 1}, {("thread", "OSError"): 1})


def test_a_hook_that_another_tool_has_wrapped_counts_nothing_after_the_end(registry, seen, monkeypatch):
    def wrap():
        ours = threading.excepthook
        monkeypatch.setattr(threading, "excepthook", lambda args: ours(args))

    measured("asyncio", wrap, registry)
    fail_in_thread()
    assert (read(registry), seen) == ({}, [("thread", ZeroDivisionError)])


@pytest.mark.parametrize("is_visible", [True, False])
def test_a_hook_that_another_tool_has_wrapped_counts_once_after_the_next_start(is_visible, registry, seen, monkeypatch):
    def wrap():
        ours = threading.excepthook
        inner = ours if is_visible else types.SimpleNamespace(call=ours)
        monkeypatch.setattr(threading, "excepthook", lambda args: (inner if is_visible else inner.call)(args))

    measured("asyncio", wrap, registry)
    assert measured("asyncio", fail_in_thread, registry) == {("thread", "ZeroDivisionError"): 1}
    assert seen == [("thread", ZeroDivisionError)]


@pytest.mark.parametrize("kind", ASYNCIO_LOOPS)
def test_an_attribute_that_another_tool_has_set_on_the_loop_stays(kind, registry):
    contexts = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_exception_handler = contexts.append
        former = loop.call_exception_handler
        async with RuntimeMonitor(registry=registry):
            await lose_task()
        assert loop.call_exception_handler is former

    run_on(kind, main)
    assert [type(context["exception"]) for context in contexts] == [KeyError]
    assert read(registry) == {("task", "KeyError"): 1}


def test_an_attribute_that_another_tool_has_put_around_ours_passes_on_after_the_end(registry):
    contexts = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: contexts.append(type(context["exception"])))
        async with RuntimeMonitor(registry=registry):
            ours = loop.call_exception_handler
            loop.call_exception_handler = lambda context: ours(context)
        await lose_task()

    asyncio.run(main())
    assert (contexts, read(registry)) == ([KeyError], {})


def test_an_exception_while_one_is_counted_does_not_recurse(registry, seen, monkeypatch):
    async def main():
        async with RuntimeMonitor(registry=registry):
            # The label value comes from the class; its name is read while the exception is counted.
            class Names(type):
                @property
                def __name__(cls):
                    Unfinished()
                    return "Named"

            fail_in_thread(Names("Other", (Exception,), {}))

    asyncio.run(main())
    assert read(registry) == {("thread", "Named"): 1}
    assert [where for where, _ in seen] == ["unraisable", "thread"]


def test_an_error_of_ours_is_counted_and_reaches_nobody(registry, seen):
    class Nameless(type):
        @property
        def __name__(cls):
            raise RuntimeError("no name")

    assert measured("asyncio", lambda: fail_in_thread(Nameless("Other", (Exception,), {})), registry) == {}
    assert (read_errors(registry), len(seen)) == ({"runtime.failures": 1}, 1)


def test_a_program_with_many_classes_of_exceptions_has_few_series(registry, seen):
    def act():
        for number in range(600):
            leave_program(type(f"Error{number}", (Exception,), {})())

    counted = measured("asyncio", act, registry)
    assert (len(counted), counted["__overflow__", "__overflow__"]) == (501, 100)


def test_the_metric_has_the_namespace_of_the_monitor(registry):
    measured("asyncio", lambda: None, registry, namespace="shop")
    assert f"shop_{NAME.removesuffix('_total')}" in {family.name for family in registry.collect()}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_has_no_hooks(registry, seen):
    former = threading.excepthook

    def look():
        assert threading.excepthook is former

    async def main():
        async with RuntimeMonitor(registry=registry):
            assert threading.excepthook is not former
            run_forked(look)

    asyncio.run(main())


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_exception_that_leaves_the_loop_counts_as_one_of_the_program_only(loop):
    """In a process of its own, since the hook is called at its end."""
    program = f"""
import atexit, sys
from {loop} import run
from asyncmetrics import REGISTRY
from asyncmetrics.runtime import RuntimeMonitor

async def main():
    await RuntimeMonitor().start()
    raise OSError("the end")

def show():
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == "{NAME}":
                print(sample.labels["where"], sample.labels["type"], sample.value)

atexit.register(show)
run({"main" if loop == "trio" else "main()"})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.stdout == "main OSError 1.0\n"
    assert "OSError: the end" in done.stderr


def test_an_exception_of_a_finaliser_at_the_end_of_the_process_is_shown_as_before():
    program = """
import asyncio
from asyncmetrics.runtime import RuntimeMonitor

class Unfinished:
    def __del__(self):
        raise ValueError("late")

kept = Unfinished()
asyncio.run(RuntimeMonitor(block_threshold=None).start())  # on a busy machine its watchdog might log the start
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.stderr.count("ValueError: late") == 1
    assert "asyncmetrics" not in done.stderr
