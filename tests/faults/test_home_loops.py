"""Scrapes of async collectors and gauge functions that belong to a loop: on it, from another one, and from a thread."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import httpx
import pytest
import trio

from asyncmetrics import Gauge, make_asgi_app, start_http_server, write_to_textfile
from asyncmetrics.core import GaugeMetricFamily
from tests.loops import LoopThread
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

SOON = {"x-prometheus-scrape-timeout-seconds": "0.4"}
LONG = {"x-prometheus-scrape-timeout-seconds": "999"}


@pytest.fixture
def home(backend):
    with LoopThread(backend) as loop:
        yield loop


@pytest.fixture
def scrape_port(registry):
    """Scrape a `start_http_server` of the registry: ``lines = scrape_port(headers)``."""
    with start_http_server(registry=registry) as server:

        def scrape_port(headers=LONG):
            text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", headers=headers, trust_env=False).text
            return [line for line in text.splitlines() if not line.startswith(("#", "asyncmetrics_scrape"))]

        yield scrape_port


class Waiting:
    """A collector that waits for an event of the loop that it was made on."""

    def __init__(self) -> None:
        self.begun, self.go, self.cancelled = threading.Event(), anyio.Event(), []

    async def collect(self):
        self.begun.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(threading.get_ident())
            raise
        return [GaugeMetricFamily("waited", "W.", threading.get_ident())]


def register(home, registry):
    def make():
        made = Waiting()
        registry.register(made)
        return made

    return home.call(make)


def test_a_server_in_a_thread_collects_from_asyncio_objects_of_the_application(registry):
    """A lock, a queue and an event belong to the loop that waits for them: another one gets a RuntimeError."""

    async def main(port):
        lock, jobs, event = asyncio.Lock(), asyncio.Queue(), asyncio.Event()
        scraped, is_locked = [], asyncio.Event()

        class Queue:
            async def collect(self):
                is_locked.set()
                async with lock:
                    await jobs.join()
                    return [GaugeMetricFamily("jobs", "J.", jobs.qsize())]

        async def wait():
            await event.wait()
            return 7

        await jobs.put("job")
        await lock.acquire()
        registry.register(Queue())
        Gauge("g", "G.", registry=registry).set_function(wait)
        async with httpx.AsyncClient(trust_env=False) as client, anyio.create_task_group() as tasks:

            async def get():
                response = await client.get(f"http://127.0.0.1:{port}/", headers=LONG)
                scraped.extend(response.text.splitlines())

            tasks.start_soon(get)
            await is_locked.wait()
            lock.release()
            jobs.get_nowait()
            jobs.task_done()
            event.set()
        return scraped

    with start_http_server(registry=registry) as server:
        lines = asyncio.run(main(server.port))
    assert "jobs 0.0" in lines and "g 7.0" in lines


def test_a_server_in_a_thread_collects_from_a_trio_application(registry):
    async def main():
        event = trio.Event()

        async def wait():
            await event.wait()
            return 7

        Gauge("g", "G.", registry=registry).set_function(wait)
        with start_http_server(registry=registry) as server, trio.fail_after(PATIENCE_SECONDS):
            async with httpx.AsyncClient(trust_env=False) as client, trio.open_nursery() as nursery:
                nursery.start_soon(_set_later, event)
                return (await client.get(f"http://127.0.0.1:{server.port}/", headers=LONG)).text

    async def _set_later(event):
        await trio.sleep(0)
        event.set()

    assert "g 7.0" in trio.run(main).splitlines()


def test_an_application_on_another_loop_collects_from_the_loop_of_the_registration(registry, scrape, run, home):
    waiting = register(home, registry)
    home.call_soon(waiting.go.set)

    async def main():
        return (await scrape(make_asgi_app(registry), headers=LONG)).lines

    (line,) = run(main)
    assert float(line.removeprefix("waited ")) == home.ident


def test_a_textfile_is_written_from_a_thread(registry, home, tmp_path):
    waiting = register(home, registry)
    home.call_soon(waiting.go.set)
    write_to_textfile(tmp_path / "x.prom", registry)
    assert "\nwaited " in (tmp_path / "x.prom").read_text()


def test_a_client_that_goes_away_cancels_the_collector_on_its_loop(registry, scrape, run, home):
    waiting = register(home, registry)

    async def main():
        gone = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scrape(make_asgi_app(registry), headers=LONG, gone=gone))
            await anyio.to_thread.run_sync(waiting.begun.wait)
            gone.set()
        await eventually(lambda: waiting.cancelled, [home.ident])

    run(main)


def test_a_late_collector_of_another_loop_is_left_out_and_cancelled_there(scrape_port, registry, home, caplog):
    waiting = register(home, registry)
    Gauge("good", "G.", registry=registry).set(1)
    assert scrape_port(SOON) == ["good 1.0", 'asyncmetrics_collector_errors_total{collector="Waiting"} 1.0']
    wait_until(lambda: waiting.cancelled == [home.ident])


def test_a_loop_that_is_blocked_costs_a_scrape_the_collectors_of_that_loop_only(scrape_port, registry, home, caplog):
    register(home, registry)
    Gauge("good", "G.", registry=registry).set(1)
    is_blocked, end = threading.Event(), threading.Event()
    home.call_soon(lambda: (is_blocked.set(), end.wait(PATIENCE_SECONDS)))
    assert is_blocked.wait(PATIENCE_SECONDS)
    try:
        lines = [scrape_port(SOON)[0] for _ in range(2)]
    finally:
        end.set()
    assert lines == ["good 1.0", "good 1.0"]


def test_a_loop_that_ends_during_a_call_does_not_keep_later_scrapes_waiting(scrape_port, registry, backend, caplog):
    """Its collector may be registered again on another loop, and is called there."""
    with LoopThread(backend) as home:
        waiting = register(home, registry)
        is_blocked, end = threading.Event(), threading.Event()
        home.call_soon(lambda: (is_blocked.set(), end.wait(PATIENCE_SECONDS)))
        assert is_blocked.wait(PATIENCE_SECONDS)
        scrape_port(SOON)
        end.set()
    assert scrape_port()[0].startswith("asyncmetrics_collector_errors_total")
    registry.unregister(waiting)
    with LoopThread(backend) as home:
        waiting.go = home.call(anyio.Event)
        home.call(lambda: (registry.register(waiting), waiting.go.set()))
        assert scrape_port()[0].startswith("waited")


def test_the_collector_of_an_ended_loop_is_left_out_at_once(scrape_port, registry, backend, caplog):
    with LoopThread(backend) as home:
        register(home, registry)
        Gauge("g", "G.", registry=registry).set_function(anyio.sleep_forever, loop=home.native)
    Gauge("good", "G.", registry=registry).set(1)
    assert scrape_port() == [
        "good 1.0",
        'asyncmetrics_collector_errors_total{collector="Waiting"} 1.0',
        'asyncmetrics_collector_errors_total{collector="g"} 1.0',
    ]


@pytest.mark.parametrize("kind", ["sync", "async", "lambda"])
def test_the_functions_of_a_gauge_do_not_wait_for_each_other(registry, scrape, run, kind):
    """Each of ten waits until all have been called."""
    gauge = Gauge("met", "M.", ["n"], registry=registry)
    barrier, arrived = threading.Barrier(10), []

    def meet():
        barrier.wait(PATIENCE_SECONDS)
        return 1

    async def meet_async():
        arrived.append(1)
        while len(arrived) < 10:
            await anyio.sleep(0)
        return 1

    function = {"sync": meet, "async": meet_async, "lambda": lambda: meet_async()}[kind]
    for n in range(10):
        gauge.labels(str(n)).set_function(function)

    async def main():
        return (await scrape(make_asgi_app(registry), headers=LONG)).lines

    assert run(main) == [f'met{{n="{n}"}} 1.0' for n in range(10)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_late_function_costs_its_own_series_only(registry, scrape, run, kind, caplog):
    gauge = Gauge("jobs", "J.", ["n"], registry=registry)
    end = threading.Event()
    gauge.labels("late").set_function(anyio.sleep_forever if kind == "async" else lambda: end.wait() and 1)
    gauge.labels("quick").set_function(lambda: 7)
    gauge.labels("set").set(3)

    async def main():
        app = make_asgi_app(registry)
        return [await scrape(app, headers=SOON) for _ in range(2)]

    try:
        first, second = run(main)
    finally:
        end.set()
    assert first.lines == second.lines == ['jobs{n="quick"} 7.0', 'jobs{n="set"} 3.0']
    assert 'asyncmetrics_collector_errors_total{collector="jobs"} 2.0' in second.text
    assert "n='late'" in str(caplog.records[0].exc_info[1])


def test_a_function_that_was_late_is_exposed_again_once_it_returns_in_time(registry, scrape, run, caplog):
    gauge = Gauge("jobs", "J.", ["n"], registry=registry)
    end = threading.Event()
    gauge.labels("late").set_function(lambda: end.wait() and 1)
    gauge.labels("set").set(3)

    async def main():
        app = make_asgi_app(registry)
        await scrape(app, headers=SOON)
        end.set()
        return (await scrape(app, headers=LONG)).lines

    assert run(main) == ['jobs{n="late"} 1.0', 'jobs{n="set"} 3.0']


def test_a_late_function_of_collect_from_takes_out_its_gauge_only(registry, scrape, run, caplog):
    gauge = Gauge("jobs", "J.", ["n"], registry=registry)
    gauge.labels("old").set(1)
    gauge.collect_from(anyio.sleep_forever)
    Gauge("good", "G.", registry=registry).set(1)

    async def main():
        return (await scrape(make_asgi_app(registry), headers=SOON)).lines

    assert run(main) == ["good 1.0"]


def test_a_thousand_quick_functions_take_a_few_threads(registry, scrape, run):
    gauge, threads = Gauge("g", "G.", ["n"], registry=registry), set()
    for n in range(1000):
        gauge.labels(str(n)).set_function(lambda: threads.add(threading.current_thread()) or 1)

    async def main():
        return (await scrape(make_asgi_app(registry), headers=LONG)).lines

    assert len(run(main)) == 1000
    assert len(threads) < 500


def test_a_failing_function_fails_the_scrape_where_that_is_asked_for(registry, scrape, run, caplog):
    Gauge("g", "G.", registry=registry).set_function(lambda: 1 / 0)

    async def main():
        return (await scrape(make_asgi_app(registry, on_error="fail"))).status

    assert run(main) == 500


def test_a_collector_that_promises_not_to_block_and_returns_an_awaitable_is_left_out(registry, scrape, run, caplog):
    class Promising:
        blocking = False

        def collect(self):
            return anyio.sleep(0)

    registry.register(Promising())

    async def main():
        return (await scrape(make_asgi_app(registry))).lines

    assert run(main) == []
    assert "Promising has blocking=False" in str(caplog.records[0].exc_info[1])


def test_registering_on_a_running_loop_does_not_hold_it(registry):
    """A describe() is used, and nothing is collected: a collection of this one would never end."""

    class Endless:
        def collect(self):
            while True:
                time.sleep(0.1)
                yield from ()

        def describe(self):
            return [GaugeMetricFamily("endless", "E.")]

    async def main():
        registry.register(Endless())

    asyncio.run(main())
