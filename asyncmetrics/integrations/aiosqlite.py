"""aiosqlite: the statements of every connection, and the fetches of its cursors.

SQLite finds most rows while they are fetched. A fetch is thus a call of its own, ``FETCH``, but none in the totals of a
request, which count statements. The time of a call includes that in the queue of the connection's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import aiosqlite
from aiosqlite.context import contextmanager

from asyncmetrics.integrations.client_options import DATABASE_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics, find_operation, is_owned
from asyncmetrics.integrations.library import Integration
from asyncmetrics.patching import Patch
from asyncmetrics.wrapping import Measure

__all__ = ("INTEGRATION", "AiosqliteIntegration")

_SYSTEM = "sqlite"
_STATEMENTS = ("execute", "executemany", "executescript")
_HELPERS = ("execute_insert", "execute_fetchall")
_FETCHES = ("fetchone", "fetchmany", "fetchall")


class _Metrics(NamedTuple):
    """The same metrics twice: fetches count in no totals."""

    statements: DatabaseMetrics
    fetches: DatabaseMetrics


class AiosqliteIntegration(Integration[_Metrics]):
    """The integration with aiosqlite."""

    def __init__(self) -> None:
        statement, fetch = self.measured(self._choose_of_cursor), self.measured(self._choose_fetch)
        patches = [Patch(aiosqlite.Connection, name, self._wrap) for name in (*_STATEMENTS, *_HELPERS)]
        patches += [Patch(aiosqlite.Cursor, name, statement) for name in _STATEMENTS]
        patches += [Patch(aiosqlite.Cursor, name, fetch) for name in _FETCHES]
        super().__init__("aiosqlite", DATABASE_DEFAULTS, patches)

    def make_metrics(self, options: Mapping[str, Any]) -> _Metrics:
        """Return the metrics for these options."""
        return _Metrics(DatabaseMetrics(options), DatabaseMetrics(options, kind=""))

    def _wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method of a connection: what it returns is awaited, or entered to have the cursor closed."""

        @wraps(method)
        async def call(connection: Any, *args: Any, **kwargs: Any) -> Any:
            return await method(connection, *args, **kwargs)

        return contextmanager(self.measured(self._choose)(call))

    def _choose(self, connection: Any, sql: object = "", *_: object, sql_script: object = "", **__: object) -> Any:
        metrics = self.find(connection)
        if metrics is None or is_owned(connection):
            return None
        return metrics.statements.measure(_SYSTEM, find_operation(sql or sql_script))

    def _choose_of_cursor(self, cursor: Any, *args: Any, **kwargs: Any) -> Measure | None:
        measure: Measure | None = self._choose(cursor._conn, *args, **kwargs)  # its public one is that of sqlite3
        return measure

    def _choose_fetch(self, cursor: Any, *_: object, **__: object) -> Measure | None:
        connection = cursor._conn
        metrics = self.find(connection)
        if metrics is None or is_owned(connection):
            return None
        return metrics.fetches.measure(_SYSTEM, "FETCH")


INTEGRATION = AiosqliteIntegration()
