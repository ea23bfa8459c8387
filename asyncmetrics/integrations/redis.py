"""redis-py: the commands and pipelines of its clients, sync and async, also of clusters, and their pools.

Commands that wait by design, such as BLPOP, are not measured, and neither is what redis-py does inside of a call or
while it looks for the nodes of a cluster.
"""

from __future__ import annotations

import inspect
from asyncio import current_task
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import wraps
from threading import get_ident
from time import perf_counter
from typing import Any, TypeAlias, final

import redis
from redis import asyncio as redis_asyncio
from redis import client as sync_client
from redis import cluster
from redis.asyncio import client as async_client
from redis.asyncio import cluster as async_cluster

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.library import Integration
from asyncmetrics.integrations.redis_commands import find_command
from asyncmetrics.integrations.redis_metrics import RedisMetrics
from asyncmetrics.integrations.redis_pools import PoolHooks
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.calls import CallSeries
from asyncmetrics.patching import Patch, Wrap

__all__ = ("INTEGRATION", "RedisIntegration")

_Function: TypeAlias = Callable[..., Any]
_FindPart: TypeAlias = Callable[[Any], Any]

_PIPELINE = "PIPELINE"

_CALLER: ContextVar[int] = ContextVar("asyncmetrics_redis_caller", default=0)
"""The task or thread that is inside of a call, so that a call inside of it is none of its own.

It is a number and not a flag: a task that is started meanwhile inherits the context.
"""


@final
class RedisIntegration(Integration[RedisMetrics]):
    """The integration with redis-py. Clients with the same pool are measured together: a pipeline has just the pool."""

    def __init__(self) -> None:
        super().__init__("redis", DATABASE_DEFAULTS, [Patch(*one) for one in self._list_wrappers() if _exists(*one)])

    def make_metrics(self, options: Mapping[str, Any]) -> RedisMetrics:
        """Return the metrics for these options."""
        return RedisMetrics(options)

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the pool of a client."""
        if isinstance(target, redis_asyncio.RedisCluster):
            return (target,)
        return (_find_nodes(target) if isinstance(target, redis.RedisCluster) else _find_pool(target),)

    def adopt(self, part: Any, metrics: RedisMetrics) -> None:
        """Expose the pool of a client, by its own name."""
        others = self.find(None)
        if others is not None:
            others.forget(part)
        metrics.expose(part)

    def release(self, part: Any, metrics: RedisMetrics) -> None:
        """Stop exposing the pool of a client."""
        metrics.hide(part)

    def release_all(self, metrics: RedisMetrics) -> None:
        """Stop exposing all pools of these metrics."""
        metrics.hide_all()

    def _list_wrappers(self) -> Iterable[tuple[type, str, Wrap]]:
        clients: tuple[tuple[Any, Any, _FindPart, Callable[..., Wrap]], ...] = (
            (sync_client, cluster, _find_nodes, self._measure),
            (async_client, async_cluster, _find_async_cluster, self._measure_async),
        )
        for client, clusters, find_nodes, measure in clients:
            yield client.Redis, "execute_command", measure(_find_pool)
            yield client.Pipeline, "immediate_execute_command", measure(_find_pool)
            yield client.Pipeline, "execute", measure(_find_pool, is_pipeline=True)
            yield clusters.RedisCluster, "execute_command", measure(find_nodes)
            yield clusters.ClusterPipeline, "execute", measure(find_nodes, is_pipeline=True)
            # The commands of a transaction that are sent at once: there is no public name that sees no others.
            strategy: Any = getattr(clusters, "TransactionStrategy", None)
            yield strategy, "_immediate_execute_command", measure(_find_part_of_transaction)
        # A client of a cluster asks for its nodes and commands when it is made, and again when they have changed.
        yield cluster.NodesManager, "initialize", self._skip
        parser: Any = getattr(cluster, "CommandsParser", None)
        yield parser, "initialize", self._skip
        yield from PoolHooks(self.find, self.count_failure).list_wrappers()

    # This and the next method are `watch` and `watch_async` without a closure for each call: 0.5 µs of 6.
    def _measure(self, find_part: _FindPart, is_pipeline: bool = False) -> Wrap:
        def wrap(execute: _Function) -> _Function:
            @wraps(execute)
            def measured(client: Any, *args: Any, **options: Any) -> Any:
                series = self._begin(client, args, find_part, get_ident, is_pipeline)
                if series is None:
                    return execute(client, *args, **options)
                started = perf_counter()
                try:
                    result = execute(client, *args, **options)
                except BaseException as error:
                    self._end(series, perf_counter() - started, error)
                    raise
                self._end(series, perf_counter() - started)
                return result

            return measured

        return wrap

    def _measure_async(self, find_part: _FindPart, is_pipeline: bool = False) -> Wrap:
        def wrap(execute: _Function) -> _Function:
            @wraps(execute)
            async def measured(client: Any, *args: Any, **options: Any) -> Any:
                series = self._begin(client, args, find_part, _identify_task, is_pipeline)
                if series is None:
                    return await execute(client, *args, **options)
                started = perf_counter()
                try:
                    result = await execute(client, *args, **options)
                except BaseException as error:
                    self._end(series, perf_counter() - started, error)
                    raise
                self._end(series, perf_counter() - started)
                return result

            return measured

        return wrap

    def _begin(
        self,
        client: Any,
        args: tuple[Any, ...],
        find_part: _FindPart,
        identify_caller: Callable[[], int],
        is_pipeline: bool,
    ) -> CallSeries | None:
        """Begin a call, and return its series; None if it is not measured."""
        try:
            part = find_part(client)
            metrics = self.find(part)
            if metrics is None:
                return None
            caller = identify_caller()
            if _CALLER.get() == caller:
                return None
            if metrics.find_pool(part) is None:
                metrics.expose(part)
            operation = _find_pipeline(client) if is_pipeline else find_command(args)
            if not operation:
                return None
            series = metrics.at(("redis", operation))
            series.active.inc()  # what `series.begin()` does, without its call
        except Exception as error:  # noqa: BLE001  # changed internals of redis-py cost a measurement, never a call
            pass_interruption(error)
            self.count_failure()
            return None
        _CALLER.set(caller)
        return series

    def _end(self, series: CallSeries, seconds: float, error: BaseException | None = None) -> None:
        _CALLER.set(0)  # and not reset by a token: the garbage collector ends what was abandoned in any context
        if error is None:
            series.end(seconds)
        else:
            series.fail(seconds, error)

    def _skip(self, function: _Function) -> _Function:
        """Measure no commands inside of ``function``."""

        @wraps(function)
        def skipping(*args: Any, **kwargs: Any) -> Any:
            before = _CALLER.get()
            _CALLER.set(get_ident())
            try:
                return function(*args, **kwargs)
            finally:
                _CALLER.set(before)

        return skipping


def _exists(owner: Any, name: str, _wrap: Wrap) -> bool:
    return inspect.getattr_static(owner, name, None) is not None


def _identify_task() -> int:
    return id(current_task())


def _find_pool(client: Any) -> Any:
    return client.connection_pool


def _find_nodes(client: Any) -> Any:
    return client.nodes_manager


def _find_async_cluster(client: Any) -> Any:
    if isinstance(client, redis_asyncio.RedisCluster):
        return client
    # The client of a pipeline; before redis 6.2, it has no public name.
    return getattr(client, "cluster_client", None) or client._client


def _find_part_of_transaction(strategy: Any) -> Any:
    pipeline = strategy._pipe
    return _find_nodes(pipeline) if isinstance(pipeline, redis.RedisCluster) else _find_async_cluster(pipeline)


def _find_pipeline(pipeline: Any) -> str:
    """Return the operation of a pipeline; an empty text if it has nothing to send."""
    return _PIPELINE if len(pipeline) or getattr(pipeline, "watching", False) else ""


INTEGRATION = RedisIntegration()
