"""`bound_labels`: blocks that end in another context, decorated functions, names that no metric declares."""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import weakref
from contextlib import contextmanager

import anyio
import pytest

from asyncmetrics import (
    Counter,
    MetricsMiddleware,
    bind_labels,
    bound_labels,
    clear_labels,
    get_labels,
    reset_labels,
)
from asyncmetrics.context import names
from tests.loops import on_every_loop

bound = bound_labels(tenant="acme")
ACME = {"tenant": "acme"}


@pytest.fixture(autouse=True)
def nothing_bound():
    clear_labels()
    yield
    clear_labels()


# Blocks


@on_every_loop
async def test_a_block_may_be_async():
    async with bound:
        assert get_labels() == ACME
    assert get_labels() == {}


def test_a_block_may_begin_and_end_in_contexts_that_are_gone():
    contextvars.copy_context().run(bound.__enter__)
    contextvars.copy_context().run(bound.__exit__, None, None, None)
    assert get_labels() == {}


def test_a_block_that_ends_in_a_copy_of_its_context_ends_there():
    block = bound_labels(tenant="acme")
    here = contextvars.copy_context()
    here.run(block.__enter__)
    copy = here.run(contextvars.copy_context)
    copy.run(block.__exit__, None, None, None)
    assert copy.run(get_labels) == {}


def test_a_block_that_ends_in_another_context_leaves_the_labels_of_that():
    block = bound_labels(tenant="acme")
    contextvars.copy_context().run(block.__enter__)
    other = contextvars.copy_context()
    other.run(bind_labels, tenant="initech")
    other.run(block.__exit__, None, None, None)
    assert other.run(get_labels) == {"tenant": "initech"}


def test_an_object_that_overlapping_generators_share_unbinds_for_each_of_them():
    def session():
        with bound:
            yield get_labels()

    contexts = [contextvars.copy_context() for _ in range(2)]
    sessions = [session() for _ in contexts]
    for context, generator in zip(contexts, sessions, strict=True):
        assert context.run(next, generator) == ACME
    for context, generator in zip(contexts, sessions, strict=True):
        context.run(next, generator, None)
        assert context.run(get_labels) == {}


def test_labels_that_are_bound_inside_a_block_outlive_it():
    with bound_labels(tenant="acme"):
        bind_labels(plan="gold", tenant="initech")
    assert get_labels() == {"plan": "gold"}


def test_a_context_that_was_copied_inside_a_block_keeps_its_labels():
    with bound:
        copy = contextvars.copy_context()
    assert copy.run(get_labels) == ACME


def test_a_context_whose_block_ended_is_released():
    class Value:
        """Something that only the context of the block refers to."""

    variable = contextvars.ContextVar("variable")
    context, value = contextvars.copy_context(), Value()
    context.run(variable.set, value)
    context.run(bound.__enter__)
    later = context.run(contextvars.copy_context)
    later.run(variable.set, None)
    context.run(bound.__exit__, None, None, None)
    alive = weakref.ref(value)
    del context, value
    assert (alive(), later.run(get_labels)) == (None, ACME)


# Functions


@bound
def function(x: int) -> tuple[int, object]:
    """Return what is bound."""
    return x, dict(get_labels())


@bound
async def coroutine(x):
    await anyio.sleep(0)
    return x, dict(get_labels())


@bound
def generator(x):
    received = yield dict(get_labels())
    try:
        yield received, dict(get_labels())
    except ValueError:
        yield dict(get_labels())
    finally:
        ENDED.append(dict(get_labels()))
    return x


@bound
async def async_generator(x):
    received = yield dict(get_labels())
    await anyio.sleep(0)
    try:
        yield received, dict(get_labels())
    except ValueError:
        yield dict(get_labels())
    finally:
        ENDED.append(dict(get_labels()))


ENDED: list[object] = []


def test_a_decorated_function_runs_with_the_labels():
    assert (function(1), get_labels()) == ((1, ACME), {})


def test_a_decorated_function_keeps_its_name_and_signature():
    assert (function.__name__, function.__doc__) == ("function", "Return what is bound.")
    assert list(inspect.signature(function).parameters) == ["x"]


@pytest.mark.parametrize(
    ("decorated", "is_kind"),
    [
        (coroutine, inspect.iscoroutinefunction),
        (generator, inspect.isgeneratorfunction),
        (async_generator, inspect.isasyncgenfunction),
    ],
)
def test_a_decorated_function_keeps_its_kind(decorated, is_kind):
    assert is_kind(decorated)


@on_every_loop
async def test_a_decorated_coroutine_function_runs_with_the_labels():
    assert (await coroutine(1), get_labels()) == ((1, ACME), {})


def test_a_decorated_function_that_raises_leaves_no_binding():
    with pytest.raises(ZeroDivisionError):
        bound(lambda: 1 / 0)()
    assert get_labels() == {}


def test_a_decorated_generator_has_the_labels_in_its_own_code_alone():
    running = generator(1)
    assert (next(running), get_labels()) == (ACME, {})
    assert (running.send("sent"), get_labels()) == (("sent", ACME), {})
    assert (running.throw(ValueError()), get_labels()) == (ACME, {})
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert (stop.value.value, get_labels()) == (1, {})


def test_a_decorated_generator_that_is_closed_has_the_labels_while_it_ends():
    ENDED.clear()
    running = generator(1)
    next(running)
    next(running)
    running.close()
    assert (ENDED, get_labels()) == ([ACME], {})


@on_every_loop
async def test_a_decorated_async_generator_has_the_labels_in_its_own_code_alone():
    running = async_generator(1)
    assert (await running.__anext__(), get_labels()) == (ACME, {})
    assert (await running.asend("sent"), get_labels()) == (("sent", ACME), {})
    assert (await running.athrow(ValueError()), get_labels()) == (ACME, {})
    with pytest.raises(StopAsyncIteration):
        await running.__anext__()
    assert get_labels() == {}


@on_every_loop
async def test_a_decorated_async_generator_that_is_closed_has_the_labels_while_it_ends():
    ENDED.clear()
    running = async_generator(1)
    await running.__anext__()
    await running.__anext__()
    await running.aclose()
    assert (ENDED, get_labels()) == ([ACME], {})


@on_every_loop
async def test_a_coroutine_that_a_function_returns_runs_with_the_labels():
    assert await bound(lambda: coroutine.__wrapped__(1))() == (1, ACME)


def test_a_generator_that_a_function_returns_runs_with_the_labels():
    assert list(bound(lambda: (dict(get_labels()) for _ in range(2)))()) == [ACME, ACME]


@on_every_loop
async def test_calls_at_once_share_nothing():
    async def call(seconds):
        bind_labels(tenant="own", plan=seconds)
        await bound(anyio.sleep)(seconds)
        assert get_labels() == {"tenant": "own", "plan": seconds}

    async with anyio.create_task_group() as group:
        for seconds in (0.002, 0.001):
            group.start_soon(call, seconds)


class Holder:
    """Methods of each kind."""

    @bound
    def method(self):
        return dict(get_labels())

    @bound
    @classmethod
    def of_class(cls):
        return dict(get_labels())

    @staticmethod
    @bound
    def static():
        return dict(get_labels())

    def __call__(self):
        return dict(get_labels())


@pytest.mark.parametrize(
    "call",
    [
        Holder().method,
        Holder.of_class,
        Holder.static,
        bound(Holder()),
        bound(functools.partial(lambda _: dict(get_labels()), 1)),
    ],
)
def test_methods_and_objects_are_decorated(call):
    assert call() == ACME


@pytest.mark.parametrize(
    ("what", "advice"),
    [
        (Holder, "decorate the methods of the class"),
        (property(lambda self: 1), "decorates functions"),
        (None, "decorates functions"),
        (contextmanager(generator), "inside of it"),
    ],
)
def test_what_cannot_be_decorated_is_refused_with_advice(what, advice):
    with pytest.raises(TypeError, match=advice):
        bound(what)


# Names that no metric declares


@pytest.fixture
def logged(caplog):
    """Return the messages about names; no name is known from other tests."""
    saved = [(collection, collection.copy()) for collection in (names._declared, names.known, names.suspects)]
    for collection, _ in saved:
        collection.clear()
    caplog.set_level(logging.WARNING, "asyncmetrics")
    yield lambda: [record.getMessage() for record in caplog.records]
    for collection, content in saved:
        collection.clear()
        collection.update(content)


@pytest.fixture
def jobs(registry, logged):
    return Counter("jobs", "Jobs.", context_labels=["tenant"], registry=registry)


def test_a_name_that_no_metric_declares_is_logged_once_with_a_suggestion(jobs, logged):
    for _ in range(2):
        with bound_labels(tenent="x"):
            jobs.inc()
    assert logged() == [
        "the label 'tenent' is bound, but no metric declares it in context_labels; did you mean 'tenant'?"
    ]


@pytest.mark.parametrize("bind", [lambda: bind_labels(tenent="x"), bound_labels(tenent="x").__enter__])
def test_a_name_is_logged_however_it_is_bound(bind, jobs, logged):
    contextvars.copy_context().run(bind)
    jobs.inc()
    assert len(logged()) == 1


def test_a_name_that_a_later_metric_declares_is_not_logged(logged, registry):
    with bound_labels(tenant="x"):
        Counter("jobs", "Jobs.", context_labels=["tenant"], registry=registry).inc()
    assert logged() == []


def test_names_without_a_metric_that_reads_any_are_not_logged(logged):
    with bound_labels(request="x"):
        pass
    assert logged() == []


def test_a_program_that_makes_names_from_its_data_logs_few(jobs, logged):
    for number in range(1000):
        bind_labels(**{f"name{number}": ""})
        jobs.inc()
    assert len(logged()) == 100


@pytest.mark.parametrize(
    ("labels", "hint"),
    [({"tenant": "x", "route": "x", "method": "x"}, []), ({"tenent": "x"}, ["; did you mean 'tenant'?"])],
)
async def test_the_names_of_a_middleware_are_declared(labels, hint, logged, registry):
    async def app(scope, receive, send):
        bind_labels(**labels)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def send(message): ...

    measured = MetricsMiddleware(app, registry=registry, context_labels=["tenant"])
    await measured({"type": "http", "method": "GET", "path": "/"}, None, send)
    assert [message.partition("context_labels")[2] for message in logged()] == hint


@pytest.mark.parametrize("bind", [bound_labels, bind_labels])
def test_labels_that_are_not_given_by_name_are_refused(bind):
    with pytest.raises(TypeError, match=rf"{bind.__name__}\(\) takes labels by name"):
        bind({"tenant": "acme"})


def test_a_decorated_cache_keeps_its_methods():
    cached = bound(functools.lru_cache(lambda x: (x, dict(get_labels()))))
    assert cached(1) == (1, ACME)
    assert cached.cache_info().misses == 1


def test_what_is_no_token_is_refused():
    with pytest.raises(TypeError, match=r"reset_labels\(\) expected what bind_labels\(\) returned, got None"):
        reset_labels(None)
