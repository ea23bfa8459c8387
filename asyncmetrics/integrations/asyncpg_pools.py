"""asyncpg: the pools, and how long calls wait for their connections and use them.

*Theory of operation.*

1. A pool is exposed when a call acquires a connection, or when it creates one. `Lending` is what is known of it then.
2. The use of a connection ends when its holder is released: by the program, or because the connection was closed.
3. A pool that is closed, or cannot be initialized, is exposed no more. One that is abandoned disappears when it is
   collected: a pool allows no weak references, so its first holder stands for it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from functools import partial, wraps
from time import perf_counter
from typing import Any, TypeAlias, final

from asyncpg.pool import Pool, PoolConnectionHolder

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics
from asyncmetrics.integrations.library import Integration, guarded
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch, Wrap

__all__ = ("AsyncpgPools", "Lending")

Patches: TypeAlias = tuple[tuple[type, str, Wrap], ...]

_KIND = "db"  # of client
_TIMEOUTS = (TimeoutError, asyncio.TimeoutError)  # two classes before Python 3.11


@final
class Lending:
    """What is known of a pool that is exposed, from `Pools.add` to `end`."""

    def __init__(self, pool: Any, metrics: DatabaseMetrics, end: Callable[[], object]) -> None:
        self.metrics = metrics
        self.waiting = 0
        """The calls that wait for a connection."""
        self.starts: dict[int, float] = {}
        """When the use of each connection began, by the id of its holder."""
        self._pools = metrics.get_pools()
        self._get = _refer(pool._holders[0], end)
        self.series = self._pools.add(pool._holders[0], "asyncpg", self._read, metrics.pool_name)

    def end(self) -> None:
        """Stop exposing the pool."""
        self._pools.remove(self._get())

    def _read(self, holder: Any) -> PoolNumbers:
        pool = holder._pool
        idle = pool.get_idle_size()
        return PoolNumbers(idle, pool.get_size() - idle, pool.get_max_size(), self.waiting)


def _refer(holder: Any, end: Callable[[], object]) -> Callable[[], Any]:
    """Return a weak reference; before asyncpg 0.32, where there is none, a function that returns the holder."""
    return weakref.ref(holder, lambda _: end()) if type(holder).__weakrefoffset__ else lambda: holder


class AsyncpgPools(Integration[DatabaseMetrics]):
    """The integration with asyncpg's pools. ``calls`` are the methods of other classes, and the wrappers of each."""

    def __init__(self, calls: Patches) -> None:
        pools: Patches = (
            (Pool, "_async__init__", self._wrap_initialization),
            (Pool, "_acquire", self._wrap_acquire),
            (Pool, "_get_new_connection", self._wrap_creation),
            (Pool, "close", self._wrap_close),
            (Pool, "terminate", self._wrap_terminate),
            (PoolConnectionHolder, "_release", self._wrap_release),
        )
        # asyncpg 0.29 has no `fetchmany`, and a later version may have other private names.
        patches = [Patch(owner, name, wrap) for owner, name, wrap in (*pools, *calls) if name in vars(owner)]
        super().__init__("asyncpg", DATABASE_DEFAULTS, patches)
        self._lendings: dict[int, Lending] = {}  # by the id of the pool

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options, has_pools=True)

    def adopt(self, part: Any, metrics: DatabaseMetrics) -> None:  # noqa: ARG002
        """Expose a pool."""
        if isinstance(part, Pool):
            self._expose(part)

    def release(self, part: Any, metrics: DatabaseMetrics) -> None:  # noqa: ARG002
        """Stop exposing a pool."""
        self._end(id(part))

    @guarded
    def release_all(self, metrics: DatabaseMetrics) -> None:
        """Stop exposing the pools that these metrics measured."""
        for key, lending in list(self._lendings.items()):
            if lending.metrics is metrics:
                self._end(key)

    def _wrap_initialization(self, initialize: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(initialize)
        async def measured(pool: Any) -> Any:
            try:
                return await initialize(pool)
            except BaseException:
                self._forget_failed(pool)
                raise

        return measured

    def _wrap_acquire(self, acquire: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(acquire)
        async def measured(pool: Any, *args: Any, **kwargs: Any) -> Any:
            lending = self._lendings.get(id(pool)) or self._expose(pool)
            if lending is None:
                return await acquire(pool, *args, **kwargs)
            lending.waiting += 1
            started = perf_counter()
            try:
                proxy = await acquire(pool, *args, **kwargs)
            except BaseException as error:
                self._end_wait(lending, perf_counter() - started, error)
                raise
            finally:
                lending.waiting -= 1
            self._begin_use(lending, proxy, started)
            return proxy

        return measured

    def _wrap_creation(self, create: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(create)
        async def measured(pool: Any, *args: Any, **kwargs: Any) -> Any:
            lending = self._expose(pool)
            started = perf_counter()
            try:
                connection = await create(pool, *args, **kwargs)
            except BaseException as error:
                self._fail_to_connect(pool, perf_counter() - started, error)
                raise
            if lending is not None:
                self._observe_creation(lending, perf_counter() - started)
            return connection

        return measured

    def _wrap_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(close)
        async def measured(pool: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await close(pool, *args, **kwargs)
            finally:
                self._forget_closed(pool)

        return measured

    def _wrap_terminate(self, terminate: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(terminate)
        def measured(pool: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return terminate(pool, *args, **kwargs)
            finally:
                self._forget_closed(pool)

        return measured

    def _wrap_release(self, release: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(release)
        def measured(holder: Any) -> Any:
            self._end_use(holder)
            return release(holder)

        return measured

    @guarded
    def _expose(self, pool: Any) -> Lending | None:
        """Return the record of ``pool``; None if it is not measured, or has no holders yet, or is closing."""
        metrics, lending = self.find(pool), self._lendings.get(id(pool))
        if lending is not None:
            if lending.metrics is metrics:
                return lending
            self._end(id(pool))
        if metrics is None or not pool._holders or pool.is_closing():
            return None
        lending = self._lendings[id(pool)] = Lending(pool, metrics, partial(self._lendings.pop, id(pool), None))
        return lending

    @guarded
    def _end_wait(self, lending: Lending, seconds: float, error: BaseException) -> None:
        """Record a call that got no connection: it has waited in vain, or none could be made."""
        if isinstance(error, _TIMEOUTS):
            lending.series.count_timeout()
        elif isinstance(error, Exception):
            return
        lending.series.observe_wait(seconds, _KIND)

    @guarded
    def _fail_to_connect(self, pool: Any, seconds: float, error: BaseException) -> None:
        metrics = self.find(pool)
        if metrics is not None:
            metrics.fail_to_connect("postgresql", seconds, error)

    @guarded
    def _observe_creation(self, lending: Lending, seconds: float) -> None:
        lending.series.observe_creation(seconds)

    @guarded
    def _begin_use(self, lending: Lending, proxy: Any, started: float) -> None:
        now = perf_counter()
        lending.series.observe_wait(now - started, _KIND)
        lending.starts[id(proxy._holder)] = now

    @guarded
    def _end_use(self, holder: Any) -> None:
        lending = self._lendings.get(id(holder._pool))
        if lending is not None and (started := lending.starts.pop(id(holder), None)):
            lending.series.observe_use(perf_counter() - started)

    @guarded
    def _forget_failed(self, pool: Any) -> None:
        """Forget a pool that cannot be initialized: a program that tries again makes another one."""
        if not pool._initializing:  # by another task
            self._forget(pool)

    @guarded
    def _forget_closed(self, pool: Any) -> None:
        if pool.is_closing():
            self._forget(pool)

    def _forget(self, pool: Any) -> None:
        self._end(id(pool))
        self.forget(pool)

    def _end(self, key: int) -> None:
        lending = self._lendings.pop(key, None)
        if lending is not None:
            lending.end()
