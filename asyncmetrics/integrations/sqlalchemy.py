"""SQLAlchemy: the statements of every engine, sync and async, and the pools of their connections.

*Theory of operation.*

1. The listeners are on the classes, so they hear every engine, also one that is older than they are. Engines that share
   a pool, as those of ``execution_options()`` do, share a dialect: it is the part that is measured.
2. The events ``do_execute``, ``do_executemany`` and ``do_execute_no_params`` let a listener run a statement, so a call
   is one frame: no error, cancellation or removal of the listeners leaves it without an end. They belong to the
   dialect. A listener of the engine, such as ``before_cursor_execute``, makes each new `Connection` join the listeners
   of all its events, which costs 15 µs.
3. ``Engine.raw_connection`` takes a connection out of the pool. For this time, the context variable ``_CHECKOUT`` has
   the call, so that the listeners know the pool of the connection that is made or checked out. The statements of this
   time are those by which the dialect gets to know the server.
4. ``dispose()`` makes a new pool. The name belongs to the engine, and `_Engine.follow` reads the new pool under it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from functools import partial, wraps
from time import perf_counter
from typing import Any, TypeVar, final

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import Pool, QueuePool

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics, disown, find_operation, give_back, is_owned, own
from asyncmetrics.integrations.library import Integration
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.calls import CallSeries
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch

__all__ = ("INTEGRATION", "SQLAlchemyIntegration")

T = TypeVar("T")

_SYSTEMS = {"oracle": "oracle.db", "mssql": "microsoft.sql_server"}
"""The systems that OpenTelemetry's conventions name otherwise than SQLAlchemy's dialects."""

_KIND = "db"  # of client
_EXECUTIONS = ("do_execute", "do_executemany", "do_execute_no_params")


@final
class _Engine:
    """What is measured of the engines of one dialect: their statements, and their pool. It keeps none of them alive."""

    __slots__ = (
        "at",
        "dialect",
        "has_older",
        "is_open",
        "is_queue",
        "metrics",
        "pool",
        "records",
        "series",
        "system",
        "waiting",
    )

    def __init__(self, dialect: Any, metrics: DatabaseMetrics, forget: Callable[[object], object]) -> None:
        self.metrics = metrics
        self.at = metrics.calls.at
        self.dialect = weakref.ref(dialect, forget)
        self.system: str = _SYSTEMS.get(dialect.name) or dialect.name
        self.waiting: set[_Checkout] = set()
        self.is_open = True
        self.has_older = False  # whether a connection may be in use that was checked out before
        self.series = metrics.get_pools().add(dialect, "SQLAlchemy", self.read_pool, metrics.pool_name)

    def follow(self, pool: Any) -> None:
        """Read ``pool`` from now on."""
        self.pool = weakref.ref(pool)
        self.is_queue = isinstance(pool, QueuePool)
        self.has_older = self.has_older or not isinstance(pool, QueuePool) or pool.checkedout() > 0
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
        """Stop exposing the pool, and leave its connections to the integration of the driver."""
        self.is_open = False
        self.metrics.get_pools().remove(self.dialect())
        disown(self.dialect)


@final
class _Checkout:
    """A call that takes a connection out of a pool."""

    __slots__ = ("creating", "engine", "is_running")

    def __init__(self, engine: _Engine) -> None:
        self.engine = engine
        self.creating = 0.0  # when the creation of a connection began
        self.is_running = True  # a task that the call starts inherits the context variable, and outlives the call


_CHECKOUT: ContextVar[_Checkout | None] = ContextVar("asyncmetrics_checkout", default=None)


def _find_checkout() -> _Checkout | None:
    checkout = _CHECKOUT.get()
    return checkout if checkout is not None and checkout.is_running else None


def _fail_checkout(engine: _Engine, seconds: float, error: BaseException) -> None:
    """Record a call that got no connection: it has waited in vain, or none could be made."""
    if isinstance(error, PoolTimeoutError):
        engine.series.count_timeout()
    elif isinstance(error, Exception):
        engine.metrics.fail_to_connect(engine.system, seconds, _find_cause(error))
        return
    engine.series.observe_wait(seconds, _KIND)


def _find_cause(error: BaseException) -> BaseException:
    """Return the driver's own exception, which SQLAlchemy's exception and its adapter of an async driver hide."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    is_adapted = type(error).__module__.startswith("sqlalchemy.")
    return error.__cause__ if is_adapted and error.__cause__ is not None else error


def _leave_out(connection: Any, engine: _Engine) -> None:
    """Leave a connection out of the measuring of the driver, also one that is older than the listeners."""
    driver = connection.driver_connection
    if not is_owned(driver):
        own(driver, engine.dialect)


class SQLAlchemyIntegration(Integration[DatabaseMetrics]):
    """The integration with SQLAlchemy."""

    def __init__(self) -> None:
        patches = [
            Patch(Engine, "raw_connection", self._wrap_raw_connection),
            Patch(Engine, "dispose", self._wrap_dispose),
        ]
        super().__init__("sqlalchemy", DATABASE_DEFAULTS, patches)
        self._engines: dict[int, _Engine] = {}
        # Since when each connection is used, by its record.
        self._uses: weakref.WeakKeyDictionary[object, tuple[_Engine, float]] = weakref.WeakKeyDictionary()
        self._listeners: tuple[tuple[type, str, Callable[..., Any]], ...] = (
            *((Dialect, name, self._make_listener(name)) for name in _EXECUTIONS),
            (Dialect, "do_connect", self._begin_connection),
            (Pool, "connect", self._end_connection),
            (Pool, "checkout", self._begin_use),
            (Pool, "checkin", self._end_use),
            (Pool, "detach", self._end_use),
            (Pool, "close", self._give_up),
        )

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options, has_pools=True)

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the dialect of an engine, sync or async: the engines of its ``execution_options()`` have the same."""
        return (target.dialect,)

    def instrument(self, target: T, **options: Any) -> T:
        """Measure an engine and expose its pool, as `Integration.instrument` says."""
        engine: Any = super().instrument(target, **options)
        self._find_engine(engine.dialect, engine)
        return target

    def hook(self, undo: ExitStack) -> None:
        """Apply the patches, and add the listeners."""
        undo.callback(_restore_flag, vars(Dialect).get("_has_events"))
        super().hook(undo)
        for target, name, listener in self._listeners:
            event.listen(target, name, listener)
            undo.callback(event.remove, target, name, listener)

    def release(self, part: Any, metrics: DatabaseMetrics) -> None:  # noqa: ARG002  # as the base class has it
        """Stop exposing the pool of an engine, until `measure_all` measures it again."""
        engine = self._engines.pop(id(part), None)
        if engine is not None:
            engine.close()

    def release_all(self, metrics: DatabaseMetrics) -> None:
        """Stop exposing the pools of all engines that these metrics measured."""
        for key, engine in list(self._engines.items()):
            if engine.metrics is metrics:
                del self._engines[key]
                engine.close()

    def _find_engine(self, dialect: Any, source: Any) -> _Engine | None:
        """Return what is measured of a dialect; None if it is not measured. ``source`` has an engine or is one."""
        metrics = self.find(dialect)
        known = self._engines.get(id(dialect))
        if known is not None and known.metrics is metrics:
            return known
        if metrics is None:
            return None
        with self._lock:
            known = self._engines.get(id(dialect))
            if known is not None:
                if known.metrics is metrics:  # another thread was faster
                    return known
                known.close()  # it is instrumented by itself now
            forget = partial(lambda engines, key, _: engines.pop(key, None), self._engines, id(dialect))
            new = _Engine(dialect, metrics, forget)
            new.follow(source.engine.pool)
            self._engines[id(dialect)] = new
            return new

    def _make_listener(self, name: str) -> Callable[..., bool | None]:
        """Return the listener that runs statements by the method ``name`` of the dialect, and measures them."""
        begin = self._begin_statement

        # Without `*args`, Python calls these functions on its own stack: greenlets copy the stack of C at each switch.
        def execute(cursor: Any, statement: Any, parameters: Any, context: Any) -> bool | None:
            series = begin(statement, context)
            if series is None:
                return None  # SQLAlchemy runs the statement
            began = perf_counter()
            try:
                dialect = context.dialect
                if not _ask_others(dialect, name, execute, (cursor, statement, parameters, context)):
                    getattr(dialect, name)(cursor, statement, parameters, context)
            except BaseException as error:
                series.fail(perf_counter() - began, _find_cause(error))
                raise
            series.end(perf_counter() - began)
            return True

        def execute_no_params(cursor: Any, statement: Any, context: Any) -> bool | None:
            series = begin(statement, context)
            if series is None:
                return None
            began = perf_counter()
            try:
                dialect = context.dialect
                if not _ask_others(dialect, name, execute_no_params, (cursor, statement, context)):
                    getattr(dialect, name)(cursor, statement, context)
            except BaseException as error:
                series.fail(perf_counter() - began, _find_cause(error))
                raise
            series.end(perf_counter() - began)
            return True

        return execute_no_params if name == "do_execute_no_params" else execute

    def _begin_statement(self, statement: object, context: Any) -> CallSeries | None:
        """Begin a statement. Return None for one that is not measured."""
        if context is None:
            return None
        try:
            engine = self._find_engine(context.dialect, context.root_connection)
            if engine is None:
                return None
            checkout = _CHECKOUT.get()
            if checkout is not None and checkout.engine is engine and checkout.is_running:
                return None
            if engine.has_older:
                _leave_out(context.root_connection.connection, engine)
            series = engine.at((engine.system, find_operation(statement)))
            series.begin()
        except Exception as error:  # noqa: BLE001  # nothing of ours may break a statement of the application
            pass_interruption(error)
            self.count_failure()
            return None
        return series

    def _record(self, record: Callable[..., None], *values: Any) -> None:
        try:
            record(*values)
        except Exception as error:  # noqa: BLE001  # as in `_begin_statement`
            pass_interruption(error)
            self.count_failure()

    def _wrap_raw_connection(self, raw_connection: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(raw_connection)
        def measured(engine: Any, *args: Any, **kwargs: Any) -> Any:
            checkout = self._begin_checkout(engine)
            if checkout is None:
                return raw_connection(engine, *args, **kwargs)
            known, outer = checkout.engine, _CHECKOUT.get()
            _CHECKOUT.set(checkout)
            known.waiting.add(checkout)
            began = perf_counter()
            try:
                connection = raw_connection(engine, *args, **kwargs)
            except BaseException as error:
                self._record(_fail_checkout, known, perf_counter() - began, error)
                raise
            finally:
                checkout.is_running = False
                known.waiting.discard(checkout)
                # Not `reset`: it raises where the garbage collector closes a greenlet in another context.
                _CHECKOUT.set(outer)
            self._record(known.series.observe_wait, perf_counter() - began, _KIND)
            return connection

        return measured

    def _begin_checkout(self, engine: Any) -> _Checkout | None:
        try:
            known = self._find_engine(engine.dialect, engine)
            if known is None:
                return None
            if known.pool() is not engine.pool:
                known.follow(engine.pool)
            return _Checkout(known)
        except Exception as error:  # noqa: BLE001  # as in `_begin_statement`
            pass_interruption(error)
            self.count_failure()
            return None

    def _wrap_dispose(self, dispose: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(dispose)
        def disposing(engine: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return dispose(engine, *args, **kwargs)
            finally:
                known = self._engines.get(id(engine.dialect))
                if known is not None:
                    self._record(known.follow, engine.pool)

        return disposing

    def _begin_connection(self, _dialect: Any, _record: Any, _args: Any, _params: Any) -> None:
        checkout = _find_checkout()
        if checkout is not None:
            checkout.creating = perf_counter()

    def _end_connection(self, _connection: Any, record: Any) -> None:
        """Own a new connection before the dialect runs its first queries on it."""
        checkout = _find_checkout()
        if checkout is None:
            return
        engine, began = checkout.engine, checkout.creating
        if began and engine.is_open:
            checkout.creating = 0.0
            self._record(engine.series.observe_creation, perf_counter() - began)
        self._record(_leave_out, record, engine)

    def _begin_use(self, _connection: Any, record: Any, _proxy: Any) -> None:
        checkout = _find_checkout()
        if checkout is None:
            return
        engine = checkout.engine
        if not engine.is_queue:
            engine.records[id(record)] = record
        self._uses[record] = engine, perf_counter()
        self._record(_leave_out, record, engine)

    def _give_up(self, connection: Any, _record: Any) -> None:
        """Leave a closed connection to the driver: it may be one of another pool, which it returns to."""
        self._record(give_back, getattr(connection, "driver_connection", connection))

    def _end_use(self, _connection: Any, record: Any) -> None:
        use = self._uses.pop(record, None)
        if use is not None and use[0].is_open:
            self._record(use[0].series.observe_use, perf_counter() - use[1])


def _ask_others(dialect: Any, name: str, ours: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Return whether a listener that comes after ours has run the statement: SQLAlchemy will not call it."""
    found = False
    for listener in tuple(getattr(dialect.dispatch, name)):
        if listener is ours:
            found = True
        elif found and listener(*args):
            return True
    return False


def _restore_flag(before: object) -> None:
    """Restore the flag of `Dialect` that says that it has listeners: SQLAlchemy sets it, and never clears it."""
    try:
        levels = [getattr(Dialect.dispatch, name)._clslevel for name in Dialect.dispatch._event_names]
        if before is False and not any(level.get(Dialect) for level in levels):
            Dialect._has_events = False
    except AttributeError:  # these names are private; with the flag, SQLAlchemy looks for listeners in vain
        return


INTEGRATION = SQLAlchemyIntegration()
