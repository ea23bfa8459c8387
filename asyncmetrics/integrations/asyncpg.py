"""asyncpg: the operations of every connection; `asyncpg_pools` has the pools.

The wrappers are around the methods that a program calls. A query logger sees no prepared statement, no cursor and no
COPY, takes asyncpg's look-ups of types for SELECTs, knows no running calls, and costs more: 1.9 µs against 1.4 µs.

*Rules.*

- A call is one step that the server has to do. A row that a cursor has fetched already is none.
- What asyncpg asks the server to serve a call of the program is no call: the arguments of a COPY, the reset of a pool.
- A connection is measured by its own metrics, or those of the pool that has lent it, or those of all connections.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from asyncpg.connection import Connection
from asyncpg.cursor import Cursor, CursorIterator
from asyncpg.prepared_stmt import PreparedStatement

from asyncmetrics.integrations.asyncpg_pools import AsyncpgPools
from asyncmetrics.integrations.database import find_operation, is_owned
from asyncmetrics.timing import Measure, Started

__all__ = ("INTEGRATION", "AsyncpgIntegration")

_SYSTEM = "postgresql"

# The id of the connection that inserts arguments into the query of a COPY: asyncpg calls `prepare` and `fetchrow`.
_COPYING: ContextVar[int] = ContextVar("copying", default=0)


class AsyncpgIntegration(AsyncpgPools):
    """The integration with asyncpg."""

    def __init__(self) -> None:
        call, outer = self.measured(self._choose_call), self.measured(self._choose_outer_call)
        copy, statement = self.measured(self._choose_copy), self.measured(self._choose_statement)
        read = self.measured(partial(self._choose_read, "FETCH"))
        super().__init__(
            (
                (Connection, "execute", self.measured(self._choose_execute)),
                *((Connection, name, call) for name in ("executemany", "fetch", "fetchval", "fetchmany")),
                (Connection, "fetchrow", outer),
                (Connection, "prepare", self.measured(partial(self._choose_outer_call, operation="PREPARE"))),
                *((Connection, f"copy_{name}", copy) for name in ("from_table", "to_table", "records_to_table")),
                (Connection, "copy_from_query", self._wrap_copy_of_query),
                *((PreparedStatement, name, statement) for name in ("fetch", "fetchval", "fetchrow")),
                *((PreparedStatement, name, statement) for name in ("fetchmany", "executemany")),
                (Cursor, "_init", statement),
                (Cursor, "fetch", read),
                (Cursor, "fetchrow", read),
                (Cursor, "forward", self.measured(partial(self._choose_read, "MOVE"))),
                (CursorIterator, "__anext__", self._wrap_next),
            )
        )

    def _measure(self, connection: Any, operation: str, *, even_owned: bool = False) -> Measure | None:
        metrics = None
        if own := self._own:
            metrics = own.get(id(connection))
            if metrics is None and (proxy := connection._proxy) is not None:
                metrics = own.get(id(proxy._holder._pool))
        metrics = metrics or self._everywhere
        if metrics is None or (is_owned(connection) and not even_owned):
            return None
        return metrics.measure(_SYSTEM, operation)

    def _choose_call(
        self, connection: Any, query: object = None, *_args: object, command: object = None, **_options: object
    ) -> Measure | None:
        return self._measure(connection, find_operation(command if query is None else query))

    def _choose_outer_call(
        self, connection: Any, query: object = None, *_args: object, operation: str = "", **_options: object
    ) -> Measure | None:
        if _COPYING.get() == id(connection):
            return None
        return self._measure(connection, operation or find_operation(query))

    def _choose_execute(
        self, connection: Any, query: object = None, *_args: object, **_options: object
    ) -> Measure | None:
        reset = connection._reset_query  # None before the first reset
        if reset and query == reset:
            return None
        return self._measure(connection, find_operation(query))

    def _choose_copy(self, connection: Any, *_args: object, **_options: object) -> Measure | None:
        return self._measure(connection, "COPY", even_owned=True)  # no owner calls these methods itself

    def _choose_statement(self, statement: Any, *_args: object, **_options: object) -> Measure | None:
        return self._measure(statement._connection, find_operation(statement._query))

    def _choose_read(self, operation: str, cursor: Any, *_args: object, **_options: object) -> Measure | None:
        return self._measure(cursor._connection, operation)

    def _choose_next(self, cursor: Any) -> Measure | None:
        if cursor._exhausted:
            return None
        operation = "FETCH" if cursor._portal_name else find_operation(cursor._query)
        measure = self._measure(cursor._connection, operation)
        return measure and (measure[0], measure[1], partial(_begin_iteration, measure))

    def _wrap_next(self, get_next: Callable[..., Any]) -> Callable[..., Any]:
        measured = self.measured(self._choose_next)(get_next)

        @wraps(get_next)
        def get_next_row(cursor: Any) -> Any:  # returns what `get_next` returns: to be awaited
            return (get_next if getattr(cursor, "_buffer", None) else measured)(cursor)

        return get_next_row

    def _wrap_copy_of_query(self, copy: Callable[..., Any]) -> Callable[..., Any]:
        measured = self.measured(self._choose_copy)(copy)

        @wraps(copy)
        async def copy_from_query(connection: Any, *args: Any, **kwargs: Any) -> Any:
            _COPYING.set(id(connection))
            try:
                return await measured(connection, *args, **kwargs)
            finally:
                _COPYING.set(0)  # not `reset`, which raises in another context, where a coroutine may be closed

        return copy_from_query


def _begin_iteration(measure: Measure) -> Started:
    """Begin a step of a cursor, which may find that there are no more rows."""
    begin = measure[2]
    end, fail, undo = begin() if begin else (measure[0], measure[1], None)

    def stop(seconds: float, error: BaseException) -> None:
        if fail is None or isinstance(error, StopAsyncIteration):
            end(seconds)
        else:
            fail(seconds, error)

    return end, stop, undo


INTEGRATION = AsyncpgIntegration()
