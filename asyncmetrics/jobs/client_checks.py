"""The table of clients and pools that are checks by themselves, and the checks that are made of them.

To add a client, add the name of its class to `CHECKS`, with a function that returns a check. The table holds names, as
`asyncmetrics.integrations.libraries` does, so that a program loads its own libraries only.

A connection of a database is no check: the program may be in the middle of a transaction or of another operation on it,
which a statement of ours would disturb. aiosqlite is an exception, as its thread runs one statement after the other,
and SQLite begins no transaction for a SELECT. Django's is another one: each thread has a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs.check_calls import Check
from asyncmetrics.jobs.functions import check_function
from asyncmetrics.jobs.server_checks import http_check
from asyncmetrics.model.checks import make_refusal

__all__ = ("ADVICE", "CHECKS", "make_check")

V = TypeVar("V")

_EXPECTED = (
    "a function without arguments; a client of httpx with a base_url, or of redis; an engine of SQLAlchemy; a pool of "
    "asyncpg or psycopg; or a connection of aiosqlite or Django"
)


def make_check(target: Any) -> Check:
    """Return the check of a client or a pool, or the function itself. Raises `DefinitionError` for anything else."""
    make = _find(CHECKS, target)
    if make is not None:
        return make(target)
    advice = _find(ADVICE, target)
    if advice or isinstance(target, type):
        raise make_refusal("check", _EXPECTED, target, advice or "")
    check_function("check", target, _EXPECTED)
    function: Check = target
    return function


def _find(table: Mapping[str, V], target: object) -> V | None:
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(target).__mro__)
    return next((table[name] for name in names if name in table), None)


def _check_httpx(client: Any) -> Check:
    if not str(client.base_url):
        raise DefinitionError(
            "check", "expected a client with a base_url, got one without: write http_check(url, client=…) instead"
        )
    return http_check("", client=client)


def _check_redis(client: Any) -> Check:
    def ping() -> object:
        return client.ping()

    return ping


def _check_async_redis(client: Any) -> Check:
    async def ping() -> object:
        return await client.ping()

    return ping


def _check_engine(engine: Any) -> Check:
    from sqlalchemy import select  # which is loaded, as there is an engine

    statement = select(1)  # each dialect compiles its own: Oracle's has a FROM

    def select_one() -> None:
        with engine.connect() as connection:
            connection.execute(statement)

    return select_one


def _check_async_engine(engine: Any) -> Check:
    from sqlalchemy import select

    statement = select(1)

    async def select_one() -> None:
        async with engine.connect() as connection:
            await connection.execute(statement)

    return select_one


def _check_asyncpg(pool: Any) -> Check:
    async def select_one() -> None:
        await pool.fetchval("SELECT 1")

    return select_one


def _check_psycopg(pool: Any) -> Check:
    def select_one() -> None:
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    return select_one


def _check_async_psycopg(pool: Any) -> Check:
    async def select_one() -> None:
        async with pool.connection() as connection:
            await connection.execute("SELECT 1")

    return select_one


def _check_aiosqlite(connection: Any) -> Check:
    async def select_one() -> None:
        async with connection.execute("SELECT 1") as cursor:
            await cursor.fetchone()

    return select_one


def _check_django(connection: Any) -> Check:
    from django.db import connections

    alias = connection.alias

    def select_one() -> None:
        own = connections[alias]  # that of this thread, which runs one call of the check and nothing else
        try:
            with own.cursor() as cursor:
                cursor.execute(f"SELECT 1{own.features.bare_select_suffix}")  # Oracle's has a FROM
        finally:
            own.close()

    return select_one


CHECKS: dict[str, Callable[[Any], Check]] = {
    "httpx.AsyncClient": _check_httpx,
    "httpx.Client": _check_httpx,
    "httpx2.AsyncClient": _check_httpx,
    "httpx2.Client": _check_httpx,
    "redis.client.Redis": _check_redis,
    "redis.cluster.RedisCluster": _check_redis,
    "redis.asyncio.client.Redis": _check_async_redis,
    "redis.asyncio.cluster.RedisCluster": _check_async_redis,
    "sqlalchemy.engine.base.Engine": _check_engine,
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": _check_async_engine,
    "asyncpg.pool.Pool": _check_asyncpg,
    "psycopg_pool.pool.ConnectionPool": _check_psycopg,
    "psycopg_pool.pool_async.AsyncConnectionPool": _check_async_psycopg,
    "aiosqlite.core.Connection": _check_aiosqlite,
    "django.utils.connection.ConnectionProxy": _check_django,
    "django.db.backends.base.base.BaseDatabaseWrapper": _check_django,
}
"""The class of a client or a pool, searched among its bases from the most derived on, and what makes a check of it."""

_POOL = "a check would disturb what the program does on this connection: pass its pool, or a function that connects"
_ENGINE = "pass its engine"
_URL = "it has no address of its own: write http_check(url, client=…)"
ADVICE = {
    "asyncpg.connection.Connection": _POOL,
    "asyncpg.pool.PoolConnectionProxy": _POOL,
    "psycopg.Connection": _POOL,
    "psycopg.AsyncConnection": _POOL,
    "sqlalchemy.orm.session.Session": _ENGINE,
    "sqlalchemy.orm.session.sessionmaker": _ENGINE,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _ENGINE,
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": _ENGINE,
    "sqlalchemy.engine.base.Connection": _ENGINE,
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _ENGINE,
    "requests.sessions.Session": _URL,
    "urllib3.poolmanager.PoolManager": "write http_check(url)",
    "urllib3.connectionpool.HTTPConnectionPool": "write http_check(url)",
    "django.db.utils.ConnectionHandler": "pass one of them, such as connections['default']",
    "builtins.str": "write http_check(url) or tcp_check(host, port)",
}
"""What to do instead for an object that is no check by itself."""
