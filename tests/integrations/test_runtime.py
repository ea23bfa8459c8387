"""`instrument(app, runtime=…)`: the loop is measured from a lifespan or a first request on, and left as it was."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import asyncmetrics
from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.errors import DefinitionError
from asyncmetrics.runtime import RuntimeMonitor
from asyncmetrics.runtime.monitored_loop import find_monitored_loop
from tests.forks import run_forked
from tests.integrations.lifespans import living
from tests.loops import LoopThread, on_every_loop
from tests.patience import wait_until

pytestmark = pytest.mark.edge("runtime")


def is_measured():
    return find_monitored_loop() is not None


async def item(request):
    return PlainTextResponse(str(is_measured()))


def make(registry, runtime=True, **options):
    app = Starlette(routes=[Route("/item", item)], **options)
    return asyncmetrics.instrument(app, registry=registry, runtime=runtime)


@pytest.fixture
def measured_app(build, registry):
    """An application of every framework, whose loop is to be measured."""
    return asyncmetrics.instrument(build(), registry=registry, runtime=True)


async def test_the_loop_of_every_framework_is_measured_in_its_lifespan(framework, measured_app):
    received = []
    async with living(measured_app, received):
        assert is_measured() == (framework != "django"), received  # which refuses lifespans
    assert not is_measured()


async def test_a_server_of_every_framework_is_told_of_the_end_when_the_loop_is_left(measured_app):
    """Before: it may cancel what the application does after the last message, and log an error."""

    class Received(list):
        def append(self, kind):
            super().append((kind, is_measured()))

    received = Received()
    async with living(measured_app, received):
        pass
    assert ("lifespan.shutdown.complete", True) not in received


async def test_without_a_lifespan_the_first_request_starts_it_for_every_framework(measured_app, ask):
    assert not is_measured()
    assert (await ask(measured_app, "/items/1")).status_code == 200
    assert is_measured()
    asyncmetrics.uninstrument(measured_app)
    assert not is_measured()


async def test_a_refused_lifespan_leaves_it_to_the_first_request(registry, ask):
    async def refuse(scope, receive, send):
        raise ValueError("no lifespan")

    app = make(registry)
    app.router.lifespan = refuse
    async with living(app):
        assert not is_measured()
        assert (await ask(app, "/item")).text == "True"
    asyncmetrics.uninstrument(app)


@on_every_loop
async def test_the_loop_is_measured_while_the_application_starts_and_stops(registry):
    seen = []

    @asynccontextmanager
    async def lifespan(_):
        seen.append(is_measured())
        yield
        seen.append(is_measured())

    async with living(make(registry, lifespan=lifespan)):
        pass
    assert (seen, is_measured()) == ([True, True], False)


@on_every_loop
async def test_a_lifespan_that_fails_in_its_startup_leaves_nothing(registry):
    seen = []

    @asynccontextmanager
    async def lifespan(_):
        seen.append(is_measured())
        raise ValueError
        yield

    received = []
    async with living(make(registry, lifespan=lifespan), received):
        assert not is_measured()
    assert (seen, received) == ([True], ["lifespan.startup.failed", "ValueError"])


@on_every_loop
async def test_a_lifespan_that_is_cancelled_leaves_nothing(registry):
    async with anyio.create_task_group() as tasks:
        app = make(registry)

        async def receive():
            if messages:
                return messages.pop()
            started.set()
            return await anyio.sleep_forever()

        async def send(message):
            pass

        messages = [{"type": "lifespan.startup"}]
        started = anyio.Event()
        tasks.start_soon(app, {"type": "lifespan"}, receive, send)
        await started.wait()
        assert is_measured()
        tasks.cancel_scope.cancel()
    assert not is_measured()


async def test_a_scrape_starts_it_too(registry, ask):
    app = make(registry)
    assert (await ask(app, "/metrics")).status_code == 200
    assert is_measured()
    asyncmetrics.uninstrument(app)


async def test_without_the_option_no_loop_is_measured(registry, ask):
    app = make(registry, runtime=False)
    async with living(app):
        assert (await ask(app, "/item")).text == "False"


async def test_a_mounted_application_starts_it_with_its_first_request(registry, ask):
    inner = make(registry)
    outer = Starlette(routes=[Mount("/inner", inner)])
    async with living(outer):
        assert not is_measured()
        assert (await ask(outer, "/inner/item")).text == "True"
    asyncmetrics.uninstrument(inner)
    assert not is_measured()


async def test_two_applications_measure_a_loop_once_until_both_have_ended(registry, caplog):
    one, other = make(registry), make(registry)
    async with living(one):
        loop = find_monitored_loop()
        async with living(other):
            assert find_monitored_loop() is loop
        assert find_monitored_loop() is loop
    assert not is_measured()
    assert caplog.text == ""


def test_loops_one_after_the_other_are_measured(registry, ask):
    app = make(registry)
    for _ in range(2):
        assert asyncio.run(ask(app, "/item")).text == "True"
    asyncmetrics.uninstrument(app)


def test_loops_in_two_threads_are_measured_and_left_at_the_same_time(registry, ask, backend):
    app = make(registry)
    with LoopThread(backend) as one, LoopThread("asyncio") as two:
        for loop in (one, two):
            loop.call(lambda: ask(app, "/item"))
        assert (one.call(is_measured), two.call(is_measured)) == (True, True)
        asyncmetrics.uninstrument(app)  # in a thread that runs neither
        for loop in (one, two):
            wait_until(lambda loop=loop: not loop.call(is_measured))


def test_a_process_that_was_forked_measures_its_own_loop(registry, ask):
    app = make(registry)
    asyncio.run(ask(app, "/item"))

    def work():
        assert asyncio.run(ask(app, "/item")).text == "True"

    run_forked(work)
    asyncmetrics.uninstrument(app)


async def test_a_monitor_that_is_passed_is_used(registry, ask):
    own = RuntimeMonitor(registry=CollectorRegistry(), block_threshold=None)
    app = make(registry, runtime=own)
    async with living(app):
        assert own.is_started()
        assert find_monitored_loop().block_threshold is None
    assert not own.is_started()


async def test_the_namespace_and_the_registry_of_the_application_are_those_of_the_monitor(registry):
    app = asyncmetrics.instrument(Starlette(), registry=registry, runtime=True, namespace="shop")
    async with living(app):
        loop = find_monitored_loop()
        assert (loop.registry, loop.namespace) == (registry, "shop")


@pytest.mark.parametrize("wrong", [1, "yes", None, RuntimeMonitor, {"block_threshold": 1}])
def test_another_value_is_refused_and_changes_nothing(wrong, bare, registry):
    with pytest.raises(DefinitionError, match="runtime: expected True, False or a RuntimeMonitor"):
        asyncmetrics.instrument(bare, registry=registry, runtime=wrong)
    asyncmetrics.instrument(bare, registry=registry)
    assert list(registry.collect()) != []


async def test_a_loop_that_cannot_be_measured_is_logged_once_and_breaks_nothing(registry, ask, caplog, samples):
    Counter("thread_pool_max", "Taken by the application.", registry=registry)
    app = make(registry)
    for _ in range(2):
        assert (await ask(app, "/item")).text == "False"
    assert caplog.text.count("the option runtime= has no effect") == 1
    assert samples("asyncmetrics_internal_errors_total", "where") == {("runtime.start",): 1}
