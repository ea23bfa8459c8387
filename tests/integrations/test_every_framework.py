"""What holds for every framework: outermost, once only, the exposition beside the routes, clear errors."""

from __future__ import annotations

import asyncio
import gc
import importlib
import subprocess
import sys

import pytest

import asyncmetrics
from asyncmetrics.errors import DefinitionError, MissingExtraError
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.edge("position")


# How each framework spells the template of /items/1.
ITEMS = {
    "starlette": "/items/{item}",
    "fastapi": "/items/{item}",
    "litestar": "/items/{item}",
    "quart": "/items/{item}",
    "django": "/items/{item}",
}
NAMES = list(ITEMS)


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


async def test_an_exception_is_counted_once_whichever_handler_answers_it(app, ask, samples):
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


async def test_an_exception_in_a_thread_is_counted_once(app, ask, seen, samples):
    assert await seen(app, "/threaded") == ("/threaded", "500")
    assert samples("http_server_exceptions_total", "route", "type") == {("/threaded", "LookupError"): 1}


@pytest.fixture
def leaving_files_open():
    """Let go of what Django leaves open, the file of the request's body, while its warning is ignored."""
    yield
    gc.collect()


ignoring_files = pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile")


@ignoring_files
@pytest.mark.usefixtures("leaving_files_open")
async def test_a_stream_that_breaks_keeps_its_status_and_is_an_exception(app, seen, samples):
    """Some frameworks raise the group that their task group made of it."""
    assert await seen(app, "/breaking") == ("/breaking", "200")
    ((route, kind), count), *more = samples("http_server_exceptions_total", "route", "type").items()
    assert (route, count, more) == ("/breaking", 1, []) and kind in {"ValueError", "ExceptionGroup"}


@ignoring_files
@pytest.mark.usefixtures("leaving_files_open")
async def test_a_request_that_is_cancelled_is_a_499_and_no_exception(app, ask, counted, samples):
    asking = asyncio.ensure_future(ask(app, "/waiting"))
    while not asking.done() and samples("http_server_active_requests", "route") != {("/waiting",): 1}:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert counted() == {("GET", "/waiting", "499"): 1}
    assert samples("http_server_exceptions_total", "type") == {}
    assert samples("http_server_active_requests", "route") == {("/waiting",): 0}


async def test_many_requests_at_once_keep_their_own_routes(framework, app, ask, counted):
    paths = ["/items/1", "/threaded", "/nowhere", "/raising"] * 10
    await asyncio.gather(*(ask(app, path) for path in paths))
    assert counted() == {
        ("GET", ITEMS[framework], "200"): 10,
        ("GET", "/threaded", "500"): 10,
        ("GET", "<unmatched>", "404"): 10,
        ("GET", "/raising", "500"): 10,
    }


async def test_an_unknown_method_is_no_label(app, ask, counted):
    for number in range(5):
        await ask(app, "/items/1", f"EVIL{number}")
    assert {method for method, _, _ in counted()} == {"_OTHER"}
    assert list(counted().values()) == [5]


# Django has no websockets of its own.
TALKS = {
    "starlette": ("/talk/{x}", "1006"),
    "fastapi": ("/talk/{x}", "1006"),
    "litestar": ("/talk/{x}", "4xxx"),
    "quart": ("/talk/{x}", "1000"),
}


async def test_a_websocket_that_fails_is_counted_by_its_route_and_so_is_the_exception(framework, app, samples):
    if framework not in TALKS:
        pytest.skip("Django has no websockets")
    route, code = TALKS[framework]
    await talk(app, "/talk/1")
    name = "websocket_server_connection_duration_seconds_count"
    assert samples(name, "route", "outcome", "close_code") == {(route, "accepted", code): 1}
    assert samples("websocket_server_exceptions_total", "route", "type") == {(route, "RuntimeError"): 1}


async def talk(app, path):
    """Open a websocket, and wait for its end; a server reports the close that the application has sent."""
    events = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})

    async def send(message):
        if message["type"] == "websocket.close":
            events.put_nowait({"type": "websocket.disconnect", "code": 1006})

    scope = {"type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [(b"host", b"shop.example")]}
    scope |= {"server": ("shop.example", 80), "client": ("127.0.0.1", 1), "subprotocols": [], "extensions": {}}
    try:
        await asyncio.wait_for(app(scope, events.get, send), PATIENCE_SECONDS)
    except RuntimeError:  # some frameworks leave it to the server
        pass


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


async def test_the_time_on_the_loop_is_measured(framework, bare, registry, ask, samples):
    former = asyncio.get_running_loop().get_task_factory()
    app = asyncmetrics.instrument(bare, registry=registry, on_loop=True)
    await ask(app, "/items/1")
    assert samples("http_server_on_loop_duration_seconds_count", "route") == {(ITEMS[framework],): 1}
    asyncmetrics.uninstrument(app)
    assert asyncio.get_running_loop().get_task_factory() is former


async def test_two_applications_of_one_registry_share_their_metrics(framework, build, registry, ask, counted):
    for _ in range(2):
        await ask(asyncmetrics.instrument(build(), registry=registry), "/items/1")
    assert counted() == {("GET", ITEMS[framework], "200"): 2}


@pytest.mark.parametrize("stranger", [object(), lambda: None, "app"])
def test_an_application_of_no_known_framework_is_refused_with_what_to_do(stranger):
    with pytest.raises(DefinitionError, match=r"MetricsMiddleware\(app\)"):
        asyncmetrics.instrument(stranger)


@pytest.mark.parametrize("name", NAMES)
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
    assert f"pip install '{name}>=" in done.stdout, done.stderr
    assert f"asyncmetrics-prometheus[{name}]" in done.stdout


def test_a_missing_framework_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "quart", None)
    monkeypatch.delitem(sys.modules, "asyncmetrics.integrations.quart", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module("asyncmetrics.integrations.quart")
    assert isinstance(caught.value, ImportError)
