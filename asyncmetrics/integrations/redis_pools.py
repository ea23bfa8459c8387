"""The hooks into redis-py's pools: what a scrape cannot see of them, and that they are closed."""

from __future__ import annotations

from asyncio import TimeoutError as AsyncTimeoutError
from collections.abc import Callable, Iterable
from functools import partial, wraps
from queue import Empty
from time import perf_counter
from typing import Any, TypeAlias, final

import redis
from redis import asyncio as redis_asyncio
from redis import connection

from asyncmetrics.integrations.library import End, watch, watch_async
from asyncmetrics.integrations.redis_metrics import RedisMetrics
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Wrap

__all__ = ("PoolHooks",)

_Function: TypeAlias = Callable[..., Any]


@final
class PoolHooks:
    """The hooks into pools. ``find`` returns the metrics of a pool, ``count_failure`` counts an exception of ours."""

    def __init__(self, find: Callable[[Any], RedisMetrics | None], count_failure: Callable[[], None]) -> None:
        self._find = find
        self._count_failure = count_failure

    def list_wrappers(self) -> Iterable[tuple[type, str, Wrap]]:
        """Return what is wrapped, with its name and its wrapper. Not every version of redis-py has all of it."""
        yield connection.ConnectionPool, "make_connection", self._time_creation
        yield connection.BlockingConnectionPool, "make_connection", self._time_creation
        yield redis_asyncio.ConnectionPool, "make_connection", self._time_creation
        yield connection.BlockingConnectionPool, "get_connection", watch(self._begin_wait)
        yield redis_asyncio.BlockingConnectionPool, "get_connection", watch_async(self._begin_wait)
        yield redis.Redis, "close", self._close(_find_own_pool)
        yield connection.ConnectionPool, "close", self._close(_find_itself)
        yield redis.RedisCluster, "close", self._close(_find_nodes)
        for name in ("aclose", "close"):
            yield redis_asyncio.Redis, name, self._close_async(_find_own_pool)
            yield redis_asyncio.ConnectionPool, name, self._close_async(_find_itself)
            yield redis_asyncio.RedisCluster, name, self._close_async(_find_itself)

    def _time_creation(self, make: _Function) -> _Function:
        @wraps(make)
        def make_connection(pool: Any, *args: Any, **kwargs: Any) -> Any:
            new = make(pool, *args, **kwargs)
            try:
                metrics = self._find(pool)
                if metrics is not None and metrics.find_pool(pool) is not None:
                    metrics.time_creation(new, pool)
            except Exception as error:  # noqa: BLE001  # a connection class of the application may be different
                pass_interruption(error)
                self._count_failure()
            return new

        return make_connection

    def _begin_wait(self, pool: Any, *_: object, **__: object) -> End | None:
        """Begin to get a connection of a blocking pool, and return the function that ends it."""
        try:
            metrics = self._find(pool)
            if metrics is None or metrics.find_pool(pool) is None:
                return None
            waiting = metrics.list_waiting(pool) if _is_exhausted(pool) else None
        except Exception as error:  # noqa: BLE001  # changed internals of redis-py cost a measurement, never a call
            pass_interruption(error)
            self._count_failure()
            return None
        if waiting is not None:
            waiting.append(None)
        return partial(self._end_wait, metrics, pool, waiting, perf_counter())

    def _end_wait(
        self,
        metrics: RedisMetrics,
        pool: Any,
        waiting: list[None] | None,
        started: float,
        _connection: object,
        error: BaseException | None,
    ) -> None:
        try:
            if waiting is not None:
                waiting.pop()
            series = metrics.find_pool(pool)
            if series is None:  # closed meanwhile
                return
            is_timeout = _is_timeout(error)
            if is_timeout:
                series.count_timeout()
            if error is None or is_timeout or not isinstance(error, Exception):
                series.observe_wait(perf_counter() - started)
        except Exception as own:  # noqa: BLE001  # nothing of ours may break a call of the application
            pass_interruption(own)
            self._count_failure()

    def _close(self, find_pool: _Function) -> Wrap:
        def wrap(close: _Function) -> _Function:
            @wraps(close)
            def closing(owner: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    return close(owner, *args, **kwargs)
                finally:
                    self._hide(find_pool, owner, args, kwargs)

            return closing

        return wrap

    def _close_async(self, find_pool: _Function) -> Wrap:
        def wrap(close: _Function) -> _Function:
            @wraps(close)
            async def closing(owner: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    return await close(owner, *args, **kwargs)
                finally:
                    self._hide(find_pool, owner, args, kwargs)

            return closing

        return wrap

    def _hide(self, find_pool: _Function, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Stop exposing a closed pool; it is exposed again if it is used again."""
        try:
            pool = find_pool(owner, *args, **kwargs)
            metrics = self._find(pool)
            if metrics is not None:
                metrics.hide(pool)
        except Exception as error:  # noqa: BLE001  # wrong arguments of the application, which `close` refuses
            pass_interruption(error)
            self._count_failure()


def _is_exhausted(pool: Any) -> bool:
    """Return whether a call of a blocking pool has to wait for a connection."""
    queue = getattr(pool, "pool", None)  # that of a sync pool, and of an async pool in redis 5.0.0
    return not pool.can_get_connection() if queue is None else queue.empty()


def _is_timeout(error: BaseException | None) -> bool:
    """Return whether a blocking pool has raised ``error`` because it had no connection in time."""
    return isinstance(error, redis.ConnectionError) and isinstance(error.__context__, (Empty, AsyncTimeoutError))


def _find_itself(owner: Any) -> Any:
    return owner


def _find_own_pool(client: Any, close_connection_pool: bool | None = None) -> Any:
    """Return the pool that is closed with a client, which may be half made if its ``__init__`` has failed."""
    is_own = getattr(client, "auto_close_connection_pool", False)
    is_closed = is_own if close_connection_pool is None else close_connection_pool
    return getattr(client, "connection_pool", None) if is_closed else None


def _find_nodes(client: Any) -> Any:
    return getattr(client, "nodes_manager", None)  # missing if its `__init__` has failed
