"""What FastAPI's dependencies measure is what ran: with three tenants, requests that end early, asyncio and trio.

Each way of serving runs the same 300 requests once, 30 % of which are cancelled at a random point. The tests then
compare the metrics with what the service has tallied beside them.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
from collections import Counter as Multiset
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, NamedTuple

import anyio
import httpx
import pytest

from tests.integrations.dependency_kinds import AREA, get_plan
from tests.integrations.dependency_service import PATHS, TENANTS, Service
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import is_listening
from tests.servers.uvicorn_server import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("dependencies"),  # one process serves the requests of each way once
    pytest.mark.edge("dependencies"),
    pytest.mark.framework("fastapi"),
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),  # of cancelled requests, on trio
    pytest.mark.skipif(
        tuple(map(int, version("fastapi").split(".")[:2])) < (0, 118),
        reason="before 0.118, FastAPI ended what a dependency yields to before the response",
    ),
]

REQUESTS = 300
CANCELLED = 0.3
AT_ONCE = 20
LONGEST_SECONDS = 0.06  # until a request is cancelled: about as long as the slowest one takes
STATUSES = {"/async/failing": 500, "/async/late": 504, "/async/refused": 404}
Answer = tuple[str, str, int]
Ask = Callable[[str, str, float], Awaitable["int | None"]]  # path, tenant, seconds; None if they were not enough


class Ran(NamedTuple):
    """A service after the requests, with its samples, and the requests that were answered: path, tenant, status."""

    service: Service
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]]
    answered: Multiset[Answer]

    def sum_by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums of a metric's samples by the value of one label, without zeros."""
        sums: Multiset[str] = Multiset()
        for labels, value in self.samples.get(name, {}).items():
            sums[dict(labels)[label]] += value  # type: ignore[assignment]
        return {key: value for key, value in sums.items() if value}


async def _ask_many(ask: Ask) -> Multiset[Answer]:
    """Send the requests, cancel some of them, and return which were answered."""
    chance = random.Random(7)
    answered: Multiset[Answer] = Multiset()
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def ask_one(path: str, tenant: str, seconds: float) -> None:
        async with limiter:
            status = await ask(path, tenant, seconds)
            if status is not None:
                answered[path, tenant, status] += 1

    async with anyio.create_task_group() as group:
        for number in range(REQUESTS):
            seconds = chance.uniform(0, LONGEST_SECONDS) if chance.random() < CANCELLED else PATIENCE_SECONDS
            group.start_soon(ask_one, PATHS[number % len(PATHS)], chance.choice(TENANTS), seconds)
    return answered


def _ask_server(url: str) -> Multiset[Answer]:
    """Send the requests to a server; a request that is cancelled closes its connection."""

    async def main() -> Multiset[Answer]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, limits=limits) as client:

            async def ask(path: str, tenant: str, seconds: float) -> int | None:
                with anyio.move_on_after(seconds):
                    return (await client.get(path, headers={"tenant": tenant})).status_code
                return None

            return await _ask_many(ask)

    return anyio.run(main)


def _run_uvicorn(service: Service, loop: str) -> Multiset[Answer]:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with serving(service, log_level="critical", loop=loop) as url:
        answered = _ask_server(url)
        _wait_for_end(service)
    return answered


def _run_hypercorn(service: Service) -> Multiset[Answer]:
    with _serving_on_trio(service) as url:
        answered = _ask_server(url)
        _wait_for_end(service)
    return answered


@contextmanager
def _serving_on_trio(service: Service) -> Iterator[str]:
    trio = pytest.importorskip("trio")
    hypercorn = pytest.importorskip("hypercorn.trio")
    config = pytest.importorskip("hypercorn.config").Config()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config.bind, config.loglevel = [f"127.0.0.1:{port}"], "CRITICAL"
    stop = threading.Event()

    async def wait_for_stop() -> None:
        while not stop.is_set():
            await trio.sleep(0.01)

    serve = lambda: trio.run(lambda: hypercorn.serve(service, config, shutdown_trigger=wait_for_stop))
    thread = threading.Thread(target=serve, name="hypercorn")
    thread.start()
    try:
        wait_until(lambda: is_listening(port) or not thread.is_alive())
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join()


def _run_tasks(service: Service, backend: str) -> Multiset[Answer]:
    """Call the application in tasks; a request is cancelled by a scope of anyio."""

    async def ask(path: str, tenant: str, seconds: float) -> int | None:
        with anyio.move_on_after(seconds):
            return await _call(service, path, tenant)
        return None

    return anyio.run(_ask_and_wait, service, ask, backend=backend)


def _run_timeouts(service: Service) -> Multiset[Answer]:
    """Call the application in tasks of asyncio; a request is cancelled once, by a timeout of asyncio."""

    async def ask(path: str, tenant: str, seconds: float) -> int | None:
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(_call(service, path, tenant), seconds)
        return None

    return anyio.run(_ask_and_wait, service, ask)


async def _ask_and_wait(service: Service, ask: Ask) -> Multiset[Answer]:
    answered = await _ask_many(ask)
    await anyio.to_thread.run_sync(_wait_for_end, service)
    return answered


async def _call(service: Service, path: str, tenant: str) -> int:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example"), (b"tenant", tenant.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await anyio.sleep_forever()
        return None

    statuses = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])
        await anyio.lowlevel.checkpoint()

    with suppress(Exception):  # as a server does; there was an answer before that
        await service(scope, receive, send)
    return statuses[0]


def _wait_for_end(service: Service) -> None:
    """Wait until nothing of the service runs; what a cancellation has left to the garbage collector ends as well."""
    wait_until(lambda: gc.collect() >= 0 and not +service.tally.open)


WAYS: dict[str, Callable[[Service], Multiset[Answer]]] = {
    "uvicorn, asyncio": lambda service: _run_uvicorn(service, "asyncio"),
    "uvicorn, uvloop": lambda service: _run_uvicorn(service, "uvloop"),
    "hypercorn, trio": _run_hypercorn,
    "tasks of asyncio": lambda service: _run_tasks(service, "asyncio"),
    "timeouts of asyncio": _run_timeouts,
    "tasks of trio": lambda service: _run_tasks(service, "trio"),
}


@pytest.fixture(scope="module", params=WAYS)
def ran(request: pytest.FixtureRequest) -> Ran:
    """The service after all requests, served in each way."""
    service = Service()
    answered = WAYS[request.param](service)
    return Ran(service, service.read(), answered)


def test_some_requests_are_cancelled_and_the_others_answered(ran):
    assert REQUESTS * (1 - 2 * CANCELLED) <= ran.answered.total() < REQUESTS


def test_each_answer_has_the_status_of_its_endpoint(ran):
    assert {(path, status) for path, _, status in ran.answered} == {(path, STATUSES.get(path, 200)) for path in PATHS}


GAUGES = ("early", "running", "endpoints", "passing", "db_active", "cache_active", "mails_active", "parts_active")


@pytest.mark.parametrize("name", GAUGES)
def test_nothing_is_in_progress_at_the_end_for_any_labels(ran, name):
    assert {labels: value for labels, value in ran.samples[name].items() if value} == {}


def test_no_request_is_active_at_the_end(ran):
    assert set(ran.samples["http_server_active_requests"].values()) <= {0.0}


@pytest.mark.parametrize("name", ["db", "cache", "mails", "parts"])
def test_call_metrics_that_requests_share_count_each_call_once(ran, name):
    counted = sum(ran.samples[f"{name}_duration_seconds_count"].values())
    assert counted == sum(ran.service.tally.get(name).values()) > 0


KINDS = (
    "function",
    "coroutine",
    "class",
    "instance",
    "sync yield",
    "async yield",
    "security",
    "override",
    "sub-dependency",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dependency_is_counted_once_for_each_use_with_its_tenant(ran, kind):
    counts = {
        dict(labels)["tenant"]: value
        for labels, value in ran.samples["dependency_seconds_count"].items()
        if dict(labels)["kind"] == kind
    }
    assert counts == ran.service.tally.get(kind)
    assert set(counts) == set(TENANTS)


def test_endpoints_are_counted_with_their_tenant(ran):
    assert ran.sum_by("endpoint_seconds_count", "tenant") == ran.service.tally.get("endpoint")


def test_endpoints_have_the_label_that_a_dependency_of_their_router_bound_for_a_block(ran):
    assert set(ran.sum_by("endpoint_seconds_count", "area")) == {AREA}


def test_exceptions_of_endpoints_are_counted_with_their_tenant(ran):
    assert ran.sum_by("failures_total", "tenant") == ran.service.tally.get("failure")


def test_the_middleware_counts_each_request_once(ran):
    requests = ran.service.tally.get("request")
    assert sum(ran.samples["http_server_request_duration_seconds_count"].values()) == sum(requests.values())


def test_the_middleware_has_the_tenant_that_a_dependency_bound(ran):
    counts = ran.sum_by("http_server_request_duration_seconds_count", "tenant")
    assert {tenant: counts.get(tenant, 0) for tenant in TENANTS} == ran.service.tally.get("bound")


@pytest.mark.parametrize("path", PATHS)
def test_the_middleware_has_the_plan_wherever_it_was_bound(ran, path):
    """Of the requests that were answered: another one may have ended before it bound its plan."""
    counts: Multiset[tuple[str, str]] = Multiset()
    for labels, value in ran.samples["http_server_request_duration_seconds_count"].items():
        values = dict(labels)
        if values["route"] == path:
            counts[values["tenant"], values["plan"]] += int(value)
    expected = {tenant: number for (its_path, tenant, _), number in ran.answered.items() if its_path == path}
    with_plan = {tenant: counts[tenant, get_plan(tenant)] for tenant in expected}
    assert expected
    assert {tenant: min(number, with_plan[tenant]) for tenant, number in expected.items()} == expected
    assert {tenant for tenant, plan in counts if plan not in {"", get_plan(tenant)}} == set()
