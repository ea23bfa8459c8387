"""``instrument(app, live=True)``: the page beside the metrics, in every framework, and nothing without the option."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import asyncmetrics
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.live.page import load_page

pytestmark = pytest.mark.edge("position")

PAGE = load_page()
LIVE = ["/metrics/live", "/metrics/live/"]


async def own(*_, **__):
    return PlainTextResponse("own")


@pytest.fixture
def app(bare, registry):
    return asyncmetrics.instrument(bare, registry=registry, live=True)


@pytest.mark.parametrize("path", LIVE)
async def test_the_page_is_below_the_path_of_the_metrics(app, ask, path):
    response = await ask(app, path)
    assert (response.status_code, response.content) == (200, PAGE.body)
    assert response.headers["content-security-policy"]


async def test_the_page_is_not_measured(app, ask, counted):
    await ask(app, "/metrics/live")
    await ask(app, "/metrics/live", "POST")
    assert counted() == {}


async def test_the_metrics_stay_where_they_were(app, ask):
    await ask(app, "/items/1")
    assert "http_server_request_duration_seconds_count" in (await ask(app, "/metrics")).text


@pytest.mark.parametrize("path", ["/metrics/of/1", "/items/live"])
async def test_routes_beside_it_are_the_applications(app, ask, path):
    response = await ask(app, path)
    assert response.status_code == 200
    assert response.content != PAGE.body


@pytest.mark.parametrize("options", [{}, {"live": False}])
async def test_without_the_option_the_path_is_the_applications(bare, registry, ask, counted, options):
    asyncmetrics.instrument(bare, registry=registry, **options)
    assert (await ask(bare, "/metrics/live")).status_code == 404
    assert len(counted()) == 1


@pytest.mark.parametrize("path", ["/api/metrics/live", "/metrics/live"])
async def test_a_root_path_may_be_in_the_path_or_not(app, ask, path):
    assert (await ask(app, path, root_path="/api")).content == PAGE.body


async def test_basic_credentials_guard_the_page(bare, registry, ask):
    asyncmetrics.instrument(bare, registry=registry, live=True, auth=("user", "password"))
    refused = await ask(bare, "/metrics/live")
    assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
    assert (await ask(bare, "/metrics/live", auth=("user", "password"))).content == PAGE.body


async def test_beside_a_token_the_page_is_open_and_the_metrics_are_not(bare, registry, ask):
    asyncmetrics.instrument(bare, registry=registry, live=True, auth="s3cret")
    assert (await ask(bare, "/metrics/live")).content == PAGE.body
    assert (await ask(bare, "/metrics")).status_code == 401


async def test_uninstrument_takes_the_page_away(app, ask):
    asyncmetrics.uninstrument(app)
    assert (await ask(app, "/metrics/live")).status_code == 404


async def test_a_second_call_says_that_the_option_is_ignored(bare, registry, ask, caplog):
    asyncmetrics.instrument(bare, registry=registry)
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        asyncmetrics.instrument(bare, live=True)
    assert [message.rpartition("ignored: ")[2] for message in _list_messages(caplog)] == ["live."]
    assert (await ask(bare, "/metrics/live")).status_code == 404


async def test_the_page_is_in_no_openapi_schema(registry, ask):
    from fastapi import FastAPI

    app = asyncmetrics.instrument(FastAPI(), registry=registry, live=True)
    assert "live" not in (await ask(app, "/openapi.json")).text


async def test_an_application_that_is_mounted_has_its_page_below_the_mount(registry, ask):
    inner = asyncmetrics.instrument(Starlette(), registry=registry, live=True)
    assert (await ask(Starlette(routes=[Mount("/shop", inner)]), "/shop/metrics/live")).content == PAGE.body


async def test_the_metrics_may_have_any_path(registry, ask):
    app = asyncmetrics.instrument(Starlette(), registry=registry, live=True, path="/internal/numbers/")
    assert (await ask(app, "/internal/numbers/live")).content == PAGE.body
    assert (await ask(app, "/metrics/live")).status_code == 404


def _list_messages(caplog):
    """Return the messages of the library: httpx logs each request, if a test has left the root logger verbose."""
    return [record.message for record in caplog.records if record.name == "asyncmetrics"]


async def test_a_route_of_the_application_at_the_path_of_the_page_is_named_in_a_warning(registry, ask, caplog):
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        app = Starlette(routes=[Route("/metrics/live", own)])
        asyncmetrics.instrument(app, registry=registry, live=True)
        assert (await ask(app, "/metrics/live")).content == PAGE.body
    (warning,) = _list_messages(caplog)
    assert "a route /metrics/live of its own" in warning
    assert "live=False" in warning


async def test_without_the_option_such_a_route_is_served_and_warned_of_by_nothing(registry, ask, caplog):
    app = asyncmetrics.instrument(Starlette(routes=[Route("/metrics/live", own)]), registry=registry)
    assert (await ask(app, "/metrics/live")).text == "own"
    assert _list_messages(caplog) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"live": "yes"}, "live: expected True or False"),
        ({"live": True, "path": None}, "live: expected a path of the metrics"),
        ({"live": True, "path": "/live"}, "live: expected a path of the metrics that does not end in '/live'"),
        ({"live": True, "path": "/a/live/"}, "live: expected a path of the metrics that does not end in '/live'"),
    ],
)
async def test_an_option_that_cannot_be_is_refused_and_changes_nothing(registry, ask, options, problem):
    app = Starlette(routes=[Route("/items", own)])
    with pytest.raises(DefinitionError, match=f"^{problem}"):
        asyncmetrics.instrument(app, registry=registry, **options)
    assert (await ask(app, "/items")).text == "own"
    assert list(registry.collect()) == []
