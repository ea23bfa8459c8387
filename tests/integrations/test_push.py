"""`instrument(app, push=…)`: a pusher runs from a lifespan or a first request on, and ends with a last push."""

from __future__ import annotations

import pytest

import asyncmetrics
from asyncmetrics.bridges import Pusher
from asyncmetrics.errors import DefinitionError
from asyncmetrics.runtime import RuntimeMonitor
from tests.bridges.push.sinks import KeepingSink
from tests.integrations.lifespans import living
from tests.patience import eventually

pytestmark = pytest.mark.edge("push")


@pytest.fixture
def sink():
    return KeepingSink()


@pytest.fixture
def pushing_app(build, registry, sink):
    """An application of every framework, whose metrics are pushed."""
    return asyncmetrics.instrument(build(), registry=registry, push=sink)


async def test_the_lifespan_of_every_framework_ends_with_the_last_push(framework, pushing_app, sink):
    async with living(pushing_app):
        if framework == "django":  # which refuses lifespans
            return
        await eventually(lambda: len(sink.sent), 1)
    assert len(sink.sent) == 2
    assert sink.closed == 1


async def test_without_a_lifespan_the_first_request_starts_it_for_every_framework(pushing_app, sink, ask):
    assert (await ask(pushing_app, "/items/1")).status_code == 200
    await eventually(lambda: len(sink.sent), 1)
    asyncmetrics.uninstrument(pushing_app)
    await eventually(lambda: sink.closed, 1)
    assert len(sink.sent) == 2
    await ask(pushing_app, "/items/1")
    assert len(sink.sent) == 2


async def test_a_pusher_of_the_programs_own_is_used_beside_a_monitor(bare, framework, registry, sink):
    pusher = Pusher(sink, registry, interval=600, job="mine")
    app = asyncmetrics.instrument(bare, registry=registry, push=pusher, runtime=RuntimeMonitor(registry=registry))
    async with living(app):
        assert pusher.is_started() == (framework != "django")
    assert not pusher.is_started()
    if sink.sent:
        assert sink.sent[0][2]["job"] == "mine"
        assert any("event_loop" in name for name, _ in sink.collected[-1])  # the monitor stops after the last push
    asyncmetrics.uninstrument(app)


@pytest.mark.parametrize("wrong", [True, "http://host", KeepingSink, Pusher, 3])
def test_another_value_is_refused_and_changes_nothing(wrong, bare, registry):
    with pytest.raises(DefinitionError, match="push: expected a sink"):
        asyncmetrics.instrument(bare, registry=registry, push=wrong)
    assert list(registry.collect()) == []


async def test_the_title_of_a_fastapi_application_is_the_job(registry, sink):
    fastapi = pytest.importorskip("fastapi")
    for title, is_job in (("Shop", True), ("FastAPI", False)):
        app = asyncmetrics.instrument(fastapi.FastAPI(title=title), registry=registry, push=sink)
        async with living(app):
            pass
        assert (sink.sent[-1][2]["job"] == title) == is_job
