"""The application of health checks: what it answers, where, and what it keeps to itself."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import asyncmetrics
from asyncmetrics.jobs import HealthChecks
from tests.loops import on_every_loop
from tests.patience import eventually, wait_for


async def succeed():
    pass


async def fail():
    raise ConnectionError("postgres at 10.1.2.3 is away")


async def until_called(checks):
    await eventually(lambda: any(result.reason == "pending" for result in checks.read().values()), False)


def visit(app, **options):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example", **options)


async def get(app, path="/ready", method="GET"):
    async with visit(app) as visitor:
        return await visitor.request(method, path)


@on_every_loop
async def test_a_ready_service_is_answered_with_200(checks):
    checks.add("db", succeed)
    async with checks:
        await until_called(checks)
        answer = await get(checks.app)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": {"db": {"status": "up"}}})


@on_every_loop
async def test_the_503_of_a_service_names_what_failed(checks):
    checks.add("db", succeed)
    checks.add("cache", fail)
    async with checks:
        await until_called(checks)
        answer = await get(checks.app)
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not ready", "checks": {"db": {"status": "up"}, "cache": {"status": "down", "reason": "error"}}},
    )


@on_every_loop
async def test_a_check_without_a_result_is_answered_as_pending(checks):
    checks.add("db", succeed)
    answer = await get(checks.app)
    assert (answer.status_code, answer.json()["checks"]) == (503, {"db": {"status": "pending"}})


@on_every_loop
async def test_a_check_that_is_not_required_is_answered_as_such(checks):
    checks.add("cache", fail, required=False)
    async with checks:
        await until_called(checks)
        answer = await get(checks.app)
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"cache": {"status": "down", "reason": "error", "required": False}}


@on_every_loop
async def test_the_text_of_an_exception_is_for_the_log_only(checks):
    checks.add("db", fail)
    async with checks:
        await until_called(checks)
        assert "10.1.2.3" not in (await get(checks.app)).text


@on_every_loop
async def test_show_errors_adds_the_text_of_the_exception(registry):
    checks = HealthChecks(show_errors=True, registry=registry)
    checks.add("db", fail)
    async with checks:
        await until_called(checks)
        answer = await get(checks.app)
    assert answer.json()["checks"]["db"]["error"] == "ConnectionError: postgres at 10.1.2.3 is away"


@on_every_loop
async def test_an_answer_calls_no_check(checks):
    calls = []
    checks.add("db", lambda: calls.append(1), interval=3600)
    async with checks:
        await until_called(checks)
        for _ in range(3):
            await get(checks.app)
        assert len(calls) == 1


@on_every_loop
async def test_live_is_answered_with_200_even_if_a_check_fails(checks):
    checks.add("db", fail)
    async with checks:
        await until_called(checks)
        answers = [await get(checks.app, path) for path in ("/live", "/health/live/")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"status": "live"})] * 2


@on_every_loop
async def test_a_head_has_the_status_and_no_body(checks):
    answer = await get(checks.app, method="HEAD")
    assert (answer.status_code, answer.content) == (503, b"")


@on_every_loop
async def test_another_method_is_refused(checks):
    answer = await get(checks.app, method="POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@on_every_loop
async def test_no_cache_keeps_an_answer(checks):
    assert (await get(checks.app)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("mounted", "path"), [("/ready", "/ready/"), ("/health", "/health/ready")])
def test_it_can_be_mounted(mounted, path, checks, run):
    app = Starlette(routes=[Mount(mounted, checks.app)])
    assert run(lambda: get(app, path)).json()["status"] == "not ready"


def test_it_can_be_a_route(checks, run):
    app = Starlette()
    app.add_route("/ready", checks.app)
    assert run(lambda: get(app)).json()["status"] == "not ready"


def test_its_requests_are_no_requests_of_the_service(checks, registry, run, samples):
    app = asyncmetrics.instrument(Starlette(routes=[Mount("/health", checks.app)]), registry=registry)
    assert run(lambda: get(app, "/health/ready")).status_code == 503
    assert samples("http_server_request_duration_seconds_count") == {}


def test_under_a_server_alone_it_starts_and_stops_the_checks(checks, serving, samples):
    checks.add("db", succeed, interval=0.01)
    with serving(checks.app) as base:
        wait_for(lambda: httpx.get(f"{base}/ready").status_code, 200)
        assert samples("health_check_up") == {("db",): 1}
    assert samples("health_check_up") == {}


@on_every_loop
async def test_a_websocket_is_closed(checks):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    await checks.app({"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]


@on_every_loop
async def test_an_unknown_scope_is_refused(checks):
    with pytest.raises(NotImplementedError):
        await checks.app({"type": "mail"}, None, None)


@on_every_loop
async def test_a_client_that_has_gone_is_no_error(checks):
    async def send(_):
        raise OSError

    await checks.app({"type": "http", "method": "GET", "path": "/ready"}, None, send)


@on_every_loop
async def test_checks_that_were_never_started_are_logged_once(checks, caplog):
    checks.add("db", succeed)
    await get(checks.app, "/live")
    assert [record for record in caplog.records if record.name == "asyncmetrics"] == []
    answers = [await get(checks.app) for _ in range(2)]
    assert [answer.json()["checks"]["db"]["status"] for answer in answers] == ["pending"] * 2
    assert caplog.text.count("no check runs: start() was not called") == 1


@on_every_loop
async def test_checks_that_run_are_not_logged_as_forgotten(checks, caplog):
    async with checks:
        await get(checks.app)
    assert "start()" not in caplog.text
