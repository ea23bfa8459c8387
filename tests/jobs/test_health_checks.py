"""Health checks: what is a success and a failure, what hangs, what is exposed, and what is left behind."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from asyncmetrics import Gauge
from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs import HealthChecks
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.loops import LoopThread, on_every_loop
from tests.patience import PROGRAM_SECONDS, eventually, wait_for

HANG_SECONDS = 0.01  # the timeout of checks that never have a result


async def succeed():
    pass


async def fail():
    raise ConnectionError("postgres at 10.1.2.3 is away")


def reasons(checks):
    return {name: result.reason for name, result in checks.read().items()}


async def until_called(checks):
    await eventually(lambda: "pending" in reasons(checks).values(), False)


async def return_false():
    return False


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (succeed, ""),
        (fail, "error"),
        (return_false, "error"),
        (lambda: None, ""),
        (lambda: False, "error"),
        (lambda: 1 / 0, "error"),
        (lambda: succeed(), ""),
        (lambda: fail(), "error"),
        (lambda: return_false(), "error"),
    ],
    ids=["succeeds", "raises", "False", "in thread", "False in thread", "raises in thread", *map(str, range(3))],
)
def test_a_check_fails_if_it_raises_or_returns_false(check, reason, checks, run):
    async def main():
        checks.add("db", check)
        async with checks:
            await until_called(checks)
            return reasons(checks)

    assert run(main) == {"db": reason}


@on_every_loop
async def test_a_check_without_a_result_fails_at_its_timeout(checks):
    checks.add("db", anyio.sleep_forever, timeout=HANG_SECONDS)
    async with checks:
        await until_called(checks)
        assert reasons(checks) == {"db": "timeout"}


@on_every_loop
async def test_a_timeout_cancels_the_check(checks):
    cancelled = anyio.Event()

    async def hang():
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    checks.add("db", hang, timeout=HANG_SECONDS)
    async with checks:
        await cancelled.wait()


@on_every_loop
async def test_a_check_that_ignores_its_cancellation_is_not_called_again_until_it_has_ended(checks, add, samples):
    calls, end = [], anyio.Event()

    async def ignore():
        calls.append(1)
        with anyio.CancelScope(shield=True):  # which asyncio's `Task.cancel` does not heed
            while not end.is_set():
                with suppress(asyncio.CancelledError):
                    await end.wait()

    add("db", ignore, timeout=HANG_SECONDS)
    async with checks:
        await eventually(lambda: samples("health_check_failures_total").get(("db", "timeout"), 0) >= 3, True)
        assert len(calls) == 1
        end.set()
        await eventually(lambda: reasons(checks), {"db": ""})


@on_every_loop
async def test_a_thread_that_hangs_is_the_only_one_of_its_check(checks, add, samples):
    calls, end = [], threading.Event()

    def hang():
        calls.append(1)
        end.wait()

    add("db", hang, timeout=HANG_SECONDS)
    async with checks:
        await eventually(lambda: samples("health_check_failures_total").get(("db", "timeout"), 0) >= 3, True)
        assert len(calls) == 1
        end.set()
        await eventually(lambda: reasons(checks), {"db": ""})


@on_every_loop
async def test_a_check_that_hangs_does_not_delay_another_one(checks, add):
    checks.add("slow", anyio.sleep_forever, timeout=3600)
    add("quick", succeed)
    async with checks:
        await eventually(lambda: reasons(checks), {"slow": "pending", "quick": ""})


@on_every_loop
async def test_a_sync_check_runs_in_a_thread_of_its_own(checks):
    threads = []
    checks.add("db", lambda: threads.append(threading.current_thread()))
    async with checks:
        await until_called(checks)
    assert threads[0] is not threading.current_thread()


@on_every_loop
async def test_a_sync_check_may_run_an_event_loop(checks):
    checks.add("db", lambda: anyio.run(succeed))
    async with checks:
        await until_called(checks)
        assert reasons(checks) == {"db": ""}


@on_every_loop
async def test_an_awaitable_of_a_sync_check_is_awaited_on_the_loop(checks):
    threads = []

    async def note():
        threads.append(threading.current_thread())

    checks.add("db", lambda: note())
    async with checks:
        await until_called(checks)
    assert threads == [threading.current_thread()]


@on_every_loop
async def test_an_awaitable_that_comes_after_the_timeout_is_closed(checks):
    end, awaitables = threading.Event(), []

    def be_late():
        end.wait()
        awaitables.append(succeed())
        return awaitables[0]

    checks.add("db", be_late, timeout=HANG_SECONDS)
    async with checks:
        await eventually(lambda: reasons(checks), {"db": "timeout"})
        end.set()
        await eventually(lambda: [inspect.getcoroutinestate(one) for one in awaitables], [inspect.CORO_CLOSED])


@on_every_loop
async def test_a_check_that_raises_the_cancellation_of_a_loop_goes_on_as_a_failed_one(checks, add, samples):
    async def cancel():
        raise asyncio.CancelledError

    add("db", cancel)
    async with checks:
        await eventually(lambda: samples("health_check_failures_total").get(("db", "error"), 0) >= 2, True)


@on_every_loop
async def test_before_its_first_result_a_check_is_pending_and_has_no_series(checks, samples):
    checks.add("db", anyio.sleep_forever, timeout=3600)
    async with checks:
        assert (checks.is_ready, reasons(checks), samples("health_check_up")) == (False, {"db": "pending"}, {})


@on_every_loop
async def test_a_service_is_ready_once_all_checks_succeed(checks, add):
    add("db", succeed)
    add("cache", succeed)
    async with checks:
        await eventually(lambda: checks.is_ready, True)


@on_every_loop
async def test_a_service_is_not_ready_if_one_check_fails(checks, add):
    add("db", succeed)
    add("cache", fail)
    async with checks:
        await until_called(checks)
        assert not checks.is_ready


@on_every_loop
async def test_a_check_that_is_not_required_does_not_make_the_service_unready(checks, add):
    add("db", succeed)
    add("cache", fail, required=False)
    async with checks:
        await until_called(checks)
        assert (checks.is_ready, reasons(checks)) == (True, {"db": "", "cache": "error"})


def test_a_service_whose_checks_are_not_started_is_not_ready(checks):
    assert not checks.is_ready


@on_every_loop
async def test_up_is_1_after_a_success_and_0_after_a_failure(checks, add, samples):
    add("db", succeed)
    add("cache", fail)
    async with checks:
        await until_called(checks)
        assert samples("health_check_up") == {("db",): 1, ("cache",): 0}


@on_every_loop
async def test_the_last_success_is_that_of_the_wall_clock(checks, samples):
    checks.add("db", succeed)
    before = time.time()
    async with checks:
        await until_called(checks)
        (last,) = samples("health_check_last_success_timestamp_seconds").values()
    assert before <= last <= time.time()


@on_every_loop
async def test_the_interval_is_exposed_from_the_first_result_on(checks, add, samples):
    add("db", succeed, interval=30)
    add("cache", fail, interval=60)
    async with checks:
        await until_called(checks)
        assert samples("health_check_interval_seconds") == {("db",): 30, ("cache",): 60}
    assert samples("health_check_interval_seconds") == {}


@on_every_loop
async def test_a_check_that_never_succeeded_has_no_last_success(checks, samples):
    checks.add("db", fail)
    async with checks:
        await until_called(checks)
        assert samples("health_check_last_success_timestamp_seconds") == {}


@on_every_loop
async def test_durations_are_those_of_the_calls(checks, samples):
    checks.add("db", lambda: anyio.sleep(0.05))
    async with checks:
        await until_called(checks)
        (seconds,) = samples("health_check_duration_seconds_sum").values()
    assert seconds >= 0.05


@on_every_loop
async def test_a_check_is_called_again_and_again(checks, add, samples):
    add("db", succeed)
    async with checks:
        await eventually(lambda: samples("health_check_duration_seconds_count").get(("db",), 0) >= 3, True)


@on_every_loop
async def test_only_changes_are_logged(checks, add, samples, caplog):
    is_up = []

    async def check():
        if not is_up:
            await fail()

    add("db", check)
    with caplog.at_level(logging.INFO, "asyncmetrics"):
        async with checks:
            await eventually(lambda: samples("health_check_failures_total").get(("db", "error"), 0) >= 3, True)
            is_up.append(1)
            await eventually(lambda: reasons(checks), {"db": ""})
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the health check db fails: ConnectionError: postgres at 10.1.2.3 is away"),
        ("INFO", "the health check db succeeds again"),
    ]


@on_every_loop
async def test_a_check_makes_none_of_the_calls_of_the_request_that_starts_it(checks):
    totals = []
    TOTALS.set(RequestTotals())

    async def note():
        totals.append(TOTALS.get())

    checks.add("async", note)
    checks.add("sync", lambda: totals.append(TOTALS.get()))
    async with checks:
        await until_called(checks)
    assert totals == [None, None]


@on_every_loop
async def test_started_twice_the_checks_are_called_once(checks, samples):
    checks.add("db", succeed, interval=3600)
    await checks.start()
    await checks.start()
    await until_called(checks)
    assert samples("health_check_duration_seconds_count") == {("db",): 1}
    await checks.stop()


@on_every_loop
async def test_a_check_that_is_added_later_begins_at_once(checks):
    async with checks:
        checks.add("db", succeed)
        await eventually(lambda: reasons(checks), {"db": ""})


@on_every_loop
async def test_a_check_may_be_added_by_another_thread(checks):
    async with checks:
        await anyio.to_thread.run_sync(checks.add, "db", succeed)
        await eventually(lambda: reasons(checks), {"db": ""})


async def test_a_check_that_is_added_while_the_checks_start_begins_once(checks, monkeypatch):
    calls = []
    is_added, may_go_on = threading.Event(), threading.Event()

    class Slow(dict):
        def __setitem__(self, name, declared):
            super().__setitem__(name, declared)
            is_added.set()
            may_go_on.wait(PROGRAM_SECONDS)

    async def check():
        calls.append(1)

    monkeypatch.setattr(checks, "_checks", Slow())
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, checks.add, "db", check)
        await anyio.to_thread.run_sync(is_added.wait)
        await checks.start()
        may_go_on.set()
    await until_called(checks)
    await anyio.sleep(0.01)
    await checks.stop()
    assert len(calls) == 1


@on_every_loop
async def test_stop_removes_the_gauges(checks, add, samples):
    add("db", succeed)
    add("cache", fail)
    async with checks:
        await until_called(checks)
    assert samples("health_check_up") == samples("health_check_last_success_timestamp_seconds") == {}


@on_every_loop
async def test_stop_keeps_the_counts(checks, samples):
    checks.add("db", fail)
    async with checks:
        await until_called(checks)
    assert samples("health_check_failures_total") == {("db", "error"): 1}
    assert samples("health_check_duration_seconds_count") == {("db",): 1}


@on_every_loop
async def test_stop_waits_for_the_call_that_it_cancels(checks):
    begun, ended = anyio.Event(), []

    async def hang():
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(50):  # what it takes to give a connection back
                    await checkpoint()
                ended.append(1)

    checks.add("db", hang, timeout=3600)
    async with checks:
        await begun.wait()
    assert ended


def test_stop_leaves_no_task_on_asyncio(checks, add):
    async def main():
        add("db", succeed)
        add("cache", lambda: succeed())
        async with checks:
            await until_called(checks)
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1


def test_stop_leaves_no_task_on_trio(checks, add):
    async def main():
        before = trio.lowlevel.current_statistics().tasks_living
        add("db", succeed)
        add("cache", lambda: succeed())
        async with checks:
            await until_called(checks)
        return trio.lowlevel.current_statistics().tasks_living - before

    assert trio.run(main) == 0


@on_every_loop
async def test_stop_leaves_no_thread(checks, add):
    before = set(threading.enumerate())
    add("db", lambda: None)
    async with checks:
        await until_called(checks)
    await eventually(lambda: set(threading.enumerate()) - before, set())


@on_every_loop
async def test_the_block_may_be_cancelled(checks, samples):
    checks.add("db", succeed)
    with anyio.CancelScope() as scope:
        async with checks:
            await until_called(checks)
            scope.cancel()
            await anyio.sleep_forever()
    assert samples("health_check_up") == {}


def test_a_loop_that_ends_without_stop_leaves_no_series_and_the_next_one_works(checks, add, run, samples):
    add("db", succeed)

    async def main():
        await checks.start()
        await until_called(checks)

    run(main)
    assert (samples("health_check_up"), checks.is_ready) == ({}, False)
    run(main)


def test_two_loops_have_results_of_their_own(checks, add, backend):
    threads = []

    async def check():
        threads.append(threading.get_ident())
        if threading.get_ident() == second.ident:
            await fail()

    add("db", check)
    with LoopThread(backend) as first, LoopThread(backend) as second:
        for loop in (first, second):
            loop.call(checks.start)
        wait_for(lambda: first.call(lambda: reasons(checks)), {"db": ""})
        wait_for(lambda: second.call(lambda: reasons(checks)), {"db": "error"})
        for loop in (first, second):
            loop.call(checks.stop)


def run_program(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_program_ends_while_a_check_hangs(backend):
    code = f"""
import time, anyio
from asyncmetrics.jobs import HealthChecks

async def main():
    checks = HealthChecks()
    checks.add("db", lambda: time.sleep(100_000), timeout=0.01)
    async with checks:
        while checks.read()["db"].reason != "timeout":
            await anyio.sleep(0.01)

anyio.run(main, backend={backend!r})
print("ended")
"""
    assert run_program(code) == "ended"


def test_a_copy_of_the_process_has_checks_of_its_own():
    """It is not ready until it has started them, and it removes its gauges when their loop has ended."""
    code = """
import asyncio, os
from asyncmetrics import REGISTRY
from asyncmetrics.jobs import HealthChecks

checks = HealthChecks()

async def succeed():
    pass

async def until_ready():
    await checks.start()
    while not checks.is_ready:
        await asyncio.sleep(0.01)

async def main():
    await until_ready()
    return os.fork()

checks.add("db", succeed)
loop = asyncio.new_event_loop()
if loop.run_until_complete(main()):
    os.wait()
else:
    print(checks.is_ready, flush=True)
    asyncio.run(until_ready())
    families = [family for family in REGISTRY.collect() if family.name == "health_check_up"]
    print("ready", [sample for family in families for sample in family.samples], flush=True)
    os._exit(0)
os._exit(0)
"""
    assert run_program(code).split() == ["False", "ready", "[]"]


def test_a_start_without_a_loop_says_what_to_do(checks):
    coroutine = checks.start()
    with pytest.raises(RuntimeError, match="running event loop"):
        coroutine.send(None)


async def generate():
    yield


def generate_now():
    yield


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "name: expected a str that is not empty, got the string ''"),
        ({"name": 1}, "name: expected a str that is not empty, got 1"),
        ({"name": "known"}, "name: expected a new name, got 'known', which another check has: choose another"),
        ({"check": None}, "check: expected a function without arguments"),
        ({"check": "http://bank/"}, "got the string 'http://bank/': write http_check(url) or tcp_check(host, port)"),
        ({"check": generate}, "check: expected a function without arguments"),
        ({"check": generate}, "write a function without yield"),
        ({"check": generate_now}, "write a function without yield"),
        ({"check": lambda connection: connection}, "bind its arguments by functools.partial"),
        ({"check": HealthChecks}, "got the class HealthChecks"),
        ({"interval": 0}, "interval: expected more than 0 seconds"),
        ({"timeout": "2s"}, "timeout: expected more than 0 seconds, as a finite number, got the string '2s': write 2"),
        ({"required": 1}, "required: expected True or False, got 1"),
    ],
)
def test_a_wrong_argument_of_a_check_is_refused(arguments, message, checks):
    checks.add("known", succeed)
    with pytest.raises(DefinitionError) as raised:
        checks.add(**{"name": "db", "check": succeed, **arguments})
    assert message in str(raised.value)


def test_a_coroutine_is_refused_with_advice_and_closed(checks):
    with pytest.raises(DefinitionError, match="pass the function itself, without calling it"):
        checks.add("db", succeed())


@pytest.mark.parametrize("arguments", [{"show_errors": 1}, {"registry": None}, {"namespace": "-"}])
def test_a_wrong_option_is_refused(arguments):
    with pytest.raises(DefinitionError):
        HealthChecks(**arguments)


@on_every_loop
async def test_a_namespace_is_a_prefix_of_the_names(registry, samples):
    checks = HealthChecks(registry=registry, namespace="shop")
    checks.add("db", succeed)
    async with checks:
        await until_called(checks)
        assert samples("shop_health_check_up") == {("db",): 1}


@on_every_loop
async def test_without_checks_a_service_is_ready_from_start_to_stop(checks):
    async with checks:
        assert checks.is_ready
    assert not checks.is_ready


@on_every_loop
async def test_an_exception_without_a_text_is_a_failure_as_others(checks):
    class SilentError(Exception):
        def __str__(self):
            raise ValueError

    async def raise_silently():
        raise SilentError

    checks.add("db", raise_silently)
    async with checks:
        await until_called(checks)
        assert checks.read()["db"] == ("error", "SilentError")


@on_every_loop
async def test_a_metric_that_fails_ends_no_check_and_is_counted(checks, add, registry, monkeypatch):
    def refuse(*_):
        raise ValueError

    def count():
        return registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "jobs.health_checks"}) or 0

    add("db", succeed)
    with monkeypatch.context() as patched:
        patched.setattr(Gauge, "labels", refuse)
        async with checks:
            await eventually(lambda: count() >= 2, True)
            assert checks.is_ready


@on_every_loop
async def test_a_system_without_threads_fails_a_sync_check_until_it_has_one(checks, add, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    add("db", lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        await checks.start()
        await eventually(lambda: reasons(checks), {"db": "error"})
    await eventually(lambda: reasons(checks), {"db": ""})
    await checks.stop()
