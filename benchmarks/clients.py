"""The processor time that measuring adds to a call of a client library, on real servers.

Each library is measured bare, with us, and with OpenTelemetry's instrumentation of it, whose metrics are on and whose
tracing is off. OpenTelemetry has durations for httpx, requests and urllib3 only; of the others it makes spans, which
cost less when no tracer records them. The servers run in processes of their own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from time import process_time
from typing import Any, TypeAlias

from benchmarks._measure import Effort, Figures, Outcomes, Run, describe_problem, measure, repeat_await, scale
from benchmarks._rows import OURS, Row, Target, divide_by_ours, make_rows
from scripts.databases import PostgreSQL, Redis, run_server

__all__ = ("RATIO", "run")

RATIO = "peer ÷ asyncmetrics, each beyond bare"

BARE = "bare"
OTEL = "OpenTelemetry"
AROUND = "around() a coroutine function, with labels"
DECORATED = "the same by CallMetrics"

Call: TypeAlias = Callable[[], Awaitable[object]]

_SERVER = """
import asyncio
async def answer(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Servers:
    """The addresses of the real servers."""

    http: str
    postgresql: PostgreSQL
    redis: Redis


@contextmanager
def _run_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        redis = stack.enter_context(run_server(Redis))
        postgresql = stack.enter_context(run_server(PostgreSQL))
        process = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        assert process.stdout is not None
        yield Servers(f"http://127.0.0.1:{int(process.stdout.readline())}/", postgresql, redis)
        process.stdout.close()


@asynccontextmanager
async def _httpx(servers: Servers) -> AsyncIterator[Call]:
    import httpx

    async with httpx.AsyncClient() as client:
        yield lambda: client.get(servers.http)


@asynccontextmanager
async def _requests(servers: Servers) -> AsyncIterator[Call]:
    import requests

    with requests.Session() as session:

        async def call() -> None:
            session.get(servers.http)

        yield call


@asynccontextmanager
async def _sqlalchemy(servers: Servers) -> AsyncIterator[Call]:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(servers.postgresql.dsn.replace("postgresql:", "postgresql+asyncpg:"))
    statement = text("SELECT 1")
    async with engine.connect() as connection:
        yield lambda: connection.execute(statement)
    await engine.dispose()


@asynccontextmanager
async def _asyncpg(servers: Servers) -> AsyncIterator[Call]:
    import asyncpg

    connection = await asyncpg.connect(servers.postgresql.dsn)
    yield lambda: connection.fetchval("SELECT 1")
    await connection.close()


@asynccontextmanager
async def _psycopg(servers: Servers) -> AsyncIterator[Call]:
    import psycopg

    async with await psycopg.AsyncConnection.connect(servers.postgresql.dsn) as connection:
        yield lambda: connection.execute("SELECT 1")


@asynccontextmanager
async def _aiosqlite(_: Servers) -> AsyncIterator[Call]:
    import aiosqlite

    async with aiosqlite.connect(":memory:") as connection:
        yield lambda: connection.execute("SELECT 1")


@asynccontextmanager
async def _redis(servers: Servers) -> AsyncIterator[Call]:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(servers.redis.url) as client:
        yield lambda: client.get("key")


@asynccontextmanager
async def _logging(_: Servers) -> AsyncIterator[Call]:
    import logging

    logger = logging.getLogger("benchmarks.clients")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())

    async def call() -> None:
        logger.error("an error")

    yield call


@dataclass(frozen=True)
class Client:
    """A library: how to make one call, our name for it, and OpenTelemetry's instrumentor."""

    connect: Callable[[Servers], AbstractAsyncContextManager[Call]]
    ours: str
    theirs: str = ""
    target: Target | None = None


_THIRD = Target(OTEL, "≥", 3)
CLIENTS = {
    "httpx, GET": Client(_httpx, "httpx", "httpx.HTTPXClientInstrumentor", _THIRD),
    "requests, GET": Client(_requests, "urllib3", "requests.RequestsInstrumentor", _THIRD),
    "SQLAlchemy over asyncpg, SELECT": Client(_sqlalchemy, "sqlalchemy", "sqlalchemy.SQLAlchemyInstrumentor"),
    "asyncpg, SELECT": Client(_asyncpg, "asyncpg", "asyncpg.AsyncPGInstrumentor"),
    "psycopg, SELECT": Client(_psycopg, "psycopg", "psycopg.PsycopgInstrumentor"),
    "aiosqlite, SELECT": Client(_aiosqlite, "aiosqlite"),
    "redis, GET": Client(_redis, "redis", "redis.RedisInstrumentor"),
    "logging, a record": Client(_logging, "logging"),
}


@contextmanager
def _measure_by_us(library: str) -> Iterator[None]:
    from asyncmetrics import CollectorRegistry, instrument_all

    registry = CollectorRegistry()
    import_module(library)
    with instrument_all(only=[library], registry=registry):
        states = [
            sample.labels["state"]
            for family in registry.collect()
            for sample in family.samples
            if "state" in sample.labels
        ]
        if states != ["active"]:
            raise RuntimeError(f"{library} is {states}")
        yield


@contextmanager
def _measure_by_opentelemetry(path: str) -> Iterator[None]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.trace import NoOpTracerProvider

    module, _, name = path.rpartition(".")
    instrumentor = getattr(import_module(f"opentelemetry.instrumentation.{module}"), name)()
    instrumentor.instrument(meter_provider=MeterProvider(), tracer_provider=NoOpTracerProvider())
    if not instrumentor.is_instrumented_by_opentelemetry:
        raise RuntimeError("it does not instrument this version of the library")
    try:
        yield
    finally:
        instrumentor.uninstrument()


def _repeat(client: Client, servers: Servers, measured: Callable[[], AbstractContextManager[None]] | None) -> Run:
    """Return a function that makes calls in a loop, and returns the processor time of this process that they take."""

    async def repeat(number: int) -> float:
        async with client.connect(servers) as call:
            await call()  # the first one connects
            started = process_time()
            for _ in range(number):
                await call()
            return process_time() - started

    def run(number: int) -> float:
        with ExitStack() as stack:
            if measured is not None:
                stack.enter_context(measured())
            return asyncio.run(repeat(number))

    return run


def _make_contenders(client: Client, servers: Servers) -> Mapping[str, Run | str]:
    contenders = {
        BARE: _repeat(client, servers, None),
        OURS: _repeat(client, servers, partial(_measure_by_us, client.ours)),
    }
    if client.theirs:
        contenders[OTEL] = _repeat(client, servers, partial(_measure_by_opentelemetry, client.theirs))
    return contenders


async def _work() -> None:
    pass


def _call_around() -> Any:
    from asyncmetrics import CollectorRegistry
    from asyncmetrics.metrics.calls import CallNames, declare_calls

    names = CallNames("calls_seconds", "calls_active", "calls_exceptions")
    calls = declare_calls(names, "Calls.", ["system", "operation"], kind="db", registry=CollectorRegistry())
    return calls.around(_work, "postgresql", "SELECT")


def _decorate() -> Any:
    from asyncmetrics import CallMetrics, CollectorRegistry

    return CallMetrics("jobs", "Jobs.", ["kind"], registry=CollectorRegistry()).labels("mail")(_work)


def run(effort: Effort) -> Iterator[Row]:
    """Yield microseconds per call."""
    for discipline, make in ((AROUND, _call_around), (DECORATED, _decorate)):
        outcomes = measure({BARE: repeat_await(_work), OURS: repeat_await(make())}, effort, beyond=BARE)
        yield from make_rows(discipline, "µs", scale(outcomes, 1e6), _divide)
    if not effort.quick:
        effort = replace(effort, seconds=0.03)  # a call takes 100 µs, and connecting comes before each round
    try:
        with _run_servers() as servers:
            for discipline, client in CLIENTS.items():
                outcomes = _take_medians(measure(_make_contenders(client, servers), effort, beyond=BARE))
                yield from make_rows(discipline, "µs", scale(outcomes, 1e6), _divide, client.target)
    except FileNotFoundError as error:
        for discipline in CLIENTS:
            yield from make_rows(discipline, "µs", {OURS: describe_problem(error)}, _divide)


def _take_medians(outcomes: Outcomes) -> Outcomes:
    """Let the medians of the rounds decide: calls over a socket vary by more than what measuring adds to them."""
    return {
        contender: value if isinstance(value, str) else Figures(value.median, value.median)
        for contender, value in outcomes.items()
    }


def _divide(figures: Mapping[str, float], contender: str) -> float | None:
    return None if contender == BARE else divide_by_ours(figures, contender)
