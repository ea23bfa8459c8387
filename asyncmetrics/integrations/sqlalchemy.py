"""SQLAlchemy: the statements of every engine, sync and async, and the pools of their connections.

*Theory of operation.*

1. The listeners are on the classes, so they hear every engine, also one that is older than they are. Engines that share
   a pool, as those of ``execution_options()`` do, share a dialect: it is the part that is measured.
2. A statement begins at ``before_cursor_execute`` and ends at ``after_cursor_execute`` or ``handle_error``. In between
   it is an attribute of its execution context. Where SQLAlchemy calls neither, it ends with the execution context.
3. ``Engine.raw_connection`` takes a connection out of the pool. For this time, the context variable ``_CHECKOUT`` has
   the call, so that the listeners know the pool of the connection that is made or checked out.
4. ``dispose()`` makes a new pool. The name belongs to the engine, and `_Engine.follow` reads the new pool under it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar, final

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import Pool, QueuePool

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics, disown, find_operation, is_owned, own
from asyncmetrics.integrations.library import Integration
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.calls import CallSeries
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch

__all__ = ("INTEGRATION", "SQLAlchemyIntegration")

T = TypeVar("T")

_SYSTEMS = {"oracle": "oracle.db", "mssql": "microsoft.sql_server"}
"""The systems that OpenTelemetry's conventions name otherwise than SQLAlchemy's dialects."""


@final
class _Engine:
    """What is measured of the engines of one dialect: their statements, and their pool. It keeps none of them alive."""

    __slots__ = ("at", "dialect", "is_open", "is_queue", "metrics", "pool", "records", "series", "system", "waiting")

    def __init__(self, dialect: Any, metrics: DatabaseMetrics, forget: Callable[[object], object]) -> None:
        self.metrics = metrics
        self.dialect = weakref.ref(dialect, forget)
        self.system: str = _SYSTEMS.get(dialect.name, dialect.name)
        self.at = metrics.calls.at
        self.waiting: set[_Checkout] = set()
        self.is_open = True
        self.series = metrics.get_pools().add(dialect, "SQLAlchemy", self.read_pool, metrics.pool_name)

    def follow(self, pool: Any) -> None:
        """Read ``pool`` from now on."""
        self.pool = weakref.ref(pool)
        self.is_queue = isinstance(pool, QueuePool)
        self.records: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def read_pool(self, _: object) -> PoolNumbers:
        """Return the numbers of the pool."""
        pool, pending = self.pool(), len(self.waiting)
        if isinstance(pool, QueuePool):
            overflow = getattr(pool, "_max_overflow", -1)  # no public name; -1: no limit
            limit = pool.size() + overflow if overflow >= 0 else None
            # A pool that was disposed of gets connections back that it does not count.
            return PoolNumbers(pool.checkedin(), max(pool.checkedout(), 0), limit, pending)
        records = [record for ref in self.records.valuerefs() if (record := ref()) is not None]
        uses = [record.in_use for record in records if record.dbapi_connection is not None]
        return PoolNumbers(uses.count(False), uses.count(True), None, pending)

    def close(self) -> None:
        """Expose the pool no more, and leave its connections to the integration of the driver."""
        self.is_open = False
        self.metrics.get_pools().remove(self.dialect())
        disown(self.dialect)


@final
class _Statement:
    """A statement that runs."""

    __slots__ = ("_began", "_engine", "_series")

    def __init__(self, engine: _Engine, series: CallSeries) -> None:
        series.begin()
        self._engine = engine
        self._series: CallSeries | None = series
        self._began = perf_counter()

    def end(self, error: BaseException | None) -> None:
        series, self._series = self._series, None
        if series is None:
            return
        seconds = perf_counter() - self._began
        if error is None:
            series.end(seconds)
        else:
            series.fail(seconds, error)

    def __del__(self) -> None:
        series = self._series
        if series is None:
            return
        if self._engine.is_open:  # `skip_user_error_events`, or an error while an error is handled
            series.end(perf_counter() - self._began, "error")
        else:  # the listeners were removed meanwhile
            series.active.dec()


@final
class _Checkout:
    """A call that takes a connection out of a pool."""

    __slots__ = ("creating", "engine")

    def __init__(self, engine: _Engine) -> None:
        self.engine = engine
        self.creating = 0.0


_CHECKOUT: ContextVar[_Checkout | None] = ContextVar("asyncmetrics_checkout", default=None)


class SQLAlchemyIntegration(Integration[DatabaseMetrics]):
    """The integration with SQLAlchemy."""

    def __init__(self) -> None:
        patches = [Patch(Engine, "raw_connection", self._wrap_raw_connection)]
        super().__init__("sqlalchemy", DATABASE_DEFAULTS, patches)
        self._engines: dict[int, _Engine] = {}
        # Since when each connection is used, by its record.
        self._uses: weakref.WeakKeyDictionary[object, tuple[_Engine, float]] = weakref.WeakKeyDictionary()
        self._listeners: tuple[tuple[type, str, Callable[..., Any]], ...] = (
            (Engine, "before_cursor_execute", self._begin_statement),
            (Engine, "after_cursor_execute", self._end_statement),
            (Engine, "handle_error", self._fail_statement),
            (Engine, "engine_disposed", self._follow_pool),
            (Engine, "do_connect", self._begin_connection),
            (Pool, "connect", self._end_connection),
            (Pool, "checkout", self._begin_use),
            (Pool, "checkin", self._end_use),
            (Pool, "detach", self._end_use),
        )

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options)

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the dialect of an engine, sync or async: the engines of its ``execution_options()`` have the same."""
        return (target.dialect,)

    def instrument(self, target: T, **options: Any) -> T:
        """Measure an engine and expose its pool, as `Integration.instrument` says."""
        engine: Any = super().instrument(target, **options)
        with self._lock:
            self._find_engine(engine)
        return target

    def hook(self, undo: ExitStack) -> None:
        """Apply the patch, and add the listeners."""
        for target in (Engine, Dialect):
            undo.callback(_restore_flag, target, vars(target).get("_has_events"))
        super().hook(undo)
        for owner, name, listener in self._listeners:
            returns = {"retval": True} if name == "before_cursor_execute" else {}
            event.listen(owner, name, listener, **returns)
            undo.callback(event.remove, owner, name, listener)

    def release(self, part: Any, metrics: DatabaseMetrics) -> None:  # noqa: ARG002
        """Expose the pool of an engine no more, unless `measure_all` measures it still."""
        engine = self._engines.pop(id(part), None)
        if engine is not None:
            engine.close()

    def release_all(self, metrics: DatabaseMetrics) -> None:
        """Expose the pools of all engines no more that these metrics measured."""
        for key, engine in list(self._engines.items()):
            if engine.metrics is metrics:
                del self._engines[key]
                engine.close()

    def _find_engine(self, engine: Any) -> _Engine | None:
        """Return what is measured of an engine of SQLAlchemy; None if it is not measured."""
        dialect = engine.dialect
        metrics = self.find(dialect)
        known = self._engines.get(id(dialect))
        if known is not None and known.metrics is metrics:
            return known
        return self._add_engine(engine, dialect, metrics) if metrics is not None else None

    def _add_engine(self, engine: Any, dialect: Any, metrics: DatabaseMetrics) -> _Engine:
        with self._lock:
            known = self._engines.get(id(dialect))
            if known is not None and known.metrics is metrics:  # another thread was faster
                return known
            if known is not None:  # it is instrumented by itself now
                known.close()
            key = id(dialect)
            new = _Engine(dialect, metrics, lambda _: self._engines.pop(key, None))
            new.follow(engine.pool)
            self._engines[key] = new
            return new

    def _begin_statement(
        self, conn: Any, _cursor: Any, statement: Any, parameters: Any, context: Any, _executemany: bool
    ) -> tuple[Any, Any]:
        try:
            engine = self._find_engine(conn.engine)
            if engine is not None:
                context._asyncmetrics = _Statement(engine, engine.at((engine.system, find_operation(statement))))
        except Exception as error:  # noqa: BLE001  # nothing of ours may break a statement of the application
            pass_interruption(error)
            self.count_failure()
        return statement, parameters

    def _end_statement(
        self, _conn: Any, _cursor: Any, _statement: Any, _parameters: Any, context: Any, _executemany: bool
    ) -> None:
        self._end(context, None)

    def _fail_statement(self, failure: Any) -> None:
        self._end(failure.execution_context, failure.sqlalchemy_exception or failure.original_exception)

    def _end(self, context: Any, error: BaseException | None) -> None:
        running: _Statement | None = getattr(context, "_asyncmetrics", None)
        if running is None:
            return
        try:
            del context._asyncmetrics
            running.end(error)
        except Exception as own_error:  # noqa: BLE001  # as in `_begin_statement`
            pass_interruption(own_error)
            self.count_failure()

    def _wrap_raw_connection(self, raw_connection: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(raw_connection)
        def measured(engine: Any, *args: Any, **kwargs: Any) -> Any:
            checkout = self._begin_checkout(engine)
            if checkout is None:
                return raw_connection(engine, *args, **kwargs)
            known = checkout.engine
            # Not `reset`: it raises where the garbage collector closes a greenlet in another context.
            outer = _CHECKOUT.get()
            _CHECKOUT.set(checkout)
            known.waiting.add(checkout)
            began = perf_counter()
            try:
                connection = raw_connection(engine, *args, **kwargs)
            except PoolTimeoutError:
                self._record(known, known.series.count_timeout)
                raise
            finally:
                known.waiting.discard(checkout)
                _CHECKOUT.set(outer)
            self._record(known, known.series.observe_wait, perf_counter() - began)
            return connection

        return measured

    def _begin_checkout(self, engine: Any) -> _Checkout | None:
        try:
            known = self._find_engine(engine)
            if known is None:
                return None
            if known.pool() is not engine.pool:
                known.follow(engine.pool)
            return _Checkout(known)
        except Exception as error:  # noqa: BLE001  # as in `_begin_statement`
            pass_interruption(error)
            self.count_failure()
            return None

    def _record(self, engine: _Engine, record: Callable[..., None], *values: float) -> None:
        """Call a function of the pool's series, which would come back if the engine is not measured any more."""
        try:
            if engine.is_open:
                record(*values)
        except Exception as error:  # noqa: BLE001  # as in `_begin_statement`
            pass_interruption(error)
            self.count_failure()

    def _follow_pool(self, engine: Any) -> None:
        known = self._engines.get(id(engine.dialect))
        if known is not None:
            known.follow(engine.pool)

    def _begin_connection(self, _dialect: Any, _record: Any, _args: Any, _params: Any) -> None:
        checkout = _CHECKOUT.get()
        if checkout is not None:
            checkout.creating = perf_counter()

    def _end_connection(self, _connection: Any, record: Any) -> None:
        """Own a new connection before the dialect runs its first queries on it."""
        checkout = _CHECKOUT.get()
        if checkout is None:
            return
        if checkout.creating:
            self._record(checkout.engine, checkout.engine.series.observe_creation, perf_counter() - checkout.creating)
            checkout.creating = 0.0
        own(record.driver_connection, checkout.engine.dialect)

    def _begin_use(self, _connection: Any, record: Any, _proxy: Any) -> None:
        checkout = _CHECKOUT.get()
        if checkout is None:
            return
        engine = checkout.engine
        if not engine.is_queue:
            engine.records[id(record)] = record
        self._uses[record] = engine, perf_counter()
        driver = record.driver_connection
        if not is_owned(driver):
            own(driver, engine.dialect)

    def _end_use(self, _connection: Any, record: Any) -> None:
        use = self._uses.pop(record, None)
        if use is not None:
            engine, began = use
            self._record(engine, engine.series.observe_use, perf_counter() - began)


def _restore_flag(target: Any, before: object) -> None:
    """Restore the flag of a class that has listeners, which SQLAlchemy sets and never clears, if it has none."""
    try:
        levels = [getattr(target.dispatch, name)._clslevel for name in target.dispatch._event_names]
        if before is False and not any(level.get(target) for level in levels):
            target._has_events = before
    except AttributeError:  # these names are private; with the flag, SQLAlchemy looks for listeners in vain
        return


INTEGRATION = SQLAlchemyIntegration()
