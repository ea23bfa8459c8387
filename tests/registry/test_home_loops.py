"""Async collectors and gauge functions run on the loop that they belong to, whichever thread or loop collects."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextvars import ContextVar

import anyio
import pytest
import trio

from asyncmetrics import CollectorRegistry, Gauge, generate_latest, make_wsgi_app
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.errors import DefinitionError
from tests.loops import LoopThread
from tests.patience import PATIENCE_SECONDS

tenant = ContextVar("tenant", default="nobody")


class Threads:
    """Exposes the thread that it runs in, after it has waited for a lock of its loop."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()

    async def collect(self):
        async with self.lock:
            await anyio.sleep(0)
            return [GaugeMetricFamily("thread", "T.", threading.get_ident())]


class YieldingThreads(Threads):
    async def collect(self):
        async with self.lock:
            await anyio.sleep(0)
            yield GaugeMetricFamily("thread", "T.", threading.get_ident())


@pytest.fixture
def home(backend):
    with LoopThread(backend) as loop:
        yield loop


@pytest.fixture
def other(backend):
    """A loop of the other kind than ``home``."""
    with LoopThread({"asyncio": "trio", "trio": "asyncio"}[backend]) as loop:
        yield loop


def find(families, name="thread"):
    return [sample.value for family in families for sample in family.samples if sample.name == name]


def count_errors(registry, collector):
    return registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": collector})


@pytest.mark.parametrize("collector", [Threads, YieldingThreads])
def test_a_thread_collects_from_the_loop_of_the_registration(registry, home, collector):
    home.call(lambda: registry.register(collector()))
    assert registry.get_sample_value("thread") == home.ident


def test_a_collector_belongs_to_the_loop_that_is_passed(registry, home):
    registry.register(home.call(Threads), loop=home.native)
    assert registry.get_sample_value("thread") == home.ident


def test_another_loop_collects_from_the_loop_of_the_registration(registry, home, other):
    home.call(lambda: registry.register(Threads()))
    assert find(other.call(registry.collect_async)) == [home.ident]


def test_its_own_loop_collects_from_it(registry, home):
    home.call(lambda: registry.register(Threads()))
    assert find(home.call(registry.collect_async)) == [home.ident]


def test_the_functions_of_a_gauge_run_on_the_loop_on_which_they_were_set(registry, home):
    gauge = Gauge("thread", "T.", registry=registry)

    async def f():
        await anyio.sleep(0)
        return threading.get_ident()

    home.call(lambda: gauge.set_function(f))
    assert registry.get_sample_value("thread") == home.ident


@pytest.mark.parametrize("late", [False, True])
def test_the_function_of_collect_from_may_be_async_and_runs_on_its_loop(registry, home, late):
    gauge = Gauge("thread", "T.", ["n"], registry=registry)

    async def f():
        await anyio.sleep(0)
        return {("a",): threading.get_ident()}

    gauge.collect_from((lambda: f()) if late else f, loop=home.native)
    assert registry.get_sample_value("thread", {"n": "a"}) == home.ident


def test_a_gauge_that_is_awaited_runs_its_functions_on_their_loop(registry, home, other):
    gauge = Gauge("thread", "T.", registry=registry)

    async def f():
        await anyio.sleep(0)
        return threading.get_ident()

    gauge.set_function(f, loop=home.native)
    assert find(other.call(gauge.collect)) == [home.ident]


def test_the_functions_of_a_gauge_run_at_the_same_time(registry, home):
    """Each waits until all of them have been called, and one that fails costs its own series only."""
    gauge = Gauge("met", "M.", ["n"], registry=registry)
    met, arrived = home.call(anyio.Event), []

    async def meet():
        arrived.append(1)
        if len(arrived) == 10:
            met.set()
        await met.wait()
        return 1

    async def fail():
        raise ValueError

    for n in range(10):
        gauge.labels(str(n)).set_function(meet, loop=home.native)
    gauge.labels("bad").set_function(fail, loop=home.native)
    assert find(registry.collect(), "met") == [1] * 10
    assert count_errors(registry, "met") == 2


def test_the_functions_without_a_loop_run_at_the_same_time_in_one_private_loop(registry):
    gauge = Gauge("met", "M.", ["n"], registry=registry)
    arrived = []

    async def meet():
        arrived.append(asyncio.get_running_loop())
        while len(arrived) < 10:
            await asyncio.sleep(0)
        return 1

    for n in range(10):
        gauge.labels(str(n)).set_function(meet)
    assert find(registry.collect(), "met") == [1] * 10
    assert len(set(arrived)) == 1


def test_the_context_of_the_caller_reaches_its_loop(registry, home):
    class Tenants:
        async def collect(self):
            family = GaugeMetricFamily("tenants", "T.", labels=["name"])
            family.add_metric([tenant.get()], 1)
            return [family]

    home.call(lambda: registry.register(Tenants()))
    token = tenant.set("acme")
    try:
        assert registry.get_sample_value("tenants", {"name": "acme"}) == 1
    finally:
        tenant.reset(token)


@pytest.mark.parametrize("how", ["collect", "collect_async"])
def test_the_collector_of_an_ended_loop_is_left_out_counted_and_logged_with_a_remedy(registry, backend, how, caplog):
    with LoopThread(backend) as home:
        home.call(lambda: registry.register(Threads()))
    Gauge("other", "O.", registry=registry).set(1)
    for _ in range(2):
        families = list(registry.collect()) if how == "collect" else anyio.run(registry.collect_async)
        assert find(families, "other") == [1] and find(families) == []
    assert count_errors(registry, "Threads") == 3
    (record,) = caplog.records
    assert "Threads" in record.getMessage() and "loop=None" in str(record.exc_info[1])


def test_the_collector_of_a_loop_that_is_stopped_and_not_closed_is_left_out(registry, caplog):
    loop = asyncio.new_event_loop()
    try:
        registry.register(Threads(), loop=loop)
        assert registry.get_sample_value("thread") is None
    finally:
        loop.close()


def test_a_registry_does_not_keep_an_ended_loop_alive(registry):
    async def main():
        registry.register(Threads())
        Gauge("g", "G.", registry=registry).set_function(anyio.current_time)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    gc.collect()
    assert loop() is None


@pytest.mark.blocking
def test_a_sync_caller_on_its_own_loop_does_not_wait_for_it(registry, home, caplog):
    home.call(lambda: registry.register(Threads()))
    gauge = Gauge("thread", "T.", ["n"], registry=registry)
    gauge.labels("sync").set_function(lambda: 7)
    home.call(lambda: gauge.labels("async").set_function(anyio.sleep_forever))
    families = home.call(lambda: list(registry.collect()))
    assert find(families) == [7]
    assert all("collect_async()" in str(record.exc_info[1]) for record in caplog.records)
    assert {record.getMessage().split(";")[0] for record in caplog.records} == {
        "collector errors in Threads",
        "collector errors in thread",
    }


def test_a_loop_that_is_blocked_holds_a_scrape_in_a_thread_no_longer_than_its_deadline(registry, home, caplog):
    home.call(lambda: registry.register(Threads()))
    Gauge("other", "O.", registry=registry).set(1)
    is_blocked, end = threading.Event(), threading.Event()

    def block():
        is_blocked.set()
        end.wait(PATIENCE_SECONDS)

    home.call_soon(block)
    assert is_blocked.wait(PATIENCE_SECONDS)
    try:
        environ = {"REQUEST_METHOD": "GET", "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": "0.2"}
        body = b"".join(make_wsgi_app(registry)(environ, lambda status, headers: None))
    finally:
        end.set()
    assert b"other 1.0" in body and b"thread" not in body.replace(b"Threads", b"")


def test_a_collector_that_was_given_up_before_it_began_never_begins(registry, home, caplog):
    begun = []

    class Noting:
        async def collect(self):
            begun.append(1)
            return []

    home.call(lambda: registry.register(Noting()))
    is_blocked, end = threading.Event(), threading.Event()
    home.call_soon(lambda: (is_blocked.set(), end.wait(PATIENCE_SECONDS)))
    assert is_blocked.wait(PATIENCE_SECONDS)
    environ = {"REQUEST_METHOD": "GET", "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": "0.2"}
    list(make_wsgi_app(registry)(environ, lambda status, headers: None))
    end.set()
    home.call(anyio.wait_all_tasks_blocked)
    assert begun == []


def test_cancelling_the_caller_cancels_the_collector_on_its_loop_once(registry, home, other):
    begun, cancelled = threading.Event(), []

    class Waiting:
        async def collect(self):
            begun.set()
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.append(threading.get_ident())
                raise

    home.call(lambda: registry.register(Waiting()))

    async def collect():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.collect_async)
            await anyio.to_thread.run_sync(begun.wait)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE_SECONDS):
            while not cancelled:
                await anyio.sleep(0.01)

    other.call(collect)
    assert cancelled == [home.ident]


def test_a_trio_collector_without_a_loop_says_what_to_do_where_the_caller_is_sync(registry, caplog):
    class OfTrio:
        async def collect(self):
            await trio.sleep(0)
            return []

    registry.register(OfTrio())
    generate_latest(registry)
    assert count_errors(registry, "OfTrio") == 2
    (record,) = caplog.records
    assert "private asyncio loop" in str(record.exc_info[1]) and "loop=" in str(record.exc_info[1])


def test_a_trio_collector_does_not_stop_an_application_that_registers_it_before_its_loop_runs():
    registry = CollectorRegistry(auto_describe=True)

    class OfTrio:
        async def collect(self):
            await trio.sleep(0)
            return [GaugeMetricFamily("of_trio", "T.", 1)]

    registry.register(OfTrio())
    assert find(anyio.run(registry.collect_async, backend="trio"), "of_trio") == [1]


@pytest.mark.parametrize("wrong", [5, "asyncio", object()])
def test_what_is_no_loop_is_refused(registry, wrong):
    gauge = Gauge("g", "G.", ["n"], registry=registry)
    for use in (
        lambda: registry.register(Threads(), loop=wrong),
        lambda: gauge.labels("a").set_function(lambda: 1, loop=wrong),
        lambda: gauge.collect_from(dict, loop=wrong),
    ):
        with pytest.raises(DefinitionError, match="loop: expected an asyncio event loop"):
            use()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_collector_runs_while_a_sync_one_that_was_registered_first_blocks(home, registry):
    has_run = threading.Event()

    class Blocking:
        def collect(self):
            assert has_run.wait(PATIENCE_SECONDS)
            return [GaugeMetricFamily("blocking", "B.", 1)]

    class Later:
        async def collect(self):
            has_run.set()
            return [GaugeMetricFamily("later", "L.", 2)]

    registry.register(Blocking())
    home.call(lambda: registry.register(Later()))
    families = list(registry.collect())
    assert find(families, "blocking") + find(families, "later") == [1, 2]
