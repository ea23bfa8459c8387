"""Options of `instrument` and `MetricsMiddleware`: declared once, shown in every signature, unknown ones refused."""

from __future__ import annotations

import inspect
import logging
import pydoc
import typing

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from asyncmetrics import CollectorRegistry, Histogram, MetricsMiddleware
from asyncmetrics.integrations import InstrumentOptions, instrument
from asyncmetrics.integrations.libraries import FRAMEWORKS as FRAMEWORKS_BY_CLASS
from asyncmetrics.middleware import MiddlewareOptions

pytestmark = pytest.mark.edge("position")

MIDDLEWARE_DEFAULTS = {
    "registry": asyncmetrics.REGISTRY,
    "exclude": (),
    "route": None,
    "buckets": Histogram.DEFAULT_BUCKETS,
    "native": False,
    "first_byte": False,
    "body_sizes": False,
    "background": False,
    "on_loop": False,
    "extra_labels": None,
    "context_labels": (),
    "client_totals": False,
    "namespace": "",
    "stream_after": 10.0,
    "worker_label": False,
    "exemplars": None,
    "conventions": "prometheus",
}
INSTRUMENT_DEFAULTS = {
    "path": "/metrics",
    "auth": None,
    "max_concurrent": 8,
    "live": False,
    "runtime": False,
    "push": None,
} | MIDDLEWARE_DEFAULTS
FRAMEWORKS = ["starlette", "fastapi", "litestar", "quart", "django"]


async def app(scope, receive, send):
    """An application of no framework."""


def keywords(function) -> dict[str, object]:
    parameters = inspect.signature(function).parameters.values()
    assert [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY] == ["app"]
    return {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}


def framework(name):
    return pytest.importorskip(f"asyncmetrics.integrations.{name}", exc_type=ImportError).instrument


def test_the_signatures_show_every_option_with_its_default():
    assert keywords(MetricsMiddleware) == MIDDLEWARE_DEFAULTS
    assert keywords(instrument) == INSTRUMENT_DEFAULTS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_framework_has_the_signature_of_instrument(name):
    assert keywords(framework(name)) == INSTRUMENT_DEFAULTS


def test_every_declared_option_is_in_the_signature_with_its_type():
    for declared, function in ((MiddlewareOptions, MetricsMiddleware), (InstrumentOptions, instrument)):
        parameters = inspect.signature(function).parameters
        assert set(declared.__annotations__) == set(keywords(function))
        assert all(parameters[name].annotation == ref.__forward_arg__ for name, ref in declared.__annotations__.items())


def test_help_shows_the_options():
    assert "first_byte: 'bool' = False" in pydoc.render_doc(MetricsMiddleware)
    assert "path: 'str | None' = '/metrics'" in pydoc.render_doc(instrument)


def test_an_instance_has_the_signature_of_an_application():
    assert list(inspect.signature(MetricsMiddleware(app, registry=CollectorRegistry())).parameters) == [
        "scope",
        "receive",
        "send",
    ]


@pytest.mark.parametrize("holder", [MiddlewareOptions, InstrumentOptions, instrument, MetricsMiddleware.__init__])
def test_type_hints_are_readable_at_run_time(holder):
    assert typing.get_type_hints(holder)


def test_an_unknown_option_of_the_middleware_is_a_type_error_that_names_the_nearest():
    with pytest.raises(TypeError, match=r"^MetricsMiddleware\(\) .* 'bukets'; did you mean 'buckets'\? .*registry, "):
        MetricsMiddleware(app, registry=CollectorRegistry(), bukets=[1])
    with pytest.raises(TypeError, match=r"'secret'\. Its options are registry, "):
        MetricsMiddleware(app, registry=CollectorRegistry(), secret="/metrics")


async def test_an_unknown_option_of_instrument_is_a_type_error_that_changes_nothing(bare, registry, ask):
    with pytest.raises(
        TypeError,
        match=r"^instrument\(\) .* 'paths'; did you mean 'path'\? .*max_concurrent, live, runtime, push, registry",
    ):
        asyncmetrics.instrument(bare, registry=registry, paths="/metrics")
    assert (await ask(bare, "/metrics")).status_code == 404
    assert list(registry.collect()) == []


def test_positional_options_are_refused():
    with pytest.raises(TypeError):
        MetricsMiddleware(app, CollectorRegistry())


async def test_starlette_adds_the_middleware_with_options(registry, seen):
    async def items(request):
        return PlainTextResponse("items")

    starlette = Starlette(routes=[Route("/items", items)])
    starlette.add_middleware(MetricsMiddleware, registry=registry, route=lambda scope: "/mine")
    assert await seen(starlette, "/items") == ("/mine", "200")


def test_options_of_a_second_call_are_logged_as_ignored(bare, registry, caplog):
    caplog.set_level(logging.WARNING, "asyncmetrics")
    asyncmetrics.instrument(bare, registry=registry)
    assert caplog.messages == []
    asyncmetrics.instrument(bare)
    assert caplog.messages == []
    asyncmetrics.instrument(bare, auth="secret", path="/elsewhere")
    (message,) = caplog.messages
    assert type(bare).__name__ in message and "auth, path" in message and "first call" in message
    assert "secret" not in message


def test_every_framework_is_known():
    assert {one.rpartition(".")[2] for one in FRAMEWORKS_BY_CLASS.values()} == {*FRAMEWORKS}
