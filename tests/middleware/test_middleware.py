"""What passes, what is under way, what is left out, and that no fault of ours reaches the application."""

from __future__ import annotations

import re
from time import perf_counter

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncmetrics import MetricsMiddleware, make_asgi_app
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from tests.loops import on_every_loop

pytestmark = pytest.mark.edge("guard")


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


EVERYTHING = {
    "first_byte": True,
    "body_sizes": True,
    "background": True,
    "conventions": "opentelemetry",
    "exemplars": "traceparent",
}
HOSTILE = {
    "nothing": {},
    "a method that is none": {"method": ["GET"], "path": "/"},
    "a path that is none": {"method": "GET", "path": None, "root_path": None},
    "headers that are none": {"method": "GET", "path": "/", "headers": 7},
    "headers in odd shapes": {"method": "GET", "path": "/", "headers": [["content-length"], 5, None]},
    "a router that is none": {"method": "GET", "path": "/", "router": 1, "endpoint": 2},
    "an application that is none": {"method": "GET", "path": "/", "app": 7},
    "a scheme that is none": {"method": "GET", "path": "/", "scheme": ["http"]},
    "an exception that is none": {"method": "GET", "path": "/", "asyncmetrics.exception": "no"},
}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("case", HOSTILE)
async def test_whatever_is_in_the_scope_the_application_is_called_and_counted(case, kind, measured, registry):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": kind, **HOSTILE[case]}
    await measured(hello, exclude=["/x", lambda scope: False], **EVERYTHING)(scope, None, send)
    counts = [
        s.value
        for f in registry.collect()
        for s in f.samples
        if s.name.endswith(("request_duration_seconds_count", "connection_duration_seconds_count"))
    ]
    assert (len(sent), counts) == (2, [1])


@pytest.mark.parametrize("kind", ["lifespan", "something.new"])
async def test_other_scopes_pass_untouched(kind, measured):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    scope, receive, send = {"type": kind}, object(), object()
    await measured(app)(scope, receive, send)
    assert seen[0] == ({"type": kind}, receive, send)


@on_every_loop
async def test_a_request_under_way_is_exposed_as_pending_until_a_router_has_seen_it(ask, measured, totals):
    async def app(scope, receive, send):
        assert totals("active") == {("GET", "<pending>"): 1}
        assert totals("oldest")["<pending>"] >= 0
        scope["asyncmetrics.route"] = "/known"
        assert totals("active") == {("GET", "/known"): 1}
        await hello(scope, receive, send)

    asked = await ask(measured(app))
    assert asked.error is None
    assert (totals("active"), totals("oldest")) == ({("GET", "/known"): 0}, {})


async def test_the_oldest_request_of_a_route_grows_older(ask, measured, totals):
    ages = []

    async def app(scope, receive, send):
        ages.append(totals("oldest")["<pending>"])
        await anyio.sleep(0.02)
        ages.append(totals("oldest")["<pending>"])

    await ask(measured(app))
    assert ages[1] - ages[0] >= 0.02


async def test_the_duration_is_that_of_the_response_without_its_background(ask, measured, totals):
    times = [perf_counter()]

    async def app(scope, receive, send):
        await anyio.sleep(0.05)
        await hello(scope, receive, send)
        times.append(perf_counter())
        await anyio.sleep(0.05)

    await ask(measured(app))
    assert 0.05 <= totals("seconds")["GET", "<unmatched>", "200"] <= times[1] - times[0]


async def test_a_request_that_is_measured_further_out_is_counted_once(ask, measured, totals):
    await ask(measured(measured(hello)))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


async def test_several_applications_share_the_metrics_of_a_registry(ask, measured, totals):
    await ask(measured(hello))
    await ask(measured(hello))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 2}


def test_other_buckets_on_the_same_registry_are_refused(measured):
    measured(hello)
    with pytest.raises(DuplicateMetricError, match="http_server_request_duration_seconds"):
        measured(hello, buckets=[1, 2])


def test_buckets_can_be_chosen(registry, measured):
    measured(hello, buckets=[1, 2])
    with pytest.raises(DuplicateMetricError):
        MetricsMiddleware(hello, registry=registry)


HISTOGRAMS = (
    "http_server_request_duration_seconds",
    "http_server_time_to_first_byte_seconds",
    "http_server_background_duration_seconds",
    "http_server_request_body_size_bytes",
    "http_server_response_body_size_bytes",
    "websocket_server_connection_duration_seconds",
)


@pytest.fixture
def bounds(ask, connect, measured, registry):
    """Read how many buckets each histogram has, of a middleware that measures everything."""

    async def read(**options):
        app = measured(hello, first_byte=True, body_sizes=True, background=True, **options)
        await ask(app)
        await connect(app)
        names = [s.name.removesuffix("_bucket") for f in registry.collect() for s in f.samples if "le" in s.labels]
        return {name: names.count(name) for name in names}

    return read


async def test_buckets_are_those_of_every_duration_of_http(bounds):
    found = await bounds(buckets=iter([1, 2]))
    assert [found[name] for name in HISTOGRAMS[:3]] == [3, 3, 3]
    assert min(found[name] for name in HISTOGRAMS[3:]) > 3


@pytest.mark.parametrize("name", HISTOGRAMS)
async def test_buckets_can_be_chosen_by_name_and_the_others_stay(name, bounds, registry):
    found = await bounds(buckets={name: iter([1, 2])})
    assert [one for one in HISTOGRAMS if found[one] == 3] == [name]


@pytest.fixture
def schemas(bounds, registry):
    """Read the schema of each native histogram, and the counts of classic buckets, as `bounds` does."""

    async def read(**options):
        found = await bounds(**options)
        natives = [s for f in registry.collect() for s in f.samples if s.native_histogram]
        return {s.name: s.native_histogram.schema for s in natives}, found

    return read


async def test_native_makes_every_histogram_a_native_one_beside_its_buckets(schemas):
    found, bounds = await schemas(native=True)
    assert found == dict.fromkeys(HISTOGRAMS, 5)
    assert min(bounds.values()) > 3


async def test_native_without_buckets_leaves_no_classic_histogram(schemas):
    found, bounds = await schemas(native=3, buckets=())
    assert found == dict.fromkeys(HISTOGRAMS, 3)
    assert bounds == dict.fromkeys(HISTOGRAMS, 1)  # the bucket +Inf, for those who read texts


async def test_native_without_the_buckets_of_one_name_leaves_those_of_the_others(schemas):
    found, bounds = await schemas(native=True, buckets={HISTOGRAMS[3]: ()})
    assert [name for name in found if bounds[name] == 1] == [HISTOGRAMS[3]]


def test_a_schema_that_is_none_is_refused_before_anything_is_registered(measured, registry):
    with pytest.raises(DefinitionError, match="native"):
        measured(hello, native=9, buckets={})
    assert list(registry.collect()) == []


WRONG = {
    "no buckets, though there is no native histogram": [],
    "a text": "12",
    "a name that is none": {"http_request_seconds": [1]},
    "a bound that is no number": {HISTOGRAMS[0]: [1], HISTOGRAMS[3]: ["wide"]},
    "none for a name": {HISTOGRAMS[5]: []},
}


@pytest.mark.parametrize("case", WRONG)
def test_buckets_that_cannot_be_are_refused_before_anything_is_registered(case, measured, registry):
    with pytest.raises(DefinitionError):
        measured(hello, buckets=WRONG[case])
    assert list(registry.collect()) == []


EXCLUSIONS = {
    "a path": "/health",
    "a path with a slash": "/health/",
    "a pattern": re.compile("/hea.*"),
    "a predicate": lambda scope: scope["path"] == "/health",
}


@pytest.mark.parametrize("case", EXCLUSIONS)
async def test_what_is_excluded_is_not_counted(case, ask, measured, totals):
    app = measured(hello, exclude=[EXCLUSIONS[case]])
    assert (await ask(app, "/health")).sent[1]["body"] == b"hello"
    await ask(app, "/other")
    assert sum(totals("counted").values()) == 1


async def test_an_exclusion_that_fails_leaves_the_others(ask, measured, totals):
    await ask(measured(hello, exclude=[lambda scope: 1 / 0, "/health"]), "/health")
    assert (totals("counted"), totals("internal")) == ({}, {"middleware.exclude": 1})


async def _awaited(scope):
    return True


class Awaited:
    """A callable whose call is a coroutine."""

    async def __call__(self, scope):
        return True


NOT_CALLED = {
    "an exclusion": {"exclude": [_awaited]},
    "an exclusion that is an object": {"exclude": [Awaited()]},
    "a route": {"route": _awaited},
    "a route that cannot be called": {"route": "/x"},
    "an extra label": {"extra_labels": {"a": _awaited}},
}


@pytest.mark.parametrize("case", NOT_CALLED)
def test_what_would_have_to_be_awaited_is_refused(case, measured):
    """Its coroutine would be true, and a label without end."""
    with pytest.raises(DefinitionError, match="expected a function of the scope"):
        measured(hello, **NOT_CALLED[case])


MISNAMED = [{"context_labels": "id"}, {"context_labels": ["route"]}, {"extra_labels": {"direction": "x"}}]


@pytest.mark.parametrize("options", MISNAMED, ids=str)
def test_names_of_labels_that_cannot_be_are_refused_before_anything_is_registered(options, measured, registry):
    with pytest.raises(DefinitionError, match="labels"):
        measured(hello, **options)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("exclude", ["/health", [5], ["health"], [""], [re.compile(b"/health")]])
def test_an_exclusion_that_is_none_is_refused(exclude, measured):
    with pytest.raises(DefinitionError, match="exclude"):
        measured(hello, exclude=exclude)


async def test_a_route_callable_wins(ask, measured, totals):
    await ask(measured(hello, route=lambda scope: "/mine"), **{"asyncmetrics.route": "/scope"})
    assert totals("counted") == {("GET", "/mine", "200"): 1}


async def test_a_route_callable_that_returns_none_leaves_it_to_the_scope(ask, measured, totals):
    await ask(measured(hello, route=lambda scope: None), **{"asyncmetrics.route": "/scope"})
    assert totals("counted") == {("GET", "/scope", "200"): 1}


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_scrapes_are_not_counted_wherever_the_exposition_is(framework, ask, measured, registry, totals):
    """Neither after their end, nor under way, in the exposition that they return."""
    kind = {"starlette": Starlette, "fastapi": FastAPI}[framework]
    told = []

    async def inner(scope, receive, send):
        await exposition(scope, receive, send)
        told.append((totals("active"), totals("oldest")))

    exposition = make_asgi_app(registry)
    app = kind(routes=[Mount("/inner", routes=[Mount("/metrics", inner)])])
    events = [{"type": "http.request"}] * 100
    asked = await ask(
        measured(app, first_byte=True, body_sizes=True, background=True), "/inner/metrics/", events=events
    )
    assert asked.sent[0]["status"] == 200 and b"# TYPE http_server_active_requests gauge" in asked.sent[1]["body"]
    assert b"http_server_active_requests{" not in asked.sent[1]["body"]
    assert (totals("counted"), told) == ({}, [({}, {})])
    assert [s for f in registry.collect() for s in f.samples if s.name.endswith("_count") and s.labels] == []


FAULTS = {
    "route": ({"route": lambda scope: 1 / 0}, "middleware.route"),
    "exclude": ({"exclude": [lambda scope: 1 / 0]}, "middleware.exclude"),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_a_fault_in_a_callable_is_counted_and_harms_no_response(case, ask, measured, totals):
    options, where = FAULTS[case]
    asked = await ask(measured(hello, **options))
    assert asked.error is None and asked.sent[1]["body"] == b"hello"
    assert totals("internal")[where] >= 1
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


async def test_a_fault_in_a_metric_is_counted_and_harms_no_response(ask, measured, totals, monkeypatch):
    from asyncmetrics import Histogram

    app = measured(hello)
    monkeypatch.setattr(Histogram, "labels", lambda *_: 1 / 0)
    asked = await ask(app)
    assert asked.error is None
    assert totals("internal") == {"middleware.record": 1}


async def test_a_fault_while_an_exception_is_counted_harms_no_response(ask, measured, totals, monkeypatch):
    from asyncmetrics import Counter

    async def failing(scope, receive, send):
        raise ValueError

    app = measured(failing)
    monkeypatch.setattr(Counter, "labels", lambda *_: 1 / 0)
    assert type((await ask(app)).error) is ValueError
    assert totals("internal") == {"middleware.record": 1}


async def test_a_fault_while_background_is_measured_harms_no_response(ask, measured, totals, monkeypatch):
    from asyncmetrics import Histogram

    async def app(scope, receive, send):
        await hello(scope, receive, send)
        monkeypatch.setattr(Histogram, "labels", lambda *_: 1 / 0)

    assert (await ask(measured(app, background=True))).error is None
    assert totals("internal") == {"middleware.record": 1}


class Moved:
    """A router whose insides are not where they were."""

    def __getattr__(self, name):
        raise RuntimeError(name)


async def test_framework_internals_that_moved_cost_a_label_and_no_request(ask, measured, totals):
    asked = await ask(measured(hello), router=Moved(), endpoint=hello)
    assert asked.error is None
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}
    assert totals("internal") == {"middleware.route": 1}


async def test_a_request_cancelled_from_outside_is_released_once(measured, totals):
    reached = anyio.Event()

    async def waiting(scope, receive, send):
        reached.set()
        await anyio.sleep_forever()

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        raise AssertionError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(measured(waiting), {"type": "http", "method": "GET", "path": "/"}, receive, send)
        await reached.wait()
        assert totals("active") == {("GET", "<pending>"): 1}
        tasks.cancel_scope.cancel()
    assert totals("active") == {("GET", "<unmatched>"): 0}
    assert totals("counted") == {("GET", "<unmatched>", "499"): 1}
    assert totals("exceptions") == {}


async def test_the_limit_on_children_is_the_last_guard(ask, measured, totals):
    app = measured(hello, route=lambda scope: scope["path"])
    for number in range(10_050):
        await ask(app, f"/{number}")
    counted = totals("counted")
    assert len(counted) == 10_001
    assert counted["__overflow__", "__overflow__", "__overflow__"] == 50
