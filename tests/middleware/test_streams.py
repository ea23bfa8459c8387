"""Responses that are streams: their own histogram and gauge, and no trace in the latency or the age of requests."""

from __future__ import annotations

import math

import anyio
import pytest

from asyncmetrics import bind_labels
from asyncmetrics.errors import DefinitionError
from tests.loops import on_every_loop
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.edge("stream")

EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
JSON_LINES = [(b"content-type", b"application/x-ndjson")]
AT_ONCE = 1e-9  # seconds after its start that every response takes
NEVER_YET = 3600.0  # seconds after its start that no response of a test takes
CONNECTED = {"type": "http.request", "body": b"", "more_body": False}


def streaming(headers=EVENTS, *, between=None, last=True, status=200, receives=False):
    """Make an application that sends two parts; ``between`` is called after the first one."""

    async def app(scope, receive, send):
        scope["asyncmetrics.route"] = "/stream"
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if between is not None:
            between()
        if receives:
            await receive()
        if last:
            await send({"type": "http.response.body", "body": b"two"})

    return app


async def whole(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
    await send({"type": "http.response.body", "body": b"one and only"})


@pytest.fixture
def streamed(totals_of):
    """Read how many streams were counted, by method, route and outcome."""
    return lambda: totals_of("http_server_stream_duration_seconds_count", "method", "route", "outcome")


@pytest.fixture
def active_streams(totals_of):
    """Read the active streams, by method and route."""
    return lambda: totals_of("http_server_active_streams", "method", "route")


@pytest.fixture
def totals_of(registry):
    """Read the samples of a name by some of their labels."""

    def read(name, *labels):
        samples = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in samples}

    return read


COMPLETED = {("GET", "/stream", "completed"): 1}


@on_every_loop
async def test_a_response_of_server_sent_events_is_a_stream_and_no_request(ask, measured, totals, streamed):
    await ask(measured(streaming(), stream_after=NEVER_YET))
    assert (streamed(), totals("counted")) == (COMPLETED, {})


@pytest.mark.parametrize(
    "headers",
    [
        [[b"Content-Type", b"text/event-stream"]],
        [(b"x-accel-buffering", b"no"), (b"content-type", b" Text/Event-Stream ;charset=utf-8")],
    ],
)
async def test_the_content_type_is_compared_as_http_does(headers, ask, measured, streamed):
    await ask(measured(streaming(headers)))
    assert streamed() == COMPLETED


@pytest.mark.parametrize(
    "headers", [JSON_LINES, [], None, [(b"accept", b"text/event-stream")], [(b"content-type", b"text/event-streams")]]
)
async def test_other_responses_in_parts_are_requests(headers, ask, measured, totals, streamed):
    await ask(measured(streaming(headers)))
    assert (streamed(), totals("counted")) == ({}, {("GET", "/stream", "200"): 1})


async def test_headers_in_odd_shapes_make_a_request_and_an_internal_error(ask, measured, totals):
    asked = await ask(measured(streaming([7])))
    assert asked.error is None
    assert len(asked.sent) == 3
    assert totals("counted") == {("GET", "/stream", "200"): 1}
    assert totals("internal") == {"middleware.stream": 1}


async def test_a_response_that_takes_longer_than_stream_after_is_a_stream(ask, measured, totals, streamed):
    await ask(measured(streaming(JSON_LINES), stream_after=AT_ONCE))
    assert (streamed(), totals("counted")) == (COMPLETED, {})


async def test_a_body_in_one_message_that_is_late_is_a_stream(ask, measured, totals, streamed):
    """A download that a server reads from its file: its only message takes long."""
    await ask(measured(whole, stream_after=AT_ONCE))
    assert (sum(streamed().values()), totals("counted")) == (1, {})


@pytest.mark.parametrize("kind", [b"text/event-stream", b"text/event-stream; charset=utf-8", b"TEXT/Event-Stream"])
async def test_server_sent_events_in_one_message_are_a_stream(kind, ask, measured, totals, streamed):
    async def app(scope, receive, send):
        headers = [(b"x-accel-buffering", b"no"), (b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1"})

    await ask(measured(app))
    assert (sum(streamed().values()), totals("counted")) == (1, {})


@pytest.mark.parametrize("more", [{}, {"headers": []}, {"headers": [(b"content-type", b"text/else-and-more")]}])
async def test_another_body_in_one_message_is_a_request(more, ask, measured, totals, streamed):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, **more})
        await send({"type": "http.response.body", "body": b"1"})

    await ask(measured(app))
    assert (streamed(), sum(totals("counted").values()), totals("internal")) == ({}, 1, {})


async def test_the_time_before_the_start_of_the_response_makes_no_stream(ask, measured, totals, monkeypatch):
    """The clock is the test's: a request that waits for 100 s, and then responds at once."""
    now = [1000.0]
    monkeypatch.setattr("asyncmetrics.middleware.http.perf_counter", lambda: now[0])

    async def waits(scope, receive, send):
        now[0] += 100
        await streaming(JSON_LINES)(scope, receive, send)

    await ask(measured(waits))
    assert totals("seconds") == {("GET", "/stream", "200"): 100}


async def test_a_response_is_a_stream_10_seconds_after_its_start(ask, measured, totals, streamed, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("asyncmetrics.middleware.http.perf_counter", lambda: now[0])

    for seconds in (10, 11):
        await ask(measured(streaming(JSON_LINES, between=lambda seconds=seconds: now.__setitem__(0, now[0] + seconds))))
    assert (totals("seconds"), streamed()) == ({("GET", "/stream", "200"): 10}, COMPLETED)


async def test_with_none_every_response_is_a_request(ask, measured, totals, streamed, active_streams):
    seen = []
    app = measured(streaming(between=lambda: seen.append(active_streams())), stream_after=None)
    await ask(app)
    assert (seen, streamed(), totals("counted")) == ([{}], {}, {("GET", "/stream", "200"): 1})


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "10", True])
def test_a_wrong_stream_after_is_refused(wrong, measured):
    with pytest.raises(DefinitionError, match="stream_after"):
        measured(whole, stream_after=wrong)


async def test_the_duration_of_a_stream_is_that_from_its_request_to_its_end(ask, measured, totals_of):
    async def app(scope, receive, send):
        await anyio.sleep(0.02)
        await streaming()(scope, receive, send)

    await ask(measured(app))
    ((_, seconds),) = totals_of("http_server_stream_duration_seconds_sum", "route").items()
    assert seconds >= 0.02


@on_every_loop
async def test_a_stream_whose_client_leaves_is_closed_by_the_client(ask, measured, streamed):
    """The last message comes after that, as from an application that asks for a disconnect and ends its loop."""
    await ask(measured(streaming(receives=True)), events=())
    assert streamed() == {("GET", "/stream", "client_closed"): 1}


async def test_a_stream_whose_server_refuses_a_message_is_closed_by_the_client(ask, measured, streamed, totals):
    def refuse(message):
        if message["type"] == "http.response.body" and message["body"] == b"two":
            raise OSError("gone")

    await ask(measured(streaming()), send=refuse)
    assert streamed() == {("GET", "/stream", "client_closed"): 1}
    assert totals("exceptions") == {}


@on_every_loop
async def test_a_stream_that_is_cancelled_is_closed_by_the_client(ask, measured, streamed):
    async def app(scope, receive, send):
        await streaming(last=False)(scope, receive, send)
        scope_.cancel()
        await anyio.sleep(PATIENCE_SECONDS)

    with anyio.CancelScope() as scope_:
        await measured(app)(
            {"type": "http", "method": "GET", "path": "/"}, anyio.sleep_forever, lambda _: anyio.sleep(0)
        )
    assert streamed() == {("GET", "/stream", "client_closed"): 1}


async def test_a_stream_that_raises_has_failed_and_is_an_exception(ask, measured, streamed, totals):
    def fail():
        raise ValueError("in the middle")

    asked = await ask(measured(streaming(between=fail)))
    assert isinstance(asked.error, ValueError)
    assert streamed() == {("GET", "/stream", "failed"): 1}
    assert totals("exceptions") == {("/stream", "ValueError"): 1}


async def test_a_stream_without_its_last_message_has_failed(ask, measured, streamed):
    await ask(measured(streaming(last=False)))
    assert streamed() == {("GET", "/stream", "failed"): 1}


async def test_a_stream_of_events_without_a_body_has_failed(ask, measured, streamed):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})

    await ask(measured(app))
    assert streamed() == {("GET", "<unmatched>", "failed"): 1}


async def test_a_request_that_never_starts_is_no_stream_however_long_it_takes(ask, measured, streamed, totals):
    async def app(scope, receive, send):
        raise ValueError

    await ask(measured(app, stream_after=AT_ONCE))
    assert (streamed(), totals("counted")) == ({}, {("GET", "<unmatched>", "500"): 1})


ACTIVE = {("GET", "/stream"): 1}


@on_every_loop
async def test_an_active_stream_is_an_active_request_too_and_0_after_its_end(ask, measured, totals, active_streams):
    seen = []
    await ask(measured(streaming(between=lambda: seen.append((active_streams(), totals("active"))))))
    assert seen == [(ACTIVE, ACTIVE)]
    assert (active_streams(), totals("active")) == ({("GET", "/stream"): 0}, {("GET", "/stream"): 0})


async def test_a_started_stream_has_no_age(ask, measured, totals):
    """So no alert on the oldest request pages for it."""
    seen = []
    await ask(measured(streaming(between=lambda: seen.append(totals("oldest")))))
    assert seen == [{}]


async def test_an_event_stream_has_no_age_before_its_first_event(ask, measured, totals, active_streams):
    seen = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        seen.append((totals("oldest"), sum(active_streams().values())))
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    await ask(measured(app))
    assert seen == [({}, 1)]


async def test_a_download_has_an_age_until_stream_after(ask, measured, totals, active_streams):
    for after, ages in ((NEVER_YET, 1), (AT_ONCE, 0)):
        seen = []

        def look(seen=seen):
            seen.append((len(totals("oldest")), sum(active_streams().values())))

        await ask(measured(streaming(JSON_LINES, between=look), stream_after=after))
        assert seen == [(ages, 1 - ages)]


async def test_a_request_keeps_its_age_beside_a_stream(ask, measured, totals):
    seen = []
    app = measured(streaming(between=lambda: seen.append(set(totals("oldest")))))

    async def outer(scope, receive, send):
        scope["asyncmetrics.route"] = "/outer"
        await ask(app)
        await whole(scope, receive, send)

    await ask(measured(outer))
    assert seen == [{"/outer"}]


async def test_sizes_and_the_first_byte_of_streams_are_measured(ask, measured, totals):
    await ask(measured(streaming(), body_sizes=True, first_byte=True))
    assert totals("sent") == {("GET", "/stream"): 6}
    assert totals("first bytes") == {("GET", "/stream"): 1}


async def test_a_stream_has_the_extra_and_the_context_labels(ask, measured, totals_of):
    app = measured(
        streaming(between=lambda: bind_labels(plan="gold")), extra_labels={"service": "shop"}, context_labels=["plan"]
    )
    await ask(app)
    names = ("route", "outcome", "service", "plan")
    assert totals_of("http_server_stream_duration_seconds_count", *names) == {
        ("/stream", "completed", "shop", "gold"): 1
    }
    assert totals_of("http_server_active_streams", "route", "service") == {("/stream", "shop"): 0}


async def test_a_stream_adds_nothing_to_the_client_totals(ask, measured, totals_of):
    await ask(measured(streaming(), client_totals=True))
    assert totals_of("http_server_request_client_calls_count", "route") == {}


async def test_the_labels_of_a_stream_follow_the_conventions(ask, measured, totals_of):
    await ask(measured(streaming(), conventions="opentelemetry"))
    found = totals_of("http_server_stream_duration_seconds_count", "http_request_method", "http_route", "outcome")
    assert found == COMPLETED


async def test_the_buckets_of_streams_reach_from_a_tenth_of_a_second_to_a_day(ask, measured, totals_of):
    await ask(measured(streaming()))
    bounds = [le for (le,) in totals_of("http_server_stream_duration_seconds_bucket", "le")]
    assert (bounds[0], bounds[-2]) == ("0.1", "86400.0")


async def test_the_buckets_of_streams_may_be_chosen(ask, measured, totals_of):
    await ask(measured(streaming(), buckets={"http_server_stream_duration_seconds": [1, 2]}))
    assert list(totals_of("http_server_stream_duration_seconds_bucket", "le")) == [("1.0",), ("2.0",), ("+Inf",)]


async def test_a_disconnect_that_comes_with_the_last_message_closes_no_stream(ask, measured, streamed):
    """As hypercorn on trio reports it, to a task of the application that waits for a disconnect."""

    async def app(scope, receive, send):
        receiving.append(receive)
        await streaming()(scope, receive, send)

    def send(message):
        if message.get("body") == b"two":
            with pytest.raises(StopIteration):
                receiving[0]().send(None)

    receiving = []
    await ask(measured(app), events=(), send=send)
    assert streamed() == COMPLETED


@on_every_loop
async def test_a_stream_that_is_cancelled_in_its_last_message_is_completed(ask, measured, streamed):
    """Starlette does so when hypercorn on trio reports a disconnect while it sends the last message."""

    async def send(message):
        if message.get("body") == b"two":
            cancelled.cancel()
            await anyio.sleep(PATIENCE_SECONDS)

    with anyio.CancelScope() as cancelled:
        await measured(streaming())({"type": "http", "method": "GET", "path": "/"}, anyio.sleep_forever, send)
    assert streamed() == COMPLETED
