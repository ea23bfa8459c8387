"""The metrics of Redis clients: of their commands, and of their pools of connections.

A pool is a ``ConnectionPool``, or a cluster, whose nodes have connections each: they are added up.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary

from redis import asyncio as redis_asyncio
from redis import cluster, connection

from asyncmetrics.integrations.database import DatabaseMetrics
from asyncmetrics.metrics.pools import PoolNumbers, PoolSeries

__all__ = ("RedisMetrics",)

_NO_LIMIT = 2**31

_Counts: TypeAlias = tuple[Iterable[Any], int, int]
"""The connections that are not in use, the number of those that are, and the limit of both."""


@final
class RedisMetrics:
    """The metrics of the clients with the same options."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        database = DatabaseMetrics(options, kind="redis", has_pools=True)
        self.at = database.calls.at
        """Return the series of a system, which is ``redis``, and a command."""
        self._name = database.pool_name
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # kept, since a closed pool may be used again
        self._waiting: WeakKeyDictionary[Any, list[None]] = WeakKeyDictionary()
        self._creations: WeakKeyDictionary[Any, _Creation] = WeakKeyDictionary()
        self._pools = database.get_pools()
        self.find_pool = self._pools.find
        """Return the series of a pool that is exposed."""

    def expose(self, pool: Any) -> PoolSeries:
        """Expose a pool, and return its series."""
        read = next(read for kind, read in _READERS if isinstance(pool, kind))
        name = self._name or self._names.get(pool, "")

        def read_numbers(pool: Any) -> PoolNumbers:
            return _make_numbers(read(pool), self._count_waiting(pool))

        series = self._pools.add(pool, "redis", read_numbers, name)
        self._names[pool] = series.name
        return series

    def hide(self, pool: object) -> None:
        """Stop exposing a pool that is closed, or not measured any longer."""
        self._pools.remove(pool)

    def forget(self, pool: Any) -> None:
        """Stop exposing a pool that others measure from now on."""
        self.hide(pool)
        self._names.pop(pool, None)

    def hide_all(self) -> None:
        """Stop exposing all pools of these metrics."""
        for reference in self._names.keyrefs():
            self.hide(reference())

    def list_waiting(self, pool: Any) -> list[None]:
        """Return the list with one item for each call that waits for a connection of ``pool``."""
        return self._waiting.setdefault(pool, [])

    def time_creation(self, new: Any, pool: Any) -> None:
        """Record how long it takes until a new connection of ``pool`` is connected for the first time."""
        creation = _Creation(self, pool)
        new.register_connect_callback(creation.end)
        self._creations[new] = creation

    def end_creation(self, new: Any, pool: Any, seconds: float) -> None:
        """Record the creation of a connection, unless its pool is closed."""
        # Not deregistered: the connection walks through the list of its callbacks now, and forgets dead ones later.
        self._creations.pop(new, None)
        series = self.find_pool(pool)
        if series is not None:
            series.observe_creation(seconds)

    def _count_waiting(self, pool: Any) -> int | None:
        return len(self._waiting.get(pool, ())) if isinstance(pool, _BLOCKING) else None


@final
class _Creation:
    """The creation of a connection, which keeps a weak reference to `end` and calls it when it is connected."""

    def __init__(self, metrics: RedisMetrics, pool: Any) -> None:
        self._metrics = metrics
        self._find_pool = weakref.ref(pool)
        self._started = perf_counter()

    def end(self, new: Any) -> None:
        self._metrics.end_creation(new, self._find_pool(), perf_counter() - self._started)


def _read_pool(pool: Any) -> _Counts:
    return list(pool._available_connections), len(pool._in_use_connections), pool.max_connections


def _read_blocking_pool(pool: Any) -> _Counts:
    free = [idle for idle in list(pool.pool.queue) if idle is not None]
    return free, len(pool._connections) - len(free), pool.max_connections


def _read_async_node(node: Any) -> _Counts:
    return list(node._free), len(node._connections) - len(node._free), node.max_connections


def _read_cluster(nodes: Any) -> _Counts:
    clients = [node.redis_connection for node in list(nodes.nodes_cache.values())]
    return _add_up(_read_pool(client.connection_pool) for client in clients if client is not None)


def _read_async_cluster(client: Any) -> _Counts:
    return _add_up(_read_async_node(node) for node in list(client.get_nodes()))


def _add_up(counts: Iterable[_Counts]) -> _Counts:
    idle: list[Any] = []
    used = limit = 0
    for more_idle, more_used, more_limit in counts:
        idle += more_idle
        used += more_used
        limit += more_limit
    return idle, used, limit


def _make_numbers(counts: _Counts, pending: int | None) -> PoolNumbers:
    free, used, limit = counts
    # A pool keeps the objects of connections that were closed or lost.
    idle = sum(1 for one in free if _is_connected(one))
    return PoolNumbers(idle, used, limit if limit < _NO_LIMIT else None, pending)


def _is_connected(one: Any) -> bool:
    state = getattr(one, "is_connected", None)  # of sync connections: in later versions only
    return one._sock is not None if state is None else bool(state)


_BLOCKING = (connection.BlockingConnectionPool, redis_asyncio.BlockingConnectionPool)
_READERS: tuple[tuple[type, Callable[[Any], _Counts]], ...] = (
    (connection.BlockingConnectionPool, _read_blocking_pool),
    (cluster.NodesManager, _read_cluster),
    (redis_asyncio.RedisCluster, _read_async_cluster),
    (object, _read_pool),
)
