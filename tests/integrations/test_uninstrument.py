"""`uninstrument`: the application is as before, whatever has been put around it, and may be instrumented again."""

from __future__ import annotations

import gc
import weakref

import pytest

import asyncmetrics
from asyncmetrics.errors import DefinitionError

pytestmark = pytest.mark.edge("position")


def state(app):
    """The attributes of an application, with copies of its lists and dicts, and its class."""
    names = vars(app) if hasattr(app, "__dict__") else {}
    slots = [name for kind in type(app).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(app, name)]
    values = {**names, **{name: getattr(app, name) for name in slots}}
    return type(app), {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def functions(app):
    """The functions that Quart calls before a request."""
    return {name: list(found) for name, found in getattr(app, "before_request_funcs", {}).items() if found}


async def test_the_application_is_as_it_was(bare, registry):
    before = state(bare), functions(bare)
    assert asyncmetrics.instrument(bare, registry=registry) is bare
    assert asyncmetrics.uninstrument(bare) is bare
    assert (state(bare), functions(bare)) == before


async def test_no_more_requests_are_counted_and_no_metrics_served(app, ask, counted, samples):
    await ask(app, "/items/1")
    before = counted()
    asyncmetrics.uninstrument(app)
    assert (await ask(app, "/items/1")).status_code == 200
    assert (await ask(app, "/raising")).status_code == 500
    assert (await ask(app, "/metrics")).status_code == 404
    assert counted() == before
    assert samples("http_server_exceptions_total", "type") == {}


async def test_an_application_that_was_uninstrumented_may_be_instrumented_with_other_options(app, ask, seen):
    asyncmetrics.uninstrument(app)
    other = asyncmetrics.CollectorRegistry()
    asyncmetrics.instrument(app, registry=other, path="/elsewhere")
    await ask(app, "/items/1")
    answer = await ask(app, "/elsewhere")
    assert 'http_server_request_duration_seconds_count{method="GET"' in answer.text


@pytest.mark.parametrize("times", [1, 2])
async def test_uninstrumenting_what_is_not_instrumented_changes_nothing(times, bare, ask):
    before = state(bare)
    for _ in range(times):
        assert asyncmetrics.uninstrument(bare) is bare
    assert state(bare) == before
    assert (await ask(bare, "/items/1")).status_code == 200


async def test_uninstrumenting_twice_is_uninstrumenting_once(app, ask, counted):
    for _ in range(2):
        asyncmetrics.uninstrument(app)
    assert (await ask(app, "/items/1")).status_code == 200
    assert counted() == {}


async def test_another_application_stays_instrumented(build, registry, seen):
    one, other = (asyncmetrics.instrument(build(), registry=registry) for _ in range(2))
    asyncmetrics.uninstrument(one)
    assert (await seen(other, "/items/1"))[1] == "200"
    assert (await seen(other, "/raising")) == ("/raising", "500")


async def test_other_applications_keep_their_exceptions(build, registry, ask, samples):
    one, other = (asyncmetrics.instrument(build(), registry=registry) for _ in range(2))
    asyncmetrics.uninstrument(one)
    await ask(other, "/raising")
    assert samples("http_server_exceptions_total", "type") == {("RuntimeError",): 1}


def test_an_instrumented_application_is_collected_as_garbage(framework, build, registry):
    """Nothing but the application itself keeps what `instrument` has put around it."""
    if framework == "litestar":
        pytest.skip("Litestar keeps its applications")
    from asyncmetrics.integrations.outermost import find_outermost

    app = asyncmetrics.instrument(build(), registry=registry)
    outermost = weakref.ref(find_outermost(app))
    del app
    gc.collect()
    assert outermost() is None


def test_an_application_of_no_known_framework_is_refused():
    with pytest.raises(DefinitionError, match="uninstrument"):
        asyncmetrics.uninstrument(lambda: None)
