"""What is measured only where it is asked for: the first byte, the sizes of bodies, work in the background."""

from __future__ import annotations

from time import perf_counter

import anyio
import pytest

pytestmark = pytest.mark.edge("body")

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"12345"}
MORE = {"type": "http.response.body", "body": b"123", "more_body": True}
KEY = ("GET", "<unmatched>")


def sending(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def headers(*pairs):
    return {**START, "headers": pairs}


async def reading(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await sending(START, END)(scope, receive, send)


FAMILIES = {
    "first_byte": {"http_server_time_to_first_byte_seconds"},
    "body_sizes": {"http_server_request_body_size_bytes", "http_server_response_body_size_bytes"},
    "background": {"http_server_background_duration_seconds"},
}


def test_by_default_there_are_none_of_the_optional_families(measured, registry):
    measured(reading)
    assert {family.name for family in registry.collect()}.isdisjoint(set().union(*FAMILIES.values()))


@pytest.mark.parametrize("option", FAMILIES)
def test_an_option_brings_its_families_and_no_others(option, measured, registry):
    measured(reading, **{option: True})
    optional = set().union(*FAMILIES.values())
    assert {family.name for family in registry.collect()} & optional == FAMILIES[option]


async def test_by_default_nothing_stands_between_the_exchange_and_the_server(measured):
    """What is not asked for costs nothing: the exchange awaits the server's own ``receive``."""
    seen = []

    async def app(scope, receive, send):
        seen.append(receive.__self__._receive)

    async def receive():
        return {"type": "http.request"}

    await measured(app)({"type": "http", "method": "GET", "path": "/"}, receive, None)
    assert seen == [receive]


async def test_the_first_byte_is_that_of_the_body_and_not_the_head(ask, measured, totals):
    times = [perf_counter()]

    async def app(scope, receive, send):
        times.append(perf_counter())
        await send(START)
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await anyio.sleep(0.05)
        times.append(perf_counter())
        await send(MORE)
        times.append(perf_counter())
        await anyio.sleep(0.05)
        await send(END)

    await ask(measured(app, first_byte=True))
    asked, begun, before, after = times
    first_byte = totals("first byte")[KEY]
    assert before - begun <= first_byte <= after - asked
    assert totals("seconds")[(*KEY, "200")] >= first_byte + 0.05


async def test_a_response_without_a_body_has_no_first_byte(ask, measured, totals):
    await ask(measured(sending(START, {"type": "http.response.body"}), first_byte=True))
    assert totals("first bytes") == {}


async def test_a_body_that_could_not_be_sent_has_no_first_byte(ask, measured, totals):
    def gone(message):
        raise BrokenPipeError

    await ask(measured(sending(START, END), first_byte=True), send=gone)
    assert totals("first bytes") == {}


REQUESTS = {
    "as received": (reading, [], [b"ab", b"cde"], 5),
    "as received, whatever was announced": (reading, [(b"content-length", b"99")], [b"abc"], 3),
    "nothing, of an empty body": (reading, [], [b""], 0),
    "as announced, if never read": (sending(START, END), [(b"content-length", b"42")], [b"x"], 42),
    "as announced between blanks": (sending(START, END), [(b"content-length", b" 42\t")], [b"x"], 42),
    "as announced in a list": (sending(START, END), [[b"Content-Length", b"42"]], [b"x"], 42),
    "nothing, if not announced either": (sending(START, END), [(b"host", b"x")], [b"x"], 0),
    "nothing, of a length that is no number": (sending(START, END), [(b"content-length", b"-4")], [], 0),
    "nothing, of a length in other digits": (sending(START, END), [(b"content-length", "٤٢".encode())], [], 0),
    "nothing, of a length beyond belief": (sending(START, END), [(b"content-length", b"9" * 5000)], [], 0),
}


@pytest.mark.parametrize("case", REQUESTS)
async def test_the_size_of_a_request_is(case, ask, measured, totals):
    app, pairs, chunks, size = REQUESTS[case]
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if events:
        events[-1]["more_body"] = False
    await ask(measured(app, body_sizes=True), headers=pairs, events=events)
    assert (totals("received"), totals("internal")) == ({KEY: size}, {})


async def test_every_key_of_a_message_is_optional(ask, measured, totals):
    app = sending({"type": "http.response.start"}, {"type": "http.response.body"})
    asked = await ask(measured(app, body_sizes=True), events=[{"type": "http.request"}])
    assert (asked.error, totals("sent")) == (None, {KEY: 0})


LENGTH = (b"content-length", b"7")
RESPONSES = {
    "the sum of its parts": ("GET", [START, MORE, MORE, END], 11),
    "what was sent, whatever was announced": ("GET", [headers(LENGTH), END], 5),
    "the count of zerocopysend": ("GET", [START, {"type": "http.response.zerocopysend", "file": 3, "count": 9}], 9),
    "the length announced, of zerocopysend without a count": (
        "GET",
        [headers(LENGTH), {"type": "http.response.zerocopysend", "file": 3}],
        7,
    ),
    "the length announced, of pathsend": ("GET", [headers(LENGTH), {"type": "http.response.pathsend", "path": "x"}], 7),
    "the length announced in a list": (
        "GET",
        [headers(list(LENGTH)), {"type": "http.response.pathsend", "path": "x"}],
        7,
    ),
    "nothing, for HEAD": ("HEAD", [headers(LENGTH), END], 0),
    "nothing, for a 204": ("GET", [{**START, "status": 204}, END], 0),
    "nothing, for a 304": ("GET", [{**headers(LENGTH), "status": 304}, END], 0),
    "nothing, where nothing was sent": ("GET", [], 0),
}


@pytest.mark.parametrize("case", RESPONSES)
async def test_the_size_of_a_response_is(case, ask, measured, totals):
    method, messages, size = RESPONSES[case]
    await ask(measured(sending(*messages), body_sizes=True), method=method)
    assert (totals("sent"), totals("internal")) == ({(method, "<unmatched>"): size}, {})


async def test_sizes_have_buckets_of_bytes(ask, measured, registry):
    await ask(measured(sending(START, END), body_sizes=True))
    family = next(f for f in registry.collect() if f.name == "http_server_response_body_size_bytes")
    bounds = [float(s.labels["le"]) for s in family.samples if s.name.endswith("_bucket")]
    assert bounds == [*(256 * 4**power for power in range(10)), float("inf")]


async def test_an_odd_body_is_counted_as_a_fault_and_passes(ask, measured, totals):
    asked = await ask(measured(sending(START, {"type": "http.response.body", "body": 5}), body_sizes=True))
    assert (asked.error, asked.sent[1]["body"], totals("internal")) == (None, 5, {"middleware.body": 1})


async def test_an_odd_request_is_counted_as_a_fault_and_passes(ask, measured, totals):
    asked = await ask(measured(reading, body_sizes=True), events=[{"type": "http.request", "body": 5}])
    assert (asked.error, totals("internal")) == (None, {"middleware.body": 1})


async def test_messages_pass_the_probe_unchanged(ask, measured):
    messages = [START, MORE, END]
    asked = await ask(measured(sending(*messages), body_sizes=True, first_byte=True))
    assert all(sent is message for sent, message in zip(asked.sent, messages, strict=True))


async def test_background_is_the_time_after_the_response(ask, measured, totals):
    times = []

    async def app(scope, receive, send):
        scope["asyncmetrics.route"] = "/known"
        await anyio.sleep(0.05)
        times.append(perf_counter())
        await sending(START, END)(scope, receive, send)
        await anyio.sleep(0.05)

    await ask(measured(app, background=True))
    assert 0.05 <= totals("background")["/known"] <= perf_counter() - times[0]


async def test_background_that_fails_is_measured_as_well(ask, measured, totals):
    async def app(scope, receive, send):
        await sending(START, END)(scope, receive, send)
        await anyio.sleep(0.05)
        raise ValueError

    await ask(measured(app, background=True))
    assert totals("background")["<unmatched>"] >= 0.05


async def test_a_response_that_never_ended_has_no_background(ask, measured, totals):
    await ask(measured(sending(START), background=True))
    assert totals("background") == {}
