"""psycopg 3: the statements of every connection, async and sync, through its cursors.

*Rules.*

- A call ends when its method does. A stream ends when it is exhausted or closed, a COPY with its block. In pipeline
  mode, a call ends when psycopg has queued the statement, and the exception comes with a later method.
- A cursor on the server has calls ``DECLARE``, ``FETCH`` and ``MOVE``. No other calls come from psycopg itself: its
  BEGIN, COMMIT and ROLLBACK pass through no cursor.
- An empty statement, with which a pool checks a connection, is not measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial, wraps
from itertools import islice
from time import perf_counter
from typing import Any, cast

import psycopg
from psycopg import sql

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics, find_operation, is_owned
from asyncmetrics.integrations.library import Integration
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.calls import CallSeries
from asyncmetrics.model.http_values import OTHER
from asyncmetrics.patching import Patch
from asyncmetrics.wrapping import Measure, Started, call_end

__all__ = ("INTEGRATION", "PsycopgIntegration", "find_composed_operation")

_SYSTEM = "postgresql"
_MAX_PARTS = 10  # of a composed statement, in which its first word is searched
_MAX_BYTES = 500  # of a statement in bytes, which are decoded at each call

_CURSORS: tuple[type, ...] = (psycopg.Cursor, psycopg.AsyncCursor)
_SERVER_CURSORS: tuple[type, ...] = (psycopg.ServerCursor, psycopg.AsyncServerCursor)


class PsycopgIntegration(Integration[DatabaseMetrics]):
    """The integration with psycopg."""

    def __init__(self) -> None:
        patches = [
            Patch(cursor, name, self.measured(choose))
            for cursor in _CURSORS
            for name, choose in (
                ("execute", self._choose),
                ("executemany", self._choose),
                ("copy", self._choose_copy),
                ("stream", self._choose_stream),
            )
        ]
        patches += [
            Patch(cursor, name, self.measured(partial(self._choose_operation, operation)))
            for cursor in _SERVER_CURSORS
            for name, operation in (("execute", "DECLARE"), ("scroll", "MOVE"))
        ]
        # Private, but the pages of an iteration have no other hook: wrapping `__next__` would cost each row.
        fetching = [kind for kind in psycopg.ServerCursor.__mro__ if "_fetch_gen" in vars(kind)]
        patches += [Patch(kind, "_fetch_gen", self._wrap_fetch) for kind in fetching]
        super().__init__("psycopg", DATABASE_DEFAULTS, patches)

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options)

    def follow(self, connection: object, metrics: DatabaseMetrics) -> bool:
        """Measure a connection by the metrics of its pool; return False if it is instrumented by itself."""
        with self._lock:
            if id(connection) in self._own:
                return False
            self._install()
            self._holders[id(connection)] = self._refer(connection)
            self._own[id(connection)] = metrics
            return True

    def _find_series(self, cursor: Any, operation: str, *, even_owned: bool = False) -> CallSeries | None:
        connection = cursor.connection
        metrics = self.find(connection)
        if metrics is None or (is_owned(connection) and not even_owned):
            return None
        return metrics.at(_SYSTEM, operation)

    def _choose(self, cursor: Any, query: object = None, *_: object, **__: object) -> Measure | None:
        if not query:
            return None
        series = self._find_series(cursor, find_composed_operation(query))
        return None if series is None else series.measure

    # No owner of a connection calls `copy` or `stream` itself.
    def _choose_copy(self, cursor: Any, statement: object = None, *_: object, **__: object) -> Measure | None:
        series = self._find_series(cursor, find_composed_operation(statement), even_owned=True)
        return None if series is None else series.measure

    def _choose_stream(self, cursor: Any, query: object = None, *_: object, **__: object) -> Measure | None:
        series = self._find_series(cursor, find_composed_operation(query), even_owned=True)
        return None if series is None else _measure_stream(series)

    def _choose_operation(self, operation: str, cursor: Any, *_: object, **__: object) -> Measure | None:
        series = self._find_series(cursor, operation)
        return None if series is None else series.measure

    def _wrap_fetch(self, fetch: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Generator[Any, Any, Any]]:
        @wraps(fetch)
        def measured(cursor: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            series = self._begin_fetch(cursor)
            if series is None:
                return (yield from fetch(cursor, *args, **kwargs))
            handled, started = sys.exc_info()[1], perf_counter()
            try:
                rows = yield from fetch(cursor, *args, **kwargs)
            except BaseException as error:
                _end_fetch(series, started, _find_interruption(handled, error.__context__) or error)
                raise
            _end_fetch(series, started, _find_interruption(handled, sys.exc_info()[1]))
            return rows

        return measured

    def _begin_fetch(self, cursor: Any) -> CallSeries | None:
        try:
            series = self._find_series(cursor, "FETCH")
            if series is not None:
                series.begin()
        except Exception as error:  # noqa: BLE001  # nothing of ours may break a call of the application
            pass_interruption(error)
            self.count_failure()
            return None
        return series


def _find_interruption(before: BaseException | None, handled: BaseException | None) -> BaseException | None:
    """Return what interrupted a statement that began while ``before`` was handled.

    psycopg then asks the server to cancel the statement, and continues with it while it handles the interruption.
    """
    return None if handled is before or isinstance(handled, Exception) else handled


def _end_fetch(series: CallSeries, started: float, error: BaseException | None) -> None:
    call_end(series.end, series.fail, perf_counter() - started, error)


def _measure_stream(series: CallSeries) -> Measure:
    def fail(seconds: float, error: BaseException) -> None:
        series.fail(seconds, error, "ok" if isinstance(error, GeneratorExit) else "")  # rows enough were read

    def begin() -> Started:
        end, _, undo = series.begin()
        return end, fail, undo

    return series.end, None, begin


def find_composed_operation(statement: object) -> str:
    """Return the operation of a statement; only the parts up to the first word are rendered."""
    if type(statement) is str:
        return find_operation(statement)
    operations = map(find_operation, islice(_list_texts(statement), _MAX_PARTS))
    return next((operation for operation in operations if operation != OTHER), OTHER)


def _list_texts(statement: object) -> Iterator[str | bytes | bytearray]:
    """Yield the texts at the beginning of a statement. They end where an identifier or a value comes."""
    for part in _list_parts(statement):
        if isinstance(part, str):
            yield str.__str__(part)  # that of an enum is its name
        elif isinstance(part, (bytes, bytearray)):
            yield part[:_MAX_BYTES]
        elif isinstance(part, sql.SQL):
            yield part.as_string(None)
        else:
            return


def _list_parts(statement: object) -> Iterator[object]:
    if isinstance(statement, _COMPOSED):
        for part in cast("Iterable[object]", statement):
            yield from _list_parts(_get_sql(part))
    else:
        yield statement


if sys.version_info >= (3, 14):
    from string.templatelib import Interpolation, Template

    _COMPOSED: tuple[type, ...] = (sql.Composed, Template)

    def _get_sql(part: Any) -> object:
        """Return what an interpolation puts into the statement; None for a value."""
        if not isinstance(part, Interpolation):
            return part
        return part.value if isinstance(part.value, (sql.Composable, Template)) else None
else:
    _COMPOSED: tuple[type, ...] = (sql.Composed,)

    def _get_sql(part: object) -> object:
        return part


INTEGRATION = PsycopgIntegration()
