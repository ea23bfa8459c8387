"""The time that the loop spends on a request: its own steps and those of its tasks, and nothing else's."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
from time import perf_counter

import anyio
import pytest
from starlette.applications import Starlette

from asyncmetrics import CollectorRegistry, instrument, uninstrument
from asyncmetrics.errors import DefinitionError
from asyncmetrics.middleware import MetricsMiddleware
from tests.loops import on_every_loop
from tests.patience import PATIENCE_SECONDS

NAME = "http_server_on_loop_duration_seconds"
WORK_SECONDS = 0.03
SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "asyncmetrics.route": "/"}


def spin():
    """Keep the loop busy; return for how long."""
    started = perf_counter()
    while perf_counter() < started + WORK_SECONDS:
        pass
    return perf_counter() - started


async def respond(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ignore(message):
    pass


async def receive():
    return {"type": "http.request", "body": b""}


def make(handle, registry, **options):
    async def app(scope, receive, send):
        await handle()
        await respond(send)

    return MetricsMiddleware(app, registry=registry, on_loop=True, **options)


async def request(app, scope=SCOPE):
    """Make a request, and return how long it takes."""
    started = perf_counter()
    await app(dict(scope), receive, ignore)
    return perf_counter() - started


def read(registry, suffix="sum", **labels):
    return registry.get_sample_value(f"{NAME}_{suffix}", {"route": "/", **labels})


def run_on(kind, main):
    if kind == "uvloop":
        import uvloop

        return uvloop.run(main())
    return asyncio.run(main())


every_asyncio = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


@on_every_loop
async def test_all_steps_of_a_request_count(registry):
    spun = 0.0

    async def handle():
        nonlocal spun
        spun += spin()
        await anyio.sleep(0)
        spun += spin()

    took = await request(make(handle, registry))
    assert spun <= read(registry) <= took


@on_every_loop
async def test_the_time_that_a_request_waits_does_not_count(registry):
    """The wait begins and ends in another task: the deadline of a sleep may pass before the request is suspended."""
    waited = 0.0

    async def work():
        nonlocal waited
        await begun.wait()
        waited = spin()
        done.set()

    async def handle():
        begun.set()
        await done.wait()

    begun, done = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        took = await request(make(handle, registry))
    assert read(registry) <= took - waited


@every_asyncio
@pytest.mark.parametrize("has_factory", [False, True])
def test_the_tasks_of_a_request_count(kind, has_factory, registry):
    spun = 0.0

    async def work():
        nonlocal spun
        await asyncio.sleep(0)
        spun += spin()

    async def handle():
        await asyncio.gather(work(), work())

    async def main():
        if has_factory:
            asyncio.get_running_loop().set_task_factory(lambda loop, coro, **kw: asyncio.Task(coro, loop=loop, **kw))
        await request(make(handle, registry))

    run_on(kind, main)
    assert spun >= 2 * WORK_SECONDS
    assert read(registry) >= spun


def test_a_task_group_of_anyio_counts(registry):
    spun = 0.0

    async def work():
        nonlocal spun
        spun += spin()

    async def handle():
        async with anyio.create_task_group() as group:
            group.start_soon(work)

    asyncio.run(request(make(handle, registry)))
    assert read(registry) >= spun >= WORK_SECONDS


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
def test_a_task_that_starts_at_once_counts_once(registry):
    spun = 0.0

    async def work():
        nonlocal spun
        spun += spin()

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await request(make(lambda: asyncio.create_task(work()), registry))

    took = asyncio.run(main())
    assert spun <= read(registry) <= took


@every_asyncio
def test_a_task_keeps_its_name_context_and_coroutine(kind, registry):
    variable = contextvars.ContextVar("variable", default=0)
    found = []

    async def work():
        task = asyncio.current_task()
        await asyncio.sleep(0)
        found.append((task.get_name(), variable.get(), task.get_coro().__qualname__, task.get_coro().cr_code))

    async def handle():
        options = {}
        if sys.version_info >= (3, 11):
            context = contextvars.copy_context()
            context.run(variable.set, 1)
            options = {"context": context}
        await asyncio.create_task(work(), name="named", **options)

    run_on(kind, lambda: request(make(handle, registry)))
    assert found == [("named", int(sys.version_info >= (3, 11)), work.__qualname__, work.__code__)]


@every_asyncio
def test_a_task_is_cancelled_and_returns_as_without_the_option(kind, registry):
    outcomes = []

    async def wait():
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise

    async def answer():
        return 42

    async def handle():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        outcomes.append(await asyncio.gather(task, asyncio.create_task(answer()), return_exceptions=True))
        unstarted = asyncio.create_task(wait())
        unstarted.cancel()
        outcomes.append(await asyncio.gather(unstarted, return_exceptions=True))

    run_on(kind, lambda: request(make(handle, registry)))
    assert outcomes[0] == "cancelled"
    assert [type(one) for one in outcomes[1]] == [asyncio.CancelledError, int]
    assert [type(one) for one in outcomes[2]] == [asyncio.CancelledError]


@on_every_loop
async def test_a_request_that_is_cancelled_is_measured(registry):
    async def handle():
        spin()
        await anyio.sleep(PATIENCE_SECONDS)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(request, make(handle, registry))
            await anyio.sleep(WORK_SECONDS)
            scope.cancel()
    assert WORK_SECONDS <= read(registry) < PATIENCE_SECONDS


@on_every_loop
async def test_an_exception_of_the_application_passes(registry):
    async def handle():
        await anyio.sleep(0)
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await request(make(handle, registry))
    assert read(registry, "count") == 1


def test_tasks_outside_of_requests_stay_as_they_are(registry):
    async def work():
        pass

    async def main():
        await request(make(work, registry))
        task = asyncio.create_task(work())
        await task
        assert inspect.iscoroutine(task.get_coro())

    asyncio.run(main())


def test_a_task_on_the_loop_of_another_thread_does_not_count(registry):
    are_plain = []

    async def work():
        are_plain.append(inspect.iscoroutine(asyncio.current_task().get_coro()))

    async def main():
        other = asyncio.new_event_loop()
        thread = threading.Thread(target=other.run_forever)
        thread.start()

        def run_there(coroutine):
            return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, other))

        async def handle():
            await run_there(work())

        await run_there(request(make(work, CollectorRegistry())))  # from here on that loop has a factory too
        await request(make(handle, registry))
        other.call_soon_threadsafe(other.stop)
        thread.join(PATIENCE_SECONDS)
        other.close()

    asyncio.run(main())
    assert are_plain == [True, True]  # the first one is that of the request itself


@every_asyncio
@pytest.mark.parametrize("has_factory", [False, True])
def test_the_task_factory_is_restored_at_the_end_of_the_lifespan(kind, has_factory, registry):
    def create(loop, coro, **options):
        return asyncio.Task(coro, loop=loop, **options)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await stopped.wait()
        else:
            await respond(send)

    async def main():
        nonlocal stopped
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        former = create if has_factory else None
        loop.set_task_factory(former)
        measured = MetricsMiddleware(app, registry=registry, on_loop=True)
        lifespan = asyncio.ensure_future(measured({"type": "lifespan"}, receive, ignore))
        await request(measured)
        assert loop.get_task_factory() is not former
        stopped.set()
        await lifespan
        assert loop.get_task_factory() is former

    stopped = None
    run_on(kind, main)


def test_a_factory_that_another_tool_has_set_around_ours_stays(registry):
    async def nothing():
        pass

    async def main():
        loop = asyncio.get_running_loop()
        measured = make(nothing, registry)
        await request(measured)
        ours = loop.get_task_factory()

        def theirs(loop, coro, **options):
            return ours(loop, coro, **options)

        loop.set_task_factory(theirs)
        await measured({"type": "lifespan"}, receive, ignore)
        assert loop.get_task_factory() is theirs
        await asyncio.create_task(nothing())

    asyncio.run(main())


def test_the_work_after_the_response_counts(registry):
    spun = 0.0

    async def app(scope, receive, send):
        nonlocal spun
        await respond(send)
        spun = spin()

    asyncio.run(request(MetricsMiddleware(app, registry=registry, on_loop=True)))
    assert read(registry) >= spun


def test_requests_that_are_excluded_are_not_measured(registry):
    async def nothing():
        pass

    asyncio.run(request(make(nothing, registry, exclude=["/"])))
    assert read(registry, "count") is None


def test_the_histogram_has_the_labels_and_buckets_of_the_options(registry):
    async def nothing():
        pass

    app = make(nothing, registry, extra_labels={"service": "shop"}, buckets={NAME: [1]})
    asyncio.run(request(app))
    assert read(registry, "count", service="shop") == 1
    assert read(registry, "bucket", service="shop", le="1.0") == 1


def test_without_the_option_nothing_is_measured_and_the_loop_stays_as_it_is(registry):
    async def app(scope, receive, send):
        await respond(send)

    async def main():
        await request(MetricsMiddleware(app, registry=registry))
        assert asyncio.get_running_loop().get_task_factory() is None

    asyncio.run(main())
    assert NAME not in {family.name for family in registry.collect()}


def test_a_value_that_is_no_flag_is_refused(registry):
    app = make(receive, registry)
    with pytest.raises(DefinitionError, match=r"on_loop: expected True or False, got 1"):
        MetricsMiddleware(app, registry=registry, on_loop=1)


@every_asyncio
def test_uninstrument_restores_the_task_factory_without_a_lifespan(kind, registry):
    async def main():
        def factory(loop, coro, **options):
            return asyncio.Task(coro, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(factory)
        app = instrument(Starlette(), registry=registry, on_loop=True)
        await request(app, {**SCOPE, "query_string": b""})
        is_changed = asyncio.get_running_loop().get_task_factory() is not factory
        uninstrument(app)
        return is_changed, asyncio.get_running_loop().get_task_factory() is factory

    assert run_on(kind, main) == (True, True)
