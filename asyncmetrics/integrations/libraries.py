"""The table of what can be instrumented: classes of objects, and libraries.

To add a library, add one file, ``integrations/redis.py``, with an ``INTEGRATION`` (`asyncmetrics.integrations.library`)
and its entries in the two tables below. The tables hold names, so that a program loads what it uses only.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("ADVICE", "CLIENTS", "FRAMEWORKS", "LIBRARIES", "Library", "find_by_class")

_PACKAGE = "asyncmetrics.integrations"

FRAMEWORKS = {
    "fastapi.applications.FastAPI": f"{_PACKAGE}.fastapi",
    "starlette.applications.Starlette": f"{_PACKAGE}.starlette",
    "litestar.app.Litestar": f"{_PACKAGE}.litestar",
    "quart.app.Quart": f"{_PACKAGE}.quart",
    "django.core.handlers.asgi.ASGIHandler": f"{_PACKAGE}.django",
}
"""The class of an application, searched among its bases from the most derived on, and its integration."""

_CLASSES = {
    "httpx": ("httpx.AsyncClient", "httpx.Client", "httpx.AsyncHTTPTransport", "httpx.HTTPTransport"),
    "httpx2": ("httpx2.AsyncClient", "httpx2.Client", "httpx2.AsyncHTTPTransport", "httpx2.HTTPTransport"),
    "urllib3": (
        "requests.sessions.Session",
        "urllib3.poolmanager.PoolManager",
        "urllib3.connectionpool.HTTPConnectionPool",
    ),
    "sqlalchemy": ("sqlalchemy.engine.base.Engine", "sqlalchemy.ext.asyncio.engine.AsyncEngine"),
    "asyncpg": ("asyncpg.pool.Pool", "asyncpg.connection.Connection"),
    "psycopg": ("psycopg.Connection", "psycopg.AsyncConnection"),
    "psycopg_pool": ("psycopg_pool.pool.ConnectionPool", "psycopg_pool.pool_async.AsyncConnectionPool"),
    "aiosqlite": ("aiosqlite.core.Connection",),
    "redis": (
        "redis.client.Redis",
        "redis.asyncio.client.Redis",
        "redis.cluster.RedisCluster",
        "redis.asyncio.cluster.RedisCluster",
    ),
    "logging": ("logging.Logger",),
}
_OBJECTS = {
    "executors": ("concurrent.futures.thread.ThreadPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor"),
    "limiters": ("anyio.CapacityLimiter", "anyio._core._synchronization.CapacityLimiter", "trio.CapacityLimiter"),
    "item_queues": ("asyncio.queues.Queue", "queue.Queue"),
    "semaphores": ("asyncio.locks.Semaphore",),
    "memory_streams": (
        "anyio.streams.memory.MemoryObjectSendStream",
        "anyio.streams.memory.MemoryObjectReceiveStream",
        "trio.MemorySendChannel",
        "trio.MemoryReceiveChannel",
    ),
}
CLIENTS = {name: f"{_PACKAGE}.{integration}" for integration, names in _CLASSES.items() for name in names} | {
    name: f"asyncmetrics.runtime.{module}" for module, names in _OBJECTS.items() for name in names
}
"""The class of a client, a pool, a logger, or an object of `asyncmetrics.runtime`, as `FRAMEWORKS` has applications."""


_ENGINE = "instrument its engine, or all engines by instrument_all(only=['sqlalchemy'])"
_CLIENT = "instrument the client that uses it"
_QUEUE = "its items cannot be seen from outside; use a queue.Queue or an asyncio.Queue"
_SEMAPHORE = "an asyncio.Semaphore or an anyio.CapacityLimiter can be instrumented"
ADVICE = {
    "_queue.SimpleQueue": _QUEUE,
    "queue._PySimpleQueue": _QUEUE,
    "multiprocessing.queues.Queue": _QUEUE,
    "multiprocessing.queues.SimpleQueue": _QUEUE,
    "multiprocessing.pool.Pool": "use a concurrent.futures.ProcessPoolExecutor",
    "anyio.streams.stapled.StapledObjectStream": "instrument its send_stream",
    "builtins.tuple": "of the two ends of a memory stream, instrument one",
    "anyio.Semaphore": _SEMAPHORE,
    "anyio._core._synchronization.Semaphore": _SEMAPHORE,
    "asyncio.locks.Lock": "a semaphore with one permit, asyncio.Semaphore(1), can be instrumented",
    "sqlalchemy.orm.session.Session": _ENGINE,
    "sqlalchemy.orm.session.sessionmaker": _ENGINE,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _ENGINE,
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": _ENGINE,
    "sqlalchemy.engine.base.Connection": _ENGINE,
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _ENGINE,
    "sqlalchemy.pool.base.Pool": _ENGINE,
    "redis.connection.ConnectionPool": _CLIENT,
    "redis.asyncio.connection.ConnectionPool": _CLIENT,
    "structlog._generic.BoundLogger": "put asyncmetrics.integrations.structlog.count_events into its processors",
    "loguru._logger.Logger": "measure all of loguru by instrument_all(only=['loguru'])",
}
"""What to do instead for an object that is no client by itself, as `FRAMEWORKS` has the classes."""


class Library(NamedTuple):
    """A library that `instrument_all` measures."""

    module: str
    """The module whose import begins its measuring."""
    distribution: str
    """The name of its package; empty for a module of Python itself."""
    oldest: tuple[int, ...]
    """The oldest version that is measured."""
    integration: str


LIBRARIES = {
    "httpx": Library("httpx", "httpx", (0, 24), f"{_PACKAGE}.httpx"),
    "httpx2": Library("httpx2", "httpx2", (2,), f"{_PACKAGE}.httpx2"),
    "urllib3": Library("urllib3", "urllib3", (2,), f"{_PACKAGE}.urllib3"),
    "sqlalchemy": Library("sqlalchemy", "sqlalchemy", (2,), f"{_PACKAGE}.sqlalchemy"),
    "django": Library("django.db", "django", (4, 2), f"{_PACKAGE}.django_orm"),
    "asyncpg": Library("asyncpg", "asyncpg", (0, 29), f"{_PACKAGE}.asyncpg"),
    "psycopg": Library("psycopg", "psycopg", (3, 1), f"{_PACKAGE}.psycopg"),
    "psycopg_pool": Library("psycopg_pool", "psycopg-pool", (3, 2), f"{_PACKAGE}.psycopg_pool"),
    "aiosqlite": Library("aiosqlite", "aiosqlite", (0, 20), f"{_PACKAGE}.aiosqlite"),
    "redis": Library("redis", "redis", (5, 0, 2), f"{_PACKAGE}.redis"),
    "logging": Library("logging", "", (), f"{_PACKAGE}.logging"),
    "structlog": Library("structlog", "structlog", (24,), f"{_PACKAGE}.structlog"),
    "loguru": Library("loguru", "loguru", (0, 7), f"{_PACKAGE}.loguru"),
}
"""The libraries by the names that ``only=``, ``exclude=`` and ``ASYNCMETRICS_DISABLED`` have for them."""


def find_by_class(table: dict[str, str], target: object) -> str | None:
    """Return the integration of ``target`` by the names of its classes; None if ``table`` has none of them."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(target).__mro__)
    return next((table[name] for name in names if name in table), None)
