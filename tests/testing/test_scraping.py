"""`scrape`: the metrics of any ASGI application, without a server, on either event loop."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from quart import Quart
from starlette.applications import Starlette

from asyncmetrics import Counter, instrument, make_asgi_app
from asyncmetrics.errors import DefinitionError, ParseError, ScrapeError
from asyncmetrics.testing import ScrapedMetrics, scrape


@pytest.fixture(autouse=True)
def orders(registry):
    counter = Counter("orders_total", "Orders.", ["kind"], registry=registry)
    counter.labels("retail").inc(3)
    return counter


@pytest.mark.parametrize("make", [FastAPI, Starlette])
def test_an_instrumented_application_is_read(run, registry, make):
    app = instrument(make(), registry=registry)
    metrics = run(lambda: scrape(app))
    assert metrics.value("orders_total", kind="retail") == 3
    assert metrics.text.startswith("# HELP orders_total Orders.\n")
    assert metrics.content_type.startswith("text/plain; version=1.0.0")
    assert metrics.families[0].name == "orders"


@pytest.mark.parametrize("backend", ["asyncio"])
def test_an_application_of_quart_is_read(run, registry, backend):
    app = instrument(Quart(__name__), registry=registry)
    assert run(lambda: scrape(app)).value("orders_total", kind="retail") == 3


def test_a_sample_that_does_not_exist_has_no_value(run, registry):
    metrics = run(lambda: scrape(make_asgi_app(registry)))
    assert metrics.value("orders_total", kind="wholesale") is None
    assert metrics.value("orders_total") is None


def test_a_redirect_inside_the_application_is_followed(run, registry):
    app = FastAPI()
    app.mount("/metrics", make_asgi_app(registry))
    assert run(lambda: scrape(app)).value("orders_total", kind="retail") == 3


@pytest.mark.parametrize("target", ["https://other.example/metrics", "//other.example/metrics"])
def test_a_redirect_to_another_host_is_refused(run, target):
    with pytest.raises(ScrapeError, match="another host"):
        run(lambda: scrape(_answer(302, b"", (b"location", target.encode()))))


def test_a_circle_of_redirects_ends(run):
    with pytest.raises(ScrapeError, match="it redirects 5 times"):
        run(lambda: scrape(_answer(302, b"", (b"location", b"/metrics"))))


def test_names_choose_what_is_asked_for(run, registry):
    Counter("other_total", "Other.", registry=registry)
    app = make_asgi_app(registry)
    assert [family.name for family in run(lambda: scrape(app, names=["orders_total"])).families] == ["orders"]


def test_another_format_can_be_asked_for(run, registry):
    metrics = run(lambda: scrape(make_asgi_app(registry), accept="application/openmetrics-text"))
    assert metrics.text.endswith("# EOF\n")
    assert metrics.value("orders_total", kind="retail") == 3


def test_a_name_with_a_dot_comes_as_it_is(run, registry):
    Counter("shop.orders", "Orders.", ["shop.kind"], registry=registry).labels("retail").inc()
    metrics = run(lambda: scrape(make_asgi_app(registry)))
    assert metrics.value("shop.orders_total", **{"shop.kind": "retail"}) == 1


def test_headers_are_sent(run, registry):
    app = make_asgi_app(registry, auth="secret")
    with pytest.raises(ScrapeError, match="the answer is 401"):
        run(lambda: scrape(app))
    assert run(lambda: scrape(app, headers={"Authorization": "Bearer secret"})).value("orders_total", kind="retail")


def test_a_refusal_shows_its_first_line_without_control_characters(run):
    with pytest.raises(ScrapeError, match=r"cannot read /metrics: the answer is 500: \\x1b\[2Jbroken$"):
        run(lambda: scrape(_answer(500, b"\x1b[2Jbroken\nsecond")))


def test_an_answer_that_is_no_text_is_an_error(run):
    with pytest.raises(ScrapeError, match="not UTF-8"):
        run(lambda: scrape(_answer(200, b"\xff")))


def test_an_application_that_does_not_answer_is_an_error(run):
    async def silent(scope, receive, send):
        await receive()

    with pytest.raises(ScrapeError, match="the answer is none"):
        run(lambda: scrape(silent))


def test_what_the_application_raises_is_raised(run):
    async def broken(scope, receive, send):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        run(lambda: scrape(broken))


@pytest.mark.parametrize("app", [None, lambda environ, start_response: [b""]])
def test_what_is_no_application_is_refused(run, app):
    with pytest.raises(DefinitionError, match="expected an ASGI application"):
        run(lambda: scrape(app))


@pytest.mark.parametrize(
    "options",
    [{"path": "metrics"}, {"path": 7}, {"names": "orders"}, {"headers": {"a": "b\r\nc: d"}}, {"headers": {"a": 1}}],
)
def test_a_wrong_argument_is_refused(run, registry, options):
    with pytest.raises(DefinitionError, match=f"^{next(iter(options))}: expected "):
        run(lambda: scrape(make_asgi_app(registry), **options))


def test_a_text_that_breaks_the_rules_is_an_error_where_it_is_parsed():
    metrics = ScrapedMetrics("orders 1\nnonsense", "text/plain")
    with pytest.raises(ParseError, match="line 2"):
        metrics.value("orders")


def _answer(status, body, *headers):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app
