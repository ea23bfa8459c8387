"""Django ORM: the statements of every connection, through Django's execute wrappers.

The wrapper is the outermost one of a connection: ``with connection.execute_wrapper(…)`` removes the last of the list at
its end, and so must not find ours there. It is added when a connection is made, after Django has set it up.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from time import perf_counter
from typing import Any

from django import conf
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from asyncmetrics.integrations.client_options import CLIENT_DEFAULTS
from asyncmetrics.integrations.database import DatabaseMetrics, disown, find_operation, own
from asyncmetrics.integrations.library import Integration, guarded
from asyncmetrics.patching import Patch
from asyncmetrics.timing import Measure

__all__ = ("INTEGRATION", "DjangoIntegration")

_SYSTEMS = {"oracle": "oracle.db", "microsoft": "microsoft.sql_server"}
"""The systems that OpenTelemetry's conventions name otherwise than Django's backends."""


def _execute(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    return execute(sql, params, many, context)


class DjangoIntegration(Integration[DatabaseMetrics]):
    """The integration with Django's ORM."""

    def __init__(self) -> None:
        super().__init__(
            "django",
            CLIENT_DEFAULTS,
            [
                Patch(BaseDatabaseWrapper, "init_connection_state", self._wrap_set_up),
                Patch(BaseDatabaseWrapper, "connect", self._wrap_connect),
            ],
        )
        self._wrapper = self.measured(self._choose)(_execute)
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()

    def make_metrics(self, options: Mapping[str, Any]) -> DatabaseMetrics:
        """Return the metrics for these options."""
        return DatabaseMetrics(options)

    def hook(self, undo: ExitStack) -> None:
        """Add the wrapper to the connections of this thread, and to each that is made from now on."""
        super().hook(undo)
        undo.callback(self._remove_wrappers)
        connection_created.connect(self._add_wrapper, weak=False)
        undo.callback(connection_created.disconnect, self._add_wrapper)
        if conf.settings.configured:  # otherwise there are no connections, and asking for them would load the settings
            for connection in connections.all(initialized_only=True):
                if connection.connection is not None:
                    self._add_wrapper(connection=connection)

    def _wrap_set_up(self, set_up: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(set_up)
        def init_connection_state(connection: Any) -> Any:
            if self.find(connection) is not None:
                self._prepare(connection)
            return set_up(connection)

        return init_connection_state

    def _wrap_connect(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(connect)
        def measured(connection: Any) -> Any:
            started = perf_counter()
            try:
                return connect(connection)
            except Exception as error:
                self._fail_to_connect(connection, perf_counter() - started, error)
                raise

        return measured

    @guarded
    def _fail_to_connect(self, connection: Any, seconds: float, error: BaseException) -> None:
        metrics = self.find(connection)
        if metrics is not None:
            metrics.fail_to_connect(_find_system(connection), seconds, error.__cause__ or error)

    @guarded
    def _prepare(self, connection: Any) -> None:
        """Measure none of the statements by which Django sets a new connection up, nor let the driver measure them."""
        own(connection.connection, self)
        if self._wrapper in connection.execute_wrappers:  # it connects again
            connection.execute_wrappers.remove(self._wrapper)

    def _add_wrapper(self, *, connection: Any, **_: Any) -> None:
        self._add(connection)

    @guarded
    def _add(self, connection: Any) -> None:
        own(connection.connection, self)
        if self._wrapper not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, self._wrapper)
            self._connections.add(connection)

    def _remove_wrappers(self) -> None:
        disown(self)
        for connection in list(self._connections):
            if self._wrapper in connection.execute_wrappers:
                connection.execute_wrappers.remove(self._wrapper)
        self._connections.clear()

    def _choose(self, _execute: object, sql: object, _params: object, _many: bool, context: Any) -> Measure | None:
        connection = context["connection"]
        metrics = self.find(connection)
        if metrics is None:
            return None
        return metrics.measure(_find_system(connection), _find_operation(sql))


def _find_operation(statement: object) -> str:
    """Return the operation of a statement, which may be one that psycopg composes."""
    if isinstance(statement, str) or "psycopg" not in sys.modules:
        return find_operation(statement)
    from asyncmetrics.integrations.psycopg import find_composed_operation

    return find_composed_operation(statement)


def _find_system(connection: Any) -> str:
    vendor: str = connection.vendor
    return _SYSTEMS.get(vendor) or vendor


INTEGRATION = DjangoIntegration()
