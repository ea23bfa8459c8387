"""Django's routes under ASGI, and what its own handlers of errors make of them."""

from __future__ import annotations

import asyncio
from types import ModuleType

import pytest

import asyncmetrics

pytest.importorskip("django")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.exceptions import PermissionDenied  # noqa: E402
from django.http import Http404, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import include, path, re_path  # noqa: E402
from django.views import View  # noqa: E402
from django.views.decorators.http import require_GET  # noqa: E402

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("django")]

ROUTES = "asyncmetrics.integrations.django.RouteMiddleware"


async def ok(request, **_):
    return HttpResponse("ok")


def sync(request, **_):
    return HttpResponse("sync")


async def raising(request):
    raise RuntimeError


async def missing(request, **_):
    raise Http404


async def forbidden(request):
    raise PermissionDenied


async def streamed(request):
    async def parts():
        for part in (b"a", b"b", b"c"):
            yield part
            await asyncio.sleep(0)

    return StreamingHttpResponse(parts())


class Shown(View):
    async def get(self, request, x):
        return HttpResponse(x)


def urls(*patterns):
    module = ModuleType("urls")
    module.urlpatterns = list(patterns)
    return module


items = ([path("<int:item>/", ok), path("by/<path:rest>", ok), path("", ok)], "items")
URLS = urls(
    path("", ok),
    path("sync/<slug:name>/", sync),
    path("ids/<uuid:id>", ok),
    path("shown/<str:x>", Shown.as_view()),
    path("read", require_GET(sync)),
    path("raising", raising),
    path("missing/<int:x>", missing),
    path("forbidden", forbidden),
    path("streamed", streamed),
    path("items/", include(items)),
    path("v2/<str:tenant>/", include([path("items/", include(items, namespace="v2"))])),
    re_path(r"^years/(?P<year>[0-9]{4})/$", ok),
)
# What is asked for, and the route and the status that are counted for it.
EXPECTED = {
    "the root": ("/", "/", "200"),
    "a view that is no coroutine": ("/sync/a-b/", "/sync/{name}/", "200"),
    "a uuid": ("/ids/12345678-1234-5678-1234-567812345678", "/ids/{id}", "200"),
    "a class of methods": ("/shown/1", "/shown/{x}", "200"),
    "a path without parameters": ("/read", "/read", "200"),
    "an exception": ("/raising", "/raising", "500"),
    "an exception that is a 404": ("/missing/1", "/missing/{x}", "404"),
    "an exception that is a 403": ("/forbidden", "/forbidden", "403"),
    "a stream": ("/streamed", "/streamed", "200"),
    "the root of what is included": ("/items/", "/items/", "200"),
    "parameters of a type": ("/items/7/", "/items/{item}/", "200"),
    "the rest of a path": ("/items/by/a/b/c", "/items/by/{rest}", "200"),
    "an include in an include": ("/v2/acme/items/7/", "/v2/{tenant}/items/{item}/", "200"),
    "a regular expression": ("/years/2015/", "/years/{year}/", "200"),
    "nothing but for a slash": ("/items/7", "<unmatched>", "404"),
    "nothing that is routed": ("/nowhere", "<unmatched>", "404"),
    "parameters of another type": ("/ids/x", "<unmatched>", "404"),
}


@pytest.fixture(autouse=True)
def _urls():
    with override_settings(ROOT_URLCONF=URLS):
        yield


@pytest.fixture
def build(registry):
    """Make an instrumented application with some middleware in its settings."""

    def building(*middleware, **options):
        with override_settings(MIDDLEWARE=middleware):
            return asyncmetrics.instrument(get_asgi_application(), registry=registry, **options)

    return building


@pytest.fixture
def app(build):
    return build(ROUTES)


@pytest.mark.parametrize("around", ["", "/proxied"])
@pytest.mark.parametrize("case", EXPECTED)
async def test_the_route_that_is_counted_for(case, around, app, seen, asserted):
    """The same for the bare application and behind a proxy, whose root path is not part of it."""
    path, route, status = EXPECTED[case]
    asserted(f"GET {path} is {route}, {status}")
    assert await seen(app, f"{around}{path}", root_path=around) == (route, status)


REFUSING = {"a class of methods": ("/shown/1", "/shown/{x}"), "a decorator": ("/read", "/read")}


@pytest.mark.parametrize("case", REFUSING)
async def test_a_405_has_the_template(case, app, seen):
    """In Django it is the view that refuses a method."""
    path, route = REFUSING[case]
    assert await seen(app, path, "DELETE") == (route, "405")


async def test_without_the_middleware_every_route_is_unmatched(build, seen):
    assert await seen(build(), "/items/7/") == ("<unmatched>", "200")


SECURITY = "django.middleware.security.SecurityMiddleware"
MIDDLEWARE = "django.middleware.common.CommonMiddleware"


@pytest.mark.parametrize("middleware", [(ROUTES, MIDDLEWARE), (MIDDLEWARE, ROUTES)])
async def test_djangos_own_middleware_may_be_on_both_sides(middleware, build, seen):
    app = build(*middleware)
    assert await seen(app, "/items/7/") == ("/items/{item}/", "200")
    assert await seen(app, "/items/7") == ("<unmatched>", "301")


def sync_middleware(get_response):
    return get_response


def answering(get_response):
    """Answer before any view runs, after the route was resolved."""

    class Answering:
        async_capable = True

        async def __call__(self, request):
            return await get_response(request)

        async def process_view(self, request, *_):
            return HttpResponse("early", status=202)

    from asgiref.sync import markcoroutinefunction

    middleware = Answering()
    markcoroutinefunction(middleware)
    return middleware


answering.async_capable = True


@pytest.mark.parametrize("place", [(f"{__name__}.sync_middleware", ROUTES), (ROUTES, f"{__name__}.sync_middleware")])
async def test_a_sync_middleware_may_be_on_both_sides(place, build, seen):
    assert await seen(build(*place), "/sync/x/") == ("/sync/{name}/", "200")


@pytest.mark.parametrize("place", [(f"{__name__}.answering", ROUTES), (ROUTES, f"{__name__}.answering")])
async def test_a_middleware_that_answers_instead_of_the_view_does_not_hide_the_route(place, build, seen):
    assert await seen(build(*place), "/sync/x/") == ("/sync/{name}/", "202")


@pytest.mark.parametrize("place", [(SECURITY, ROUTES), (ROUTES, SECURITY)])
async def test_a_middleware_that_answers_in_front_of_the_resolver_leaves_no_route(place, build, seen):
    with override_settings(SECURE_SSL_REDIRECT=True):
        app = build(*place)
    assert await seen(app, "/items/7/") == ("<unmatched>", "301")


async def test_a_request_under_way_has_its_route(build, ask, samples):
    found = []

    async def slow(request, x):
        found.append(samples("http_server_active_requests", "method", "route"))
        return HttpResponse("slow")

    with override_settings(ROOT_URLCONF=urls(path("slow/<int:x>", slow))):
        await ask(build(ROUTES), "/slow/1")
    assert found == [{("GET", "/slow/{x}"): 1}]


async def test_the_handler_of_static_files_is_measured_as_a_whole(build, registry, seen):
    """It calls one handler for its own files and another for the rest; both are inside."""
    with override_settings(MIDDLEWARE=[ROUTES]):
        app = asyncmetrics.instrument(ASGIStaticFilesHandler(get_asgi_application()), registry=registry)
    assert await seen(app, "/items/7/") == ("/items/{item}/", "200")
    assert await seen(app, "/static/missing.css") == ("<unmatched>", "404")


async def test_all_is_counted_under_a_middleware_that_copies_the_scope(registry, seen, samples):
    with override_settings(MIDDLEWARE=[ROUTES]):
        inner = get_asgi_application()
    asyncmetrics.instrument(inner, registry=asyncmetrics.CollectorRegistry())  # for the exceptions

    async def copying(scope, receive, send):
        await inner(dict(scope), receive, send)

    app = asyncmetrics.MetricsMiddleware(copying, registry=registry)
    assert await seen(app, "/items/7/") == ("/items/{item}/", "200")
    assert await seen(app, "/raising") == ("/raising", "500")
    assert samples("http_server_exceptions_total", "route", "type") == {("/raising", "RuntimeError"): 1}


async def test_an_instrumented_handler_is_still_of_its_kind(app):
    from django.core.handlers.asgi import ASGIHandler

    assert isinstance(app, ASGIHandler)
    assert (type(app).__name__, type(app).__module__) == ("ASGIHandler", ASGIHandler.__module__)


async def test_one_instrumented_handler_leaves_the_others_as_they_are(build, registry, ask, counted):
    build(ROUTES)
    with override_settings(MIDDLEWARE=[]):
        await ask(get_asgi_application(), "/items/7/")
    assert counted() == {}


def test_a_request_of_wsgi_passes(registry):
    from django.test import Client

    with override_settings(MIDDLEWARE=[ROUTES]):
        assert Client().get("/sync/x/").content == b"sync"
