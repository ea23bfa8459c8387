"""The ASGI application: both event loops, every scope, clients that go away, collectors that fail."""

from __future__ import annotations

import tracemalloc

import anyio
import pytest

from asyncmetrics import Counter, Histogram, Metric
from asyncmetrics.core import Sample
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import make_asgi_app

GZIP = [(b"accept-encoding", b"gzip")]
MAX_CHUNK = 128 * 1024


async def silent() -> dict:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def nowhere(message: dict) -> None:
    pass


def test_it_serves_on_both_event_loops(ask, registry, backend):
    Counter("jobs", "Jobs.", registry=registry).inc()
    assert "jobs_total 1" in ask(make_asgi_app(registry), backend=backend).text


def test_async_collectors_are_awaited_on_the_loop_that_runs(ask, registry, backend):
    class Collector:
        async def collect(self):
            await anyio.sleep(0)
            return []

    registry.register(Collector())
    assert "collector_errors" not in ask(make_asgi_app(registry), backend=backend).text


@pytest.mark.parametrize("headers", [[], GZIP])
def test_a_large_exposition_comes_in_bounded_chunks(ask, paged, backend, headers):
    registry, _ = paged(20)
    answer = ask(make_asgi_app(registry), backend=backend, headers=headers)
    assert max(len(chunk) for chunk in answer.chunks) <= MAX_CHUNK
    assert answer.text.count("\npage_") == 40_000


@pytest.mark.parametrize("accept", [b"text/plain", b"application/openmetrics-text;version=1.0.0"])
def test_many_children_of_one_histogram_come_in_bounded_chunks(ask, registry, accept):
    buckets = range(10)  # and +Inf
    histogram = Histogram("wait_seconds", "Waiting.", ["queue", "kind"], registry=registry, buckets=buckets)
    for number in range(5000):
        histogram.labels(f"queue-{number:040}", "kind").observe(1)
    answer = ask(make_asgi_app(registry), headers=[(b"accept", accept)])
    assert answer.text.count("\nwait_seconds_bucket") == 5000 * 11
    assert max(len(chunk) for chunk in answer.chunks) <= MAX_CHUNK


@pytest.mark.parametrize("accept", [b"text/plain", b"application/openmetrics-text;version=1.0.0"])
def test_many_samples_of_one_custom_family_come_in_bounded_chunks(ask, registry, accept):
    class Collector:
        def collect(self):
            family = Metric("rows", "Rows of a table.", "gauge")
            family.samples = [Sample("rows", {"table": f"{number:06}"}, number) for number in range(50_000)]
            return [family]

    registry.register(Collector())
    answer = ask(make_asgi_app(registry), headers=[(b"accept", accept)])
    assert answer.text.count("\nrows{") == 50_000
    assert max(len(chunk) for chunk in answer.chunks) <= MAX_CHUNK


def test_the_chunks_are_made_while_they_are_sent(scope, paged):
    """When a chunk is sent, at most one family more than it has been rendered: nothing is rendered ahead."""
    registry, pages = paged(30)
    ahead, sent = [], 0

    async def send(message: dict) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        ahead.append(len(pages.rendered) * 70_000 - sent)

    anyio.run(make_asgi_app(registry), scope(), silent, send)
    assert max(ahead) < 300_000 < sent


def test_a_scrape_needs_memory_for_a_few_chunks_only(scope, registry):
    """100 000 series are 5 MB of text; the scrape (after the first, which writes the label blocks) takes under 1 MB."""
    counter = Counter("jobs", "Jobs.", ["kind"], registry=registry, max_children=None)
    for number in range(100_000):
        counter.labels(f"kind-{number:030}").inc()
    app = make_asgi_app(registry)
    anyio.run(app, scope(), silent, nowhere)
    tracemalloc.start()
    try:
        anyio.run(app, scope(), silent, nowhere)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_other_tasks_run_while_the_samples_of_a_collector_are_checked(scope, registry, backend, caplog):
    """The check of 200 000 samples takes tens of milliseconds. The last one is wrong, so nothing is rendered."""
    family = Metric("level", "Many.", "gauge")
    for number in range(200_000):
        family.add_sample("level", {"number": str(number)}, number)
    family.add_sample("level", {}, None)
    registry.register(type("Collecting", (), {"blocking": False, "collect": lambda self: [family]})())
    ticks = 0
    at_start = []

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await anyio.sleep(0)

    async def send(message: dict) -> None:
        at_start.append(ticks)
        raise ConnectionResetError

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await make_asgi_app(registry, on_error="fail")(scope(), silent, send)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert at_start[0] > 100


@pytest.mark.parametrize("headers", [[], GZIP])
def test_other_tasks_run_while_there_is_much_to_render(scope, paged, backend, headers):
    """A ticker on the same loop gets its goes again and again, though sending never waits."""
    registry, pages = paged(50)
    turns = 0

    async def main() -> None:
        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await make_asgi_app(registry)(scope(headers=headers), silent, nowhere)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert turns >= len(pages.rendered) == 50


def test_the_rendering_waits_for_a_slow_client(scope, paged, backend):
    """While ``send`` is waiting, nothing more is rendered."""
    registry, pages = paged(50)

    async def main() -> int:
        blocked = anyio.Event()

        async def send(message: dict) -> None:
            if message.get("body"):
                blocked.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make_asgi_app(registry), scope(), silent, send)
            await blocked.wait()
            await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        return len(pages.rendered)

    assert anyio.run(main, backend=backend) <= 3


def test_a_send_that_fails_stops_the_rendering_without_an_error(scope, paged, backend):
    registry, pages = paged(100)
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)
        if len(sent) == 4:
            raise BrokenPipeError

    async def main() -> None:
        await make_asgi_app(registry)(scope(), silent, send)

    anyio.run(main, backend=backend)
    assert len(sent) == 4 and len(pages.rendered) < 10


def test_a_client_that_goes_away_stops_the_rendering(scope, paged, backend):
    """Servers whose ``send`` never fails report it by http.disconnect."""
    registry, pages = paged(100)

    async def main() -> None:
        gone = anyio.Event()
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            if message.get("body"):
                gone.set()

        await make_asgi_app(registry)(scope(), receive, send)

    anyio.run(main, backend=backend)
    assert len(pages.rendered) < 10


def test_cancelling_the_exchange_is_passed_on(scope, paged, backend):
    registry, pages = paged(100)

    async def main() -> bool:
        async def send(message: dict) -> None:
            if message.get("body"):
                cancelling.cancel()

        with anyio.CancelScope() as cancelling:
            await make_asgi_app(registry)(scope(), silent, send)
        return cancelling.cancelled_caught

    assert anyio.run(main, backend=backend)
    assert len(pages.rendered) < 10


@pytest.mark.parametrize("answer", [{"type": "http.request"}, RuntimeError("no more messages")])
def test_a_receive_that_never_waits_does_no_harm(scope, registry, answer):
    """Hand-written servers return the request again and again, or raise at the second call."""
    sent = []

    async def receive() -> dict:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send(message: dict) -> None:
        sent.append(message["type"])

    anyio.run(make_asgi_app(registry), scope(), receive, send)
    assert sent == ["http.response.start", "http.response.body"]


def test_a_collector_that_fails_is_left_out_and_counted(ask, failing, caplog):
    app = make_asgi_app(failing)
    answer = ask(app)
    assert (answer.status, "still_there 1" in answer.text) == (200, True)
    assert 'asyncmetrics_collector_errors_total{collector="Failing"} 2' in ask(app).text


def test_a_collector_that_fails_gives_500_on_request(ask, failing, backend, caplog):
    answer = ask(make_asgi_app(failing, on_error="fail"), backend=backend)
    assert (answer.status, answer.complete) == (500, True)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_500_names_the_collector_but_keeps_its_message_for_the_log(ask, failing, caplog):
    text = ask(make_asgi_app(failing, on_error="fail")).text
    assert "Failing" in text and "secret" not in text
    assert "secret" in caplog.text


def test_a_failure_that_gives_500_is_counted(ask, failing, caplog):
    ask(make_asgi_app(failing, on_error="fail"))
    # get_sample_value collects as well, which fails once more
    assert failing.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "Failing"}) == 2


def test_a_part_of_a_registry_fails_with_500_as_well(ask, registry, caplog):
    class Describing:
        def describe(self):
            return [Metric("one", "A number.", "gauge")]

        def collect(self):
            raise LookupError("secret")

    registry.register(Describing())
    assert ask(make_asgi_app(registry.restricted_registry(["one"]), on_error="fail")).status == 500
    assert "collector errors in Describing" in caplog.text


def test_an_unknown_way_to_handle_errors_is_refused(registry):
    with pytest.raises(DefinitionError, match="on_error: expected 'skip' or 'fail', got 'ignore'"):
        make_asgi_app(registry, on_error="ignore")


def test_a_rendering_that_fails_at_once_gives_500(ask, paged, caplog):
    registry, _ = paged(3, broken_at=0)
    answer = ask(make_asgi_app(registry))
    assert (answer.status, answer.complete) == (500, True)


def test_a_rendering_that_fails_later_breaks_the_response_off(scope, paged, caplog):
    """The status is sent; an answer that looks whole would be a lie, so the server has to cut the connection."""
    registry, _ = paged(30, broken_at=20)
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    with pytest.raises(LookupError, match="torn"):
        anyio.run(make_asgi_app(registry), scope(), silent, send)
    assert sent[0]["status"] == 200 and all(message["more_body"] for message in sent[1:])
    assert "internal errors in exposition" in caplog.text


def test_the_lifespan_is_answered(registry, backend):
    sent = []

    async def main() -> None:
        messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

        async def receive() -> dict:
            return messages.pop()

        async def send(message: dict) -> None:
            sent.append(message["type"])

        await make_asgi_app(registry)({"type": "lifespan"}, receive, send)

    anyio.run(main, backend=backend)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_is_closed_before_it_is_accepted(registry):
    sent = []

    async def receive() -> dict:
        return {"type": "websocket.connect"}

    async def send(message: dict) -> None:
        sent.append(message["type"])

    anyio.run(make_asgi_app(registry), {"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]


def test_an_unknown_scope_raises_as_asgi_demands(registry):
    with pytest.raises(NotImplementedError, match="'carrier-pigeon'"):
        anyio.run(make_asgi_app(registry), {"type": "carrier-pigeon"}, silent, nowhere)
