"""psycopg_pool: the connections of every pool, and how long calls wait for one.

A pool that is instrumented by itself also has the statements of its connections measured, from the next time on that
the pool gives one. In a library that is measured, the integration with psycopg measures them.

*Theory of operation.*

1. A pool is exposed when it is opened, gives a connection or is instrumented. Its series disappear when it is closed.
2. A scrape reads ``get_stats()``. Its ``pool_size`` includes connections that are not made yet, and its
   ``requests_waiting`` calls that have given up. So the used connections are those that ``getconn`` has returned and
   ``putconn`` has not got back, and the calls that wait are those inside of ``getconn``.
3. ``connection()`` calls both methods, and so does a connection that returns to its pool when it is closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Any, final
from weakref import WeakKeyDictionary, WeakSet

from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics
from asyncmetrics.integrations.library import End, Integration, guarded, watch, watch_async
from asyncmetrics.integrations.psycopg import INTEGRATION as PSYCOPG
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch, Wrap
from asyncmetrics.wrapping import Measure

__all__ = ("INTEGRATION", "PsycopgPoolIntegration")

_KIND = "psycopg"
_CLIENT = "db"  # in the request totals
_DEFAULT_NAME = re.compile(r"pool-\d+")  # that psycopg gives: it is another one in each process
_POOLS: tuple[type, ...] = (ConnectionPool, AsyncConnectionPool)


@final
class _Exposed:
    """A pool that is exposed: its metrics, and its connections that are in use, by the time of their beginning."""

    __slots__ = ("followed", "is_own", "metrics", "series", "uses", "waiting")

    def __init__(self, pool: Any, metrics: DatabaseMetrics, is_own: bool) -> None:
        self.metrics = metrics
        self.is_own = is_own
        self.uses: dict[int, float] = {}
        self.waiting: list[None] = []  # an item for each call that waits: threads add and remove them
        self.followed: WeakSet[Any] = WeakSet()
        given = "" if _DEFAULT_NAME.fullmatch(pool.name) else pool.name
        read = partial(_read, self.uses, self.waiting)
        self.series = metrics.get_pools().add(pool, _KIND, read, metrics.pool_name or given)


class PsycopgPoolIntegration(Integration[DatabaseMetrics]):
    """The integration with psycopg_pool; a pool without connections to keep, a null pool, is one of its pools."""

    def __init__(self) -> None:
        wrappers: tuple[tuple[type, str, Wrap], ...] = (
            (ConnectionPool, "getconn", watch(self._begin_wait)),
            (AsyncConnectionPool, "getconn", watch_async(self._begin_wait)),
            *(
                (pool, name, self.measured(choose))
                for pool in _POOLS
                for name, choose in (
                    ("putconn", self._choose_end_of_use),
                    ("open", self._choose_open),
                    ("close", self._choose_close),
                    ("_connect", self._choose_creation),  # private: nothing else sees how long it takes
                )
                if name in vars(pool)
            ),
        )
        self._exposed: WeakKeyDictionary[Any, _Exposed] = WeakKeyDictionary()
        super().__init__("psycopg_pool", DATABASE_DEFAULTS, [Patch(*wrapper) for wrapper in wrappers])

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options, has_pools=True)

    def adopt(self, part: Any, metrics: DatabaseMetrics) -> None:
        """Expose a pool by metrics of its own."""
        self._hide(part)
        self._exposed[part] = _Exposed(part, metrics, is_own=True)

    def release(self, part: Any, metrics: DatabaseMetrics) -> None:  # noqa: ARG002  # `_Exposed` has them
        """Stop exposing a pool, and measuring the statements of its connections."""
        self._hide(part)

    def release_all(self, metrics: DatabaseMetrics) -> None:
        """Stop exposing the pools that these metrics measured."""
        for pool, exposed in list(self._exposed.items()):
            if exposed.metrics is metrics:
                self._hide(pool)

    def _hide(self, pool: Any) -> None:
        exposed = self._exposed.pop(pool, None)
        if exposed is not None:
            exposed.metrics.get_pools().remove(pool)
            for connection in list(exposed.followed):
                PSYCOPG.forget(connection)

    @guarded
    def _expose(self, pool: Any) -> _Exposed | None:
        """Return what is exposed of a pool; None if it is not measured, or closed."""
        metrics = self.find(pool)
        if metrics is None:
            return None
        exposed = self._exposed.get(pool)
        if exposed is None and not pool.closed:
            with self._lock:  # the threads of a pool come here as well
                exposed = self._exposed.get(pool)
                if exposed is None:
                    exposed = self._exposed[pool] = _Exposed(pool, metrics, is_own=False)
        return exposed

    @guarded
    def _begin_wait(self, pool: Any, *_: object, **__: object) -> End | None:
        """Begin a call of ``getconn``."""
        exposed = self._expose(pool)
        if exposed is None:
            return None
        exposed.waiting.append(None)
        return partial(self._end_getconn, pool, exposed, perf_counter())

    def _end_getconn(
        self, pool: Any, exposed: _Exposed, started: float, connection: Any, error: BaseException | None
    ) -> None:
        exposed.waiting.pop()
        seconds = perf_counter() - started
        if error is None:
            self._begin_use(pool, exposed, connection, seconds)
        else:
            self._end_wait(pool, exposed, seconds, error)

    @guarded
    def _end_wait(self, pool: Any, exposed: _Exposed, seconds: float, error: BaseException) -> None:
        """Record a call that has waited in vain; a pool that is closed, or has a full queue, lets no call wait."""
        if not self._is_exposed(pool, exposed):
            return
        if isinstance(error, PoolTimeout):
            exposed.series.count_timeout()
        elif isinstance(error, Exception):
            return
        exposed.series.observe_wait(seconds, _CLIENT)

    @guarded
    def _begin_use(self, pool: Any, exposed: _Exposed, connection: Any, waited: float) -> None:
        if not self._is_exposed(pool, exposed):
            return
        exposed.series.observe_wait(waited, _CLIENT)
        exposed.uses[id(connection)] = perf_counter()
        if exposed.is_own and PSYCOPG.follow(connection, exposed.metrics):
            exposed.followed.add(connection)

    def _choose_end_of_use(self, pool: Any, conn: Any, *_: object, **__: object) -> Measure | None:
        """End the use of a connection when ``putconn`` begins; the call itself is not measured."""
        exposed = self._exposed.get(pool)
        began = None if exposed is None else exposed.uses.pop(id(conn), None)
        if exposed is not None and began is not None:
            exposed.series.observe_use(perf_counter() - began)
        return None

    def _choose_open(self, pool: Any, *_: object, **__: object) -> Measure | None:
        return (lambda _: self._expose(pool)), None, None

    def _choose_close(self, pool: Any, *_: object, **__: object) -> Measure | None:
        return (lambda _: self._end_close(pool)), None, None

    @guarded
    def _end_close(self, pool: Any) -> None:
        if pool.closed:
            self._hide(pool)
            self.forget(pool)

    def _choose_creation(self, pool: Any, *_: object, **__: object) -> Measure | None:
        exposed = self._expose(pool)
        if exposed is None:
            return None
        return (
            lambda seconds: self._observe_creation(pool, exposed, seconds),
            lambda seconds, error: self._fail_to_connect(exposed, seconds, error),
            None,
        )

    @guarded
    def _observe_creation(self, pool: Any, exposed: _Exposed, seconds: float) -> None:
        if self._is_exposed(pool, exposed):
            exposed.series.observe_creation(seconds)

    @guarded
    def _fail_to_connect(self, exposed: _Exposed, seconds: float, error: BaseException) -> None:
        exposed.metrics.fail_to_connect("postgresql", seconds, error)

    def _is_exposed(self, pool: Any, exposed: _Exposed) -> bool:
        """Return whether a pool is exposed as when a call began: it may have been closed meanwhile."""
        return self._exposed.get(pool) is exposed


def _read(uses: dict[int, float], waiting: list[None], pool: Any) -> PoolNumbers:
    # `requests_waiting` of the pool includes calls that have given up. A null pool has no limit if `max_size` is 0.
    return PoolNumbers(pool.get_stats().get("pool_available", 0), len(uses), pool.max_size or None, len(waiting))


INTEGRATION = PsycopgPoolIntegration()
