"""What holds for every framework: outermost, once only, the exposition beside the routes, clear errors."""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import ExitStack
from types import ModuleType

import pytest

import asyncmetrics
from asyncmetrics.errors import DefinitionError, MissingExtraError

pytestmark = pytest.mark.edge("position")


def starlette(stack):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def item(request):
        return PlainTextResponse("item")

    async def raising(request):
        raise RuntimeError

    routes = [Route("/items/{item}", item), Route("/metrics/of/{item}", item), Route("/raising", raising)]
    return Starlette(routes=routes)


def fastapi(stack):
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items/{item}")
    @app.get("/metrics/of/{item}")
    async def route(item: str) -> str:
        return item

    @app.get("/raising")
    async def raising():
        raise RuntimeError

    return app


def litestar(stack):
    from litestar import Litestar, Request, get

    @get(["/items/{item:str}", "/metrics/of/{item:str}"])
    async def route(request: Request) -> str:
        return "item"

    @get("/raising")
    async def raising() -> str:
        raise RuntimeError

    return Litestar([route, raising], logging_config=None)


def quart(stack):
    from quart import Quart

    async def raising():
        raise RuntimeError

    app = Quart("shop")
    app.add_url_rule("/items/<item>", "item", lambda item: item)
    app.add_url_rule("/metrics/of/<item>", "item")
    app.add_url_rule("/raising", view_func=raising)
    return app


def django(stack):
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    async def item(request, item):
        return HttpResponse(item)

    async def raising(request):
        raise RuntimeError

    urls = ModuleType("urls")
    urls.urlpatterns = [path("items/<item>", item), path("metrics/of/<item>", item), path("raising", raising)]
    middleware = ["asyncmetrics.integrations.django.RouteMiddleware"]
    stack.enter_context(override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware))
    return get_asgi_application()


# How each framework spells the template of /items/1, who builds an application of it, and what it imports.
ITEMS = {
    "starlette": "/items/{item}",
    "fastapi": "/items/{item}",
    "litestar": "/items/{item}",
    "quart": "/items/<item>",
    "django": "/items/<item>",
}
BUILDERS = {builder.__name__: builder for builder in (starlette, fastapi, litestar, quart, django)}


@pytest.fixture(params=BUILDERS)
def framework(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def bare(framework):
    """An application of the framework, not instrumented yet."""
    with ExitStack() as stack:
        yield BUILDERS[framework](stack)


@pytest.fixture
def app(bare, registry):
    return asyncmetrics.instrument(bare, registry=registry)


def test_the_application_itself_is_returned(bare, registry):
    assert asyncmetrics.instrument(bare, registry=registry) is bare


async def test_a_request_is_counted_by_its_route(framework, app, seen):
    assert await seen(app, "/items/1") == (ITEMS[framework], "200")


async def test_ten_times_as_many_paths_make_no_more_series(app, ask, counted):
    for number in range(30):
        await ask(app, f"/items/{number}")
        await ask(app, f"/nowhere/{number}")
    assert sorted(counted().values()) == [30, 30]


async def test_an_exception_is_a_500_of_its_route(app, seen):
    assert await seen(app, "/raising") == ("/raising", "500")


async def test_an_exception_is_counted_once_whoever_answers_for_it(app, ask, samples):
    await ask(app, "/raising")
    exceptions = samples("http_server_exceptions_total", "route", "type")
    assert exceptions == {("/raising", "RuntimeError"): 1}


async def test_an_answer_that_says_no_is_no_exception(app, ask, samples):
    await ask(app, "/nowhere")
    await ask(app, "/items/1", "DELETE")
    assert samples("http_server_exceptions_total", "route", "type") == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"buckets": ["wide"]},
        {"buckets": []},
        {"exclude": "/health"},
        {"exclude": [7]},
        {"conventions": "mine"},
        {"extra_labels": {"a-b": "c"}},
        {"context_labels": ["__name__"]},
        {"path": "metrics"},
        {"auth": ""},
    ],
    ids=str,
)
async def test_an_option_that_cannot_be_is_refused_at_once_and_changes_nothing(bare, registry, ask, wrong):
    with pytest.raises(DefinitionError):
        asyncmetrics.instrument(bare, registry=registry, **wrong)
    assert (await ask(bare, "/items/1")).status_code == 200
    assert (await ask(bare, "/metrics")).status_code == 404


def test_what_is_refused_leaves_nothing_on_the_registry(bare, registry):
    """Metrics with buckets that were given up would refuse the next."""
    with pytest.raises(DefinitionError):
        asyncmetrics.instrument(bare, registry=registry, buckets=[1], auth="")
    asyncmetrics.instrument(bare, registry=registry, buckets=[2])


async def test_options_may_be_iterators(bare, registry, ask, counted):
    app = asyncmetrics.instrument(bare, registry=registry, exclude=iter(["/items/2"]), buckets=iter([1, 2]))
    for path in ("/items/1", "/items/2", "/items/2"):
        await ask(app, path)
    assert sum(counted().values()) == 1


async def test_instrumenting_twice_counts_once(app, registry, ask, counted):
    asyncmetrics.instrument(app, registry=registry)
    await ask(app, "/items/1")
    assert sum(counted().values()) == 1


async def test_instrumenting_again_with_other_options_changes_nothing(app, ask, samples):
    other = asyncmetrics.CollectorRegistry()
    asyncmetrics.instrument(app, registry=other, buckets=[1, 2], path="/elsewhere")
    await ask(app, "/items/1")
    assert list(other.collect()) == []
    assert (await ask(app, "/elsewhere")).status_code == 404
    assert ("1.0",) in samples("http_server_request_duration_seconds_bucket", "le")


async def test_instrumenting_an_application_that_has_served_is_counted(framework, bare, registry, ask, seen):
    assert (await ask(bare, "/items/1")).status_code == 200
    assert await seen(asyncmetrics.instrument(bare, registry=registry), "/items/1") == (ITEMS[framework], "200")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
async def test_the_exposition_answers_with_and_without_a_slash_and_is_not_counted(path, app, ask, counted):
    answer = await ask(app, path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert "# TYPE http_server_request_duration_seconds histogram" in answer.text
    assert counted() == {}


async def test_the_exposition_answers_below_the_root_path_of_a_proxy(app, ask, counted):
    assert "http_server" in (await ask(app, "/proxied/metrics", root_path="/proxied")).text
    assert counted() == {}


async def test_a_root_path_that_the_expositions_only_begins_with_is_not_its(app, ask):
    """Taken off as text, ``/met`` would leave ``rics``."""
    assert "http_server" in (await ask(app, "/metrics", root_path="/met")).text


async def test_routes_below_the_exposition_are_the_applications(app, ask):
    assert (await ask(app, "/metrics/of/1")).status_code == 200
    assert "http_server" not in (await ask(app, "/metrics/of/1")).text


async def test_the_exposition_can_be_elsewhere_or_nowhere(framework, bare, registry, seen, ask):
    app = asyncmetrics.instrument(bare, registry=registry, path="/internal/metrics")
    assert "http_server" in (await ask(app, "/internal/metrics")).text
    assert await seen(app, "/metrics") == ("<unmatched>", "404")


async def test_no_exposition_is_served_where_none_is_wanted(bare, registry, seen):
    assert await seen(asyncmetrics.instrument(bare, registry=registry, path=None), "/metrics") == ("<unmatched>", "404")


@pytest.mark.parametrize("path", ["metrics", "", "/", "//"])
async def test_a_path_that_is_none_is_refused_and_changes_nothing(path, bare, registry, ask, counted):
    with pytest.raises(DefinitionError, match="path"):
        asyncmetrics.instrument(bare, registry=registry, path=path)
    await ask(bare, "/items/1")
    assert counted() == {}


async def test_what_is_excluded_is_not_counted(bare, registry, ask, counted):
    app = asyncmetrics.instrument(bare, registry=registry, exclude=["/items/1"])
    await ask(app, "/items/1")
    assert counted() == {}


async def test_a_route_callable_wins(bare, registry, seen):
    app = asyncmetrics.instrument(bare, registry=registry, route=lambda scope: "/mine")
    assert await seen(app, "/items/1") == ("/mine", "200")


async def test_a_route_callable_that_raises_is_counted_and_harms_no_response(bare, registry, seen, samples):
    app = asyncmetrics.instrument(bare, registry=registry, route=lambda scope: 1 / 0)
    assert await seen(app, "/items/1") == ("<unmatched>", "200")
    assert samples("asyncmetrics_internal_errors_total", "where")["middleware.route",] >= 1


async def test_two_applications_of_one_registry_share_their_metrics(framework, registry, ask, counted):
    with ExitStack() as stack:
        for _ in range(2):
            await ask(asyncmetrics.instrument(BUILDERS[framework](stack), registry=registry), "/items/1")
    assert counted() == {("GET", ITEMS[framework], "200"): 2}


@pytest.mark.parametrize("stranger", [object(), lambda: None, "app"])
def test_an_application_of_no_known_framework_is_refused_with_what_to_do(stranger):
    with pytest.raises(DefinitionError, match=r"MetricsMiddleware\(app\)"):
        asyncmetrics.instrument(stranger)


@pytest.mark.parametrize("name", BUILDERS)
def test_without_its_framework_an_integration_names_the_extra(name):
    code = f"""
import sys
sys.modules[{name!r}] = None
import asyncmetrics
try:
    import asyncmetrics.integrations.{name}
except asyncmetrics.errors.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert f"asyncmetrics-prometheus[{name}]" in done.stdout, done.stderr


def test_a_missing_framework_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "quart", None)
    monkeypatch.delitem(sys.modules, "asyncmetrics.integrations.quart", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module("asyncmetrics.integrations.quart")
    assert isinstance(caught.value, ImportError)
