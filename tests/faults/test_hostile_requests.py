"""Whatever a client sends: an exposition or a 4xx, a valid Content-Type, no exception, and no series of its making."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, make_asgi_app
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from tests.thoroughness import examples

TYPES = {
    "text/plain; version=0.0.4; charset=utf-8",
    "text/plain; version=1.0.0; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "text/plain; charset=utf-8",
}

# Bytes that mean something in a header, in any order, and any others.
words = st.sampled_from(
    [
        b"text/plain",
        b"application/openmetrics-text",
        b"*/*",
        b"gzip",
        b"identity",
        b"version=",
        b"1.0.0",
        b"0.0.4",
        b"q=",
    ]
    + [
        b"escaping=",
        b"allow-utf-8",
        b"dots",
        b"underscores",
        b"charset=utf-8",
        b"0",
        b"1",
        b"0.5",
        b"nan",
        b"-1",
        b"1e9",
    ]
    + [b";", b",", b'"', b"\\", b"=", b" ", b"\t", b"\x00", b"\xff", b"\r\n", b"(", b"Bearer ", b"Basic ", b"Og=="]
)
values = st.one_of(st.lists(words, max_size=30).map(b"".join), st.binary(max_size=300))
names = st.sampled_from(
    [b"accept", b"Accept", b"ACCEPT-ENCODING", b"accept-encoding", b"authorization", b"host", b"content-length"]
    + [b"x-prometheus-scrape-timeout-seconds", b"range", b"if-none-match", b"transfer-encoding", b""]
)
headers = st.lists(st.one_of(st.tuples(names, values), st.tuples(names, values).map(list)), max_size=6)
queries = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"name[]=", b"jobs_total", b"&", b"%", b"%ff", b"%00", b"=", b"name[", b"+"]), max_size=60
    ).map(b"".join),
)
methods = st.one_of(st.sampled_from(["GET", "HEAD", "POST", "get", "OPTIONS", "TRACE", ""]), st.text(max_size=20))

registry = CollectorRegistry()
Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("a").inc()
APPS = {"open": make_asgi_app(registry), "closed": make_asgi_app(registry, auth=("user", "p\xe4ss:word"))}


def _ask(app, scrape, **request):
    return anyio.run(lambda: scrape(app, **request))


async def _raw(app, method, path, query, headers):
    messages = []

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}
    await app(scope, anyio.sleep_forever, send)
    return messages


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@settings(max_examples=examples(300))
@example("GET", "/metrics", b"", [(b"accept", b"text/plain;version=\xff"), (b"accept-encoding", b"gzip;q=\xff")])
@example("GET", "/metrics", b"name[]=" + b"\xff" * 10, [(b"authorization", b"Basic \xff")])
@example("GET", "/\udcff", b"", [])
@given(methods, st.text(max_size=50), queries, headers)
def test_any_request_gets_an_answer(app, method, path, query, headers):
    start, *rest = anyio.run(_raw, app, method, path, query, headers)
    assert start["status"] in {200, 400, 401, 404, 405}
    told = dict(start["headers"])
    assert told[b"content-type"].decode() in TYPES or b"escaping=" in told[b"content-type"]
    assert rest[-1]["more_body"] is False


@settings(max_examples=examples(200))
@given(headers, queries)
def test_what_is_served_is_what_it_says_it_is(headers, query):
    """The body is of the format that the Content-Type claims, whatever was asked for."""
    headers = [pair for pair in headers if bytes(pair[0]).lower() != b"accept-encoding"]
    start, *rest = anyio.run(_raw, APPS["open"], "GET", "/metrics", query, headers)
    if start["status"] == 200:
        body = b"".join(message["body"] for message in rest).decode()
        told = dict(start["headers"])[b"content-type"]
        parse = parse_openmetrics if told.startswith(b"application/openmetrics") else parse_prometheus
        list(parse(body))


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_requests_mint_no_series(app, scrape):
    """After 500 different ones there are as many series as after the first."""
    counts = set()
    for number in range(500):
        query = f"name[]=made_up_{number}".encode()
        anyio.run(_raw, app, f"M{number}", f"/{number}", query, [(b"accept", b"a/%d" % number)])
        anyio.run(_raw, app, "GET", f"/{number}", query, [(b"authorization", b"Bearer %d" % number)])
        if number:
            counts.add(sum(len(family.samples) for family in registry.collect()))
    assert len(counts) == 1
