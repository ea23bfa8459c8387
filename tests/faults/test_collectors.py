"""Collectors and gauge functions that raise, wait, hang, never end or yield nonsense: the others are served."""

from __future__ import annotations

import asyncio
import inspect
import threading

import anyio
import pytest

from asyncmetrics import Gauge, Metric, make_asgi_app
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily
from tests.patience import PATIENCE_SECONDS

SHORT = {"x-prometheus-scrape-timeout-seconds": "0.4"}
LONG = {"x-prometheus-scrape-timeout-seconds": "999"}


@pytest.fixture
def registry(registry):
    Gauge("good", "Is served whatever the others do.", registry=registry).set(1)
    return registry


@pytest.fixture
def hang():
    """A function that waits until the test is over, or until ``hang.back.set()``, and counts its calls."""

    def hang() -> float:
        hang.calls += 1
        hang.back.wait()
        return 7

    hang.calls = 0
    hang.back = threading.Event()
    yield hang
    hang.back.set()


class Raising(BaseException):
    """An exception of no known class."""


def collector(collect) -> object:
    return type("Faulty", (), {"collect": lambda self: collect()})()


def _raise(error):
    raise error


async def _raise_later(error):
    await anyio.sleep(0)
    raise error


async def _yield_and_raise(error):
    yield GaugeMetricFamily("half", "Half of it.", 1)
    raise error


def _forever():
    while True:
        yield GaugeMetricFamily("again", "Again.", 1)


async def _forever_async():
    while True:
        yield GaugeMetricFamily("again", "Again.", 1)


FAULTS = {
    "raises": lambda: _raise(ValueError("no")),
    "raises SystemExit": lambda: _raise(SystemExit(1)),
    "raises GeneratorExit": lambda: _raise(GeneratorExit()),
    "raises KeyboardInterrupt in its thread": lambda: _raise(KeyboardInterrupt()),
    "raises a BaseException": lambda: _raise(Raising()),
    "raises CancelledError": lambda: _raise(asyncio.CancelledError()),
    "raises TimeoutError": lambda: _raise(TimeoutError()),
    "raises StopIteration": lambda: _raise(StopIteration()),
    "raises later": lambda: _raise_later(ValueError("no")),
    "raises a BaseException later": lambda: _raise_later(Raising()),
    "raises CancelledError later": lambda: _raise_later(asyncio.CancelledError()),
    "raises while it yields": lambda: _yield_and_raise(ValueError("no")),
    "returns None": lambda: None,
    "returns a number": lambda: 7,
    "yields numbers": lambda: [1, 2],
    "yields None": lambda: [None],
    "never ends": _forever,
    "never waits": _forever_async,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_faulty_collector_costs_itself_only_and_is_counted(registry, scrape, run, fault, caplog):
    registry.register(collector(fault))

    async def main():
        return await scrape(make_asgi_app(registry), headers=SHORT)

    first, second = run(main), run(main)
    assert first.status == second.status == 200
    assert "good 1.0" in first.lines and "good 1.0" in second.lines
    assert not any(line.startswith(("half", "again")) for line in first.lines)
    assert 'asyncmetrics_collector_errors_total{collector="Faulty"}' in second.text


GAUGE_FAULTS = {
    "raises": lambda: 1 / 0,
    "raises later": lambda: _raise_later(ValueError("no")),
    "returns text": lambda: "many",
    "returns None": lambda: None,
    "never answers": lambda: asyncio.sleep(60) if threading.current_thread().name == "MainThread" else anyio.sleep(60),
}


@pytest.mark.parametrize("fault", GAUGE_FAULTS.values(), ids=GAUGE_FAULTS)
def test_a_faulty_gauge_function_costs_its_gauge_only_and_is_counted(registry, scrape, run, fault, caplog):
    Gauge("bad", "Has a function.", registry=registry).set_function(fault)

    async def main():
        return await scrape(make_asgi_app(registry), headers=SHORT)

    run(main)
    scraped = run(main)
    assert scraped.lines == ["good 1.0"]
    assert 'asyncmetrics_collector_errors_total{collector="bad"}' in scraped.text


def test_a_collector_that_blocks_does_not_hold_the_loop(registry, scrape, run):
    """It waits in its thread until a task has gone round ten times meanwhile."""
    asleep, awake = threading.Event(), threading.Event()

    def sleepy():
        asleep.set()
        awake.wait()
        return [GaugeMetricFamily("slow", "Took its time.", 1)]

    registry.register(collector(sleepy))
    goes = 0

    async def main():
        nonlocal goes

        async def go() -> None:
            nonlocal goes
            while True:
                await anyio.sleep(0.001)
                goes += asleep.is_set()
                if goes == 10:
                    awake.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go)
            scraped = await scrape(make_asgi_app(registry), headers=LONG)
            tasks.cancel_scope.cancel()
        return scraped

    assert "slow 1.0" in run(main).lines


def test_several_collectors_that_block_do_so_at_the_same_time(registry, scrape, run):
    """Each waits until all of them have been asked."""
    barrier = threading.Barrier(5)

    def meet(number: int):
        barrier.wait(PATIENCE_SECONDS)
        return [GaugeMetricFamily(f"met_{number}", "Met.", 1)]

    for number in range(5):
        registry.register(collector(lambda number=number: meet(number)))

    async def main():
        return await scrape(make_asgi_app(registry), headers=LONG)

    assert len(run(main).lines) == 6


def test_a_collector_that_hangs_is_left_out_after_the_scrapers_time(registry, scrape, run, hang, caplog):
    registry.register(collector(lambda: [GaugeMetricFamily("late", "Late.", hang())]))

    async def main():
        app = make_asgi_app(registry)
        return await scrape(app, headers=SHORT), await scrape(app, headers=SHORT)

    first, second = run(main)
    assert first.lines == second.lines == ["good 1.0"]
    assert 'asyncmetrics_collector_errors_total{collector="Faulty"} 2.0' in second.text


def test_a_collector_that_hangs_keeps_one_thread_only(registry, scrape, run, hang, caplog):
    registry.register(collector(lambda: [GaugeMetricFamily("late", "Late.", hang())]))

    async def main():
        app = make_asgi_app(registry)
        for _ in range(4):
            await scrape(app, headers=SHORT)

    run(main)
    assert hang.calls == 1


def test_a_collector_that_comes_back_is_asked_again(registry, scrape, run, hang, caplog):
    registry.register(collector(lambda: [GaugeMetricFamily("late", "Late.", hang())]))

    async def main():
        app = make_asgi_app(registry)
        await scrape(app, headers=SHORT)
        hang.back.set()
        scraped = await scrape(app)
        while "late 7.0" not in scraped.lines:  # its thread is on the way back
            await anyio.sleep(0.01)
            scraped = await scrape(app)

    run(main)


def test_a_coroutine_that_is_returned_too_late_is_closed(registry, scrape, run, hang, caplog):
    """It would otherwise warn, some time later, that it was never awaited: an error in these tests."""
    registry.register(collector(lambda: _raise_later(ValueError()) if hang() else None))

    async def main():
        app = make_asgi_app(registry)
        await scrape(app, headers=SHORT)
        hang.back.set()
        while threading.active_count() > threads:
            await anyio.sleep(0.01)
        return await scrape(app)

    threads = threading.active_count()
    assert "good 1.0" in run(main).lines


@pytest.mark.parametrize("loop", ["goes on", "has ended"])
def test_an_awaitable_that_a_gauge_function_returns_too_late_is_closed(registry, scrape, run, hang, caplog, loop):
    made = []

    def late():
        hang()
        made.append(_raise_later(ValueError()))
        return made[-1]

    Gauge("late", "Late.", registry=registry).set_function(late)

    async def main():
        await scrape(make_asgi_app(registry), headers=SHORT)
        if loop == "goes on":
            hang.back.set()
            await closed()

    async def closed():
        with anyio.fail_after(PATIENCE_SECONDS):
            while not made or inspect.getcoroutinestate(made[0]) != inspect.CORO_CLOSED:
                await anyio.sleep(0.01)

    run(main)
    hang.back.set()
    anyio.run(closed)


def test_a_gauge_function_that_hangs_is_left_out(registry, scrape, run, hang, caplog):
    Gauge("late", "Late.", registry=registry).set_function(hang)

    async def main():
        app = make_asgi_app(registry)
        await scrape(app, headers=SHORT)
        return await scrape(app, headers=SHORT)

    scraped = run(main)
    assert scraped.lines == ["good 1.0"]
    assert 'asyncmetrics_collector_errors_total{collector="late"} 2.0' in scraped.text


def test_a_late_collector_fails_the_scrape_where_that_is_asked_for(registry, scrape, run, hang, caplog):
    registry.register(collector(lambda: [GaugeMetricFamily("late", "Late.", hang())]))

    async def main():
        return await scrape(make_asgi_app(registry, on_error="fail"), headers=SHORT)

    assert run(main).status == 500


@pytest.mark.parametrize("told", ["nan", "inf", "-1", "1e999", "0", "0.0", "9" * 400, "ten", "", "1,2", "\x00"])
def test_a_scrapers_time_that_is_none_is_not_taken_for_one(registry, scrape, run, told):
    """There is time for a collector that takes a moment, as if nothing had been said."""

    async def moment():
        await anyio.sleep(0.05)
        return [GaugeMetricFamily("moment", "A moment later.", 1)]

    registry.register(collector(moment))

    async def main():
        return await scrape(make_asgi_app(registry), headers={"x-prometheus-scrape-timeout-seconds": told})

    assert "moment 1.0" in run(main).lines


def test_duplicates_are_put_together(registry, scrape, run, caplog):
    """One family twice becomes one, one series is exposed once, and another type under its name is left out."""

    def twice():
        for value in (1, 2):
            family = GaugeMetricFamily("twice", "Twice.", labels=["n"])
            family.add_metric(["same"], value)
            family.add_metric([str(value)], value)
            yield family
        yield CounterMetricFamily("twice", "Another type.", 1)

    registry.register(collector(twice))

    async def main():
        return await scrape(make_asgi_app(registry))

    assert sorted(run(main).lines) == ["good 1.0", 'twice{n="1"} 1.0', 'twice{n="2"} 2.0', 'twice{n="same"} 1.0']


def test_a_quick_collector_may_ask_to_be_called_on_the_loop(registry, scrape, run):
    class Quick:
        blocking = False

        def collect(self):
            family = Metric("threads", "Called here.", "gauge")
            family.add_sample("threads", {"name": threading.current_thread().name}, 1)
            return [family]

    registry.register(Quick())

    async def main():
        return await scrape(make_asgi_app(registry))

    assert f'threads{{name="{threading.current_thread().name}"}} 1.0' in run(main).lines


def test_context_variables_reach_a_collector_in_its_thread(registry, scrape, run):
    from contextvars import ContextVar

    tenant = ContextVar("tenant", default="nobody")

    def of_tenant():
        family = GaugeMetricFamily("tenants", "Whose scrape it is.", labels=["name"])
        family.add_metric([tenant.get()], 1)
        return [family]

    registry.register(collector(of_tenant))

    async def main():
        tenant.set("acme")
        return await scrape(make_asgi_app(registry))

    assert 'tenants{name="acme"} 1.0' in run(main).lines


@pytest.mark.blocking
def test_a_hanging_collector_does_not_keep_the_program_from_ending(tmp_path):
    import subprocess
    import sys

    program = """
import anyio, threading
from asyncmetrics import CollectorRegistry, make_asgi_app
class Hanging:
    def describe(self): return []
    def collect(self): threading.Event().wait()
registry = CollectorRegistry()
registry.register(Hanging())
async def receive(): await anyio.sleep_forever()
async def send(message): pass
headers = [(b"x-prometheus-scrape-timeout-seconds", b"0.2")]
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
anyio.run(make_asgi_app(registry), scope, receive, send)
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "ended\n"
