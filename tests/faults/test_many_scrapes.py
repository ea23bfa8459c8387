"""Scrapes at the same time: they share the gathering and the loop's time, and there is a limit to them."""

from __future__ import annotations

import tracemalloc
from collections import Counter as Tally

import anyio
import pytest

from asyncmetrics import Counter, make_asgi_app
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.errors import DefinitionError
from tests.live import make_live
from tests.patience import PATIENCE_SECONDS


class Counting:
    """A collector that waits for ``go``, and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked = anyio.Event()
        self.go = anyio.Event()

    async def collect(self):
        self.calls += 1
        self.asked.set()
        await self.go.wait()
        return [GaugeMetricFamily("calls", "How often it was asked.", self.calls)]


class Steps:
    """Families that note in ``done`` when they are rendered, each the work of more than one turn."""

    blocking = False

    def __init__(self, count: int) -> None:
        self.count = count
        self.done: list[int] = []

    def collect(self):
        return [make_live(f"step_{number}", self.read, ("n",)) for number in range(self.count)]

    def read(self):
        self.done.append(1)
        return [({"n": f"{number:0100}"}, number) for number in range(1000)]


async def _together(scrape, app, count, results):
    async def one() -> None:
        results.append(await scrape(app))

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)


async def _during_one_gathering(scrape, app, count, collector):
    """Scrape ``count`` times while ``collector``, which is registered, keeps its answer back."""
    results = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_together, scrape, app, count, results)
        await collector.asked.wait()
        await anyio.wait_all_tasks_blocked()
        collector.go.set()
    return results


def test_scrapes_that_come_while_collectors_are_asked_share_the_answers(registry, scrape, run):
    async def main():
        collector = Counting()
        registry.register(collector)
        return await _during_one_gathering(scrape, make_asgi_app(registry), 5, collector)

    results = run(main)
    assert [scraped.lines for scraped in results] == [["calls 1.0"]] * 5


def test_a_scrape_that_comes_later_asks_again(registry, scrape, run):
    async def main():
        collector = Counting()
        collector.go.set()
        registry.register(collector)
        app = make_asgi_app(registry)
        return await scrape(app), await scrape(app)

    assert [scraped.lines for scraped in run(main)] == [["calls 1.0"], ["calls 2.0"]]


def test_a_failure_is_shared_as_well(registry, scrape, run, caplog):
    class Failing(Counting):
        async def collect(self):
            await Counting.collect(self)
            raise ValueError("no")

    async def main():
        collector = Failing()
        registry.register(collector)
        app = make_asgi_app(registry, on_error="fail")
        return await _during_one_gathering(scrape, app, 3, collector), collector.calls

    results, calls = run(main)
    assert calls == 1
    assert [scraped.status for scraped in results] == [500] * 3


def test_when_the_client_that_came_first_goes_away_the_others_are_served(registry, scrape, run):
    results = []

    async def main():
        collector = Counting()
        registry.register(collector)
        app = make_asgi_app(registry)
        gone = anyio.Event()

        async def first() -> None:
            assert not (await scrape(app, gone=gone)).complete

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await collector.asked.wait()
            tasks.start_soon(_together, scrape, app, 3, results)
            await anyio.wait_all_tasks_blocked()
            gone.set()
            await anyio.wait_all_tasks_blocked()
            collector.go.set()

    run(main)
    assert [scraped.lines for scraped in results] == [["calls 1.0"]] * 3


def test_a_thread_that_is_at_work_for_a_client_that_went_away_is_waited_for(registry, scrape, run):
    """It cannot be stopped, and a second one would only do its work again."""
    import threading

    calls, go = [], threading.Event()

    class Blocking:
        def collect(self):
            calls.append(1)
            go.wait(PATIENCE_SECONDS)
            return [GaugeMetricFamily("calls", "How often it was asked.", len(calls))]

    registry.register(Blocking())

    async def main():
        app = make_asgi_app(registry)
        gone = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scrape(app, gone=gone))
            while not calls:
                await anyio.sleep(0.001)
            gone.set()
            results = []
            tasks.start_soon(_together, scrape, app, 2, results)
            await anyio.wait_all_tasks_blocked()
            go.set()
        return results

    assert [scraped.lines for scraped in run(main)] == [["calls 1.0"]] * 2


@pytest.mark.parametrize("scrapes", [1, 20])
def test_the_loop_gets_its_goes_between_two_steps_however_many_scrapes_there_are(registry, scrape, run, scrapes):
    """A budget per scrape would let every one of them take a step before the loop comes round."""
    steps = Steps(5)
    registry.register(steps)
    longest = 0

    async def main() -> None:
        async def go() -> None:
            nonlocal longest
            before = 0
            while True:
                await anyio.lowlevel.checkpoint()
                longest = max(longest, len(steps.done) - before)
                before = len(steps.done)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go)
            await _together(scrape, make_asgi_app(registry, max_concurrent=scrapes), scrapes, [])
            tasks.cancel_scope.cancel()

    run(main)
    assert len(steps.done) == 5 * scrapes
    assert longest <= 2


def test_scrapes_beyond_the_limit_are_answered_with_retry_after(registry, scrape, run):
    async def main():
        collector = Counting()
        registry.register(collector)
        return await _during_one_gathering(scrape, make_asgi_app(registry, max_concurrent=3), 10, collector)

    results = run(main)
    assert sorted(scraped.status for scraped in results) == [200] * 3 + [503] * 7
    assert {scraped.headers.get("retry-after") for scraped in results if scraped.status == 503} == {"1"}


@pytest.mark.parametrize("end", ["served", "gone"])
def test_a_scrape_that_has_ended_makes_room(registry, scrape, run, end):
    async def main():
        collector = Counting()
        registry.register(collector)
        app = make_asgi_app(registry, max_concurrent=1)
        gone = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scrape(app, gone=gone))
            await collector.asked.wait()
            assert (await scrape(app)).status == 503
            (collector.go if end == "served" else gone).set()
            await anyio.wait_all_tasks_blocked()
            collector.go.set()
            while (await scrape(app)).status == 503:  # the first is still being sent
                await anyio.sleep(0)

    run(main)


def test_head_and_refusals_are_answered_whatever_is_being_served(registry, scrape, run):
    async def main():
        collector = Counting()
        registry.register(collector)
        app = make_asgi_app(registry, max_concurrent=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scrape(app))
            await collector.asked.wait()
            statuses = [(await scrape(app, method=method)).status for method in ("HEAD", "POST")]
            collector.go.set()
        return statuses

    assert run(main) == [200, 405]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(registry, limit):
    with pytest.raises(DefinitionError, match="max_concurrent: expected 1 or more"):
        make_asgi_app(registry, max_concurrent=limit)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "most"), [(8, 6_000_000), (100, 40_000_000)])
def test_a_hundred_scrapes_at_once_need_little_memory(registry, scrape, run, limit, most):
    """Nothing is kept for anybody, but the chunk that is on its way: 100 times 500 KB of text would be 50 MB."""
    counter = Counter("jobs", "Jobs.", ["kind"], registry=registry, max_children=None)
    for number in range(10_000):
        counter.labels(f"kind-{number:030}").inc()
    app = make_asgi_app(registry, max_concurrent=limit)
    statuses = Tally()

    async def forgetful() -> None:
        async def send(message: dict) -> None:
            if "status" in message:
                statuses[message["status"]] += 1

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        await app(scope, anyio.sleep_forever, send)

    async def main() -> int:
        await scrape(app)
        tracemalloc.start()
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(forgetful)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert run(main) < most
    assert statuses == Tally({200: limit, 503: 100 - limit} if limit < 100 else {200: 100})
