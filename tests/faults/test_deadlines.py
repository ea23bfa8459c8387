"""Scrapes that come together: each keeps its own deadline, and no collector is asked twice for them.

Where a test is about order, the times that scrapers announce are hours or a moment, and events decide in between.
"""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
from trio.testing import MockClock

from asyncmetrics import Gauge, make_asgi_app
from asyncmetrics.core import GaugeMetricFamily
from tests.patience import PATIENCE_SECONDS

SOON = {"x-prometheus-scrape-timeout-seconds": "0.2"}
LATER = {"x-prometheus-scrape-timeout-seconds": "9999"}


class Slow:
    """A collector that has no answer before ``go`` is set; ``calls`` counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked = anyio.Event()
        self.go = anyio.Event()

    async def collect(self):
        self.calls += 1
        self.asked.set()
        await self.go.wait()
        return [GaugeMetricFamily("slow", "Comes late.", self.calls)]


class Blocking:
    """The same in a thread."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked = anyio.Event()
        self._go = threading.Event()
        self.go = self._go

    def describe(self):
        return []

    def collect(self):
        self.calls += 1
        anyio.from_thread.run_sync(self.asked.set, token=self.token)
        self._go.wait(PATIENCE_SECONDS)
        return [GaugeMetricFamily("slow", "Comes late.", self.calls)]


class Quick:
    """A collector that is called on the loop, and counts how often."""

    blocking = False

    def __init__(self) -> None:
        self.calls = 0

    def collect(self):
        self.calls += 1
        return [GaugeMetricFamily("quick", "Comes at once.", self.calls)]


@pytest.fixture
def registry(registry):
    Gauge("good", "Is served whatever the others do.", registry=registry).set(1)
    return registry


@pytest.fixture(params=[Slow, Blocking])
def slow(request):
    """Make a slow collector, on the loop that is running."""

    def slow():
        made = request.param()
        made.token = anyio.lowlevel.current_token()
        return made

    return slow


class Scrapes:
    """Scrapes under way, by the names that a test gives them."""

    def __init__(self, scrape, app, tasks) -> None:
        self.lines = {}
        self._scrape, self._app, self._tasks = scrape, app, tasks

    def begin(self, name, headers, gone=None):
        async def one():
            self.lines[name] = (await self._scrape(self._app, headers=headers, gone=gone)).lines

        self._tasks.start_soon(one)

    async def end_of(self, name):
        while name not in self.lines:
            await anyio.sleep(0.01)
        return self.lines[name]


def test_a_scrape_that_joins_a_patient_one_is_served_at_its_own_deadline(registry, scrape, run, slow, caplog):
    async def main():
        collector = slow()
        registry.register(collector)
        async with anyio.create_task_group() as tasks:
            scrapes = Scrapes(scrape, make_asgi_app(registry), tasks)
            scrapes.begin("patient", LATER)
            await collector.asked.wait()
            scrapes.begin("impatient", SOON)
            impatient = await scrapes.end_of("impatient")
            assert "patient" not in scrapes.lines
            collector.go.set()
            return impatient, await scrapes.end_of("patient"), collector.calls

    assert run(main) == (["good 1.0"], ["good 1.0", "slow 1.0"], 1)


def test_an_impatient_leader_costs_a_patient_scrape_no_collector(registry, scrape, run, slow, caplog):
    async def main():
        collector = slow()
        registry.register(collector)
        async with anyio.create_task_group() as tasks:
            scrapes = Scrapes(scrape, make_asgi_app(registry), tasks)
            scrapes.begin("impatient", SOON)
            await collector.asked.wait()
            scrapes.begin("patient", LATER)
            impatient = await scrapes.end_of("impatient")
            collector.go.set()
            return impatient, await scrapes.end_of("patient"), collector.calls

    assert run(main) == (["good 1.0"], ["good 1.0", "slow 1.0"], 1)


def test_a_scrape_that_comes_after_an_impatient_one_waits_for_the_same_call(registry, scrape, run, caplog):
    """That a call was late for a scraper in a hurry says nothing about one that has time."""

    async def main():
        collector = Blocking()
        collector.token = anyio.lowlevel.current_token()
        registry.register(collector)
        async with anyio.create_task_group() as tasks:
            scrapes = Scrapes(scrape, make_asgi_app(registry), tasks)
            scrapes.begin("impatient", SOON)
            await scrapes.end_of("impatient")
            scrapes.begin("patient", LATER)
            await anyio.wait_all_tasks_blocked()
            collector.go.set()
            return await scrapes.end_of("patient"), collector.calls

    assert run(main) == (["good 1.0", "slow 1.0"], 1)


def test_no_scrape_waits_for_a_collector_that_an_equally_patient_one_waited_for_in_vain(registry, scrape, caplog):
    """The clock of the loop is one that jumps to the next deadline, so the scrapes take as long as they wait."""
    end = threading.Event()

    class Hanging:
        def describe(self):
            return []

        def collect(self):
            end.wait(PATIENCE_SECONDS)
            return []

    async def main():
        app = make_asgi_app(registry)
        waited = []
        for seconds in ("30", "30", "50"):
            begun = anyio.current_time()
            scraped = await scrape(app, headers={"x-prometheus-scrape-timeout-seconds": seconds})
            assert scraped.lines == ["good 1.0"]
            waited.append(anyio.current_time() - begun > 10)
        return waited

    registry.register(Hanging())
    try:
        options = {"clock": MockClock(autojump_threshold=0)}
        assert anyio.run(main, backend="trio", backend_options=options) == [True, False, True]
    finally:
        end.set()


def test_what_is_called_on_the_loop_is_asked_once_as_well(registry, scrape, run, slow):
    async def main():
        collector, quick = slow(), Quick()
        registry.register(collector)
        registry.register(quick)
        async with anyio.create_task_group() as tasks:
            scrapes = Scrapes(scrape, make_asgi_app(registry), tasks)
            for number in range(5):
                scrapes.begin(number, LATER)
            await collector.asked.wait()
            await anyio.wait_all_tasks_blocked()
            collector.go.set()
            for number in range(5):
                assert "quick 1.0" in await scrapes.end_of(number)
        return quick.calls

    assert run(main) == 1


def test_a_scrape_does_not_share_numbers_that_are_older_than_its_own_patience(registry, scrape, run, slow, caplog):
    """Beside a scrape that waits for hours it would get what quick collectors said hours ago."""

    async def main():
        collector, quick = slow(), Quick()
        registry.register(quick)
        registry.register(collector)
        async with anyio.create_task_group() as tasks:
            scrapes = Scrapes(scrape, make_asgi_app(registry), tasks)
            scrapes.begin("patient", LATER)
            await collector.asked.wait()
            await anyio.sleep(0.3)
            scrapes.begin("impatient", SOON)
            await scrapes.end_of("impatient")
            scrapes.begin("again", SOON)
            await scrapes.end_of("again")
            collector.go.set()
        return scrapes.lines["impatient"], scrapes.lines["again"]

    assert run(main) == (["good 1.0", "quick 1.0"], ["good 1.0", "quick 2.0"])


def test_a_collector_that_swallows_its_cancellation_holds_no_scrape(registry, scrape, run, caplog):
    """It is left out at the deadline, and not asked again before it has come back."""
    calls, back = [], []

    async def main():
        go = anyio.Event()

        class Stubborn:
            async def collect(self):
                calls.append(1)
                try:
                    await anyio.sleep_forever()
                except BaseException:  # noqa: BLE001  # which is what this is about
                    with anyio.CancelScope(shield=True):
                        await go.wait()
                back.append(1)
                return [GaugeMetricFamily("stubborn", "Comes back.", len(calls))]

        registry.register(Stubborn())
        app = make_asgi_app(registry)
        lines = [(await scrape(app, headers=SOON)).lines for _ in range(3)]
        assert (len(calls), len(back)) == (1, 0)
        go.set()
        while not back:
            await anyio.sleep(0.01)
        return lines

    assert run(main) == [["good 1.0"]] * 3


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), Exception("no")], ids=repr)
def test_a_collector_on_the_loop_costs_itself_only_whatever_it_raises(registry, scrape, run, error, caplog):
    class Raising:
        blocking = False

        def describe(self):
            return []

        def collect(self):
            raise error

    registry.register(Raising())

    async def main():
        app = make_asgi_app(registry)
        return await scrape(app), await scrape(app)

    first, second = run(main)
    assert first.lines == second.lines == ["good 1.0"]
    assert 'asyncmetrics_collector_errors_total{collector="Raising"} 2.0' in second.text


def test_a_collector_whose_properties_raise_costs_itself_only(registry, scrape, run, caplog):
    class Odd:
        @property
        def blocking(self):
            raise LookupError("no")

        @property
        def collect(self):
            raise LookupError("no")

        def describe(self):
            return []

    registry.register(Odd())

    async def main():
        return await scrape(make_asgi_app(registry))

    assert run(main).lines == ["good 1.0"]


@pytest.mark.parametrize("families", [2, 3])
def test_families_that_cannot_be_put_together_cost_themselves_only(registry, scrape, run, families, caplog):
    """Of two families of one name, the samples of which have no labels, the first stays."""

    class Odd:
        def collect(self):
            for _ in range(families):
                family = GaugeMetricFamily("odd", "Odd.")
                family.samples = [None]
                yield family

    registry.register(Odd())

    async def main():
        return await scrape(make_asgi_app(registry))

    assert run(main).lines == ["good 1.0"]


def test_a_new_scrape_displaces_one_whose_client_takes_nothing(registry, scrape, run):
    async def main():
        app = make_asgi_app(registry, max_concurrent=1)
        sending = anyio.Event()

        async def send(message):
            sending.set()
            await anyio.sleep_forever()

        async def stalled():
            headers, scope = [], {"type": "http", "method": "GET", "path": "/", "query_string": b""}
            await app(scope | {"headers": headers}, anyio.sleep_forever, send)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stalled)
            await sending.wait()
            scraped = await scrape(app)  # the group ends only because the stalled one does
        return scraped.lines, (await scrape(app)).text

    lines, after = run(main)
    assert lines == ["good 1.0"]
    assert 'asyncmetrics_scrapes_total{outcome="displaced"} 1.0' in after


def test_clients_that_would_wait_for_hours_shut_no_scraper_out(registry, scrape, run, slow, caplog):
    """Beside a collector that hangs, each of them would keep its place for that long."""

    async def main():
        collector = slow()
        registry.register(collector)
        async with anyio.create_task_group() as tasks:
            app = make_asgi_app(registry, max_concurrent=3)
            scrapes = Scrapes(scrape, app, tasks)
            for number in range(3):
                scrapes.begin(number, LATER)
            await collector.asked.wait()
            await anyio.wait_all_tasks_blocked()
            lines = (await scrape(app, headers=SOON)).lines
            collector.go.set()
        return lines

    assert run(main) == ["good 1.0"]


def test_a_predicate_that_never_answers_refuses(registry, scrape, run):
    async def never(_):
        await anyio.sleep_forever()

    async def main():
        return (await scrape(make_asgi_app(registry, auth=never, timeout_seconds=0.1))).status

    assert run(main) == 403
