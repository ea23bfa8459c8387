"""The metrics of databases, which their integrations share: operations, and pools of connections.

The label ``operation`` is the first word of a statement, if it is a word of SQL, else ``_OTHER``: never the statement.

*Counting once.* SQLAlchemy and Django run their statements through a driver that is measured as well. The integration
of such a library calls `own` for the driver's connection, and that of the driver does not measure it: `is_owned`. It
calls `disown` when it measures no more.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from typing import Any, final

from asyncmetrics.integrations.client_options import name_label
from asyncmetrics.metrics.calls import CallNames, CallSeries, declare_calls
from asyncmetrics.metrics.pools import Pools, get_pools
from asyncmetrics.model.http_values import OTHER
from asyncmetrics.timing import Measure

__all__ = ("DatabaseMetrics", "disown", "find_operation", "give_back", "is_owned", "own")

_MAX_CHILDREN = 10_000
_MAX_STATEMENTS = 1000
_LONGEST_KEPT = 2000  # characters

_WORDS = """
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE
    DESCRIBE DETACH DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY
    OPTIMIZE PRAGMA PREPARE REASSIGN REFRESH REINDEX RELEASE RENAME REPLACE RESET REVOKE ROLLBACK SAVEPOINT SECURITY
    SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE UPSERT USE VACUUM VALUES WITH
"""
_OPERATIONS = frozenset(_WORDS.split())
_match_blank = re.compile(r"[\s(]*").match
_match_word = re.compile(r"[A-Za-z]+").match

_known: dict[str, str] = {}


def find_operation(statement: object) -> str:
    """Return the first word of a statement, a str or bytes, in capitals; ``_OTHER`` if it is no word of SQL."""
    operation = _known.get(statement) if type(statement) is str else None
    return operation or _find_operation(statement)


def _find_operation(statement: object) -> str:
    text = statement.decode("latin-1") if isinstance(statement, (bytes, bytearray)) else str(statement)
    word = _match_word(text, _skip_comments(text))
    operation = word[0].upper() if word else OTHER
    if operation not in _OPERATIONS:
        operation = OTHER
    if len(text) <= _LONGEST_KEPT and type(statement) is str:
        if len(_known) >= _MAX_STATEMENTS:
            _known.clear()
        _known[statement] = operation
    return operation


def _skip_comments(text: str) -> int:
    """Return where the comments, blanks and brackets at the beginning of a statement end.

    A regular expression for all of them would try each split of many comments: exponential time.
    """
    position = 0
    while True:
        blank = _match_blank(text, position)
        position = blank.end() if blank else position
        if text.startswith("--", position):
            end, length = text.find("\n", position), 1
        elif text.startswith("/*", position):
            end, length = text.find("*/", position + 2), 2
        else:
            return position
        if end < 0:
            return len(text)
        position = end + length


@final
class DatabaseMetrics:
    """The metrics of the databases with the same options. ``kind`` is their kind of client in the request totals.

    ``has_pools`` declares the metrics of pools as well.
    """

    def __init__(self, options: Mapping[str, Any], kind: str = "db", *, has_pools: bool = False) -> None:
        self.pool_name: str = options.get("name", "")
        self.calls = declare_calls(
            CallNames(
                "db_client_operation_duration_seconds",
                "db_client_operation_active",
                "db_client_operation_exceptions",
                type=name_label(options, "type"),
            ),
            "Operations of databases.",
            [name_label(options, name) for name in ("system", "operation")],
            kind=kind,
            closed="cancelled",
            namespace=options["namespace"],
            registry=options["registry"],
            max_children=_MAX_CHILDREN,
            native=options["native"],
            exemplars=options["exemplars"],
            exist_ok=True,
        )
        self._pools = None
        if has_pools:
            labels = {name: name_label(options, name) for name in ("pool", "state")}
            self._pools = get_pools(
                options["registry"], "db_client_connection", namespace=options["namespace"], **labels
            )

    def at(self, system: str, operation: str) -> CallSeries:
        """Return the series of one operation of one system."""
        return self.calls.at((system, operation))

    def measure(self, system: str, operation: str) -> Measure:
        """Return the measure of one operation of one system."""
        return self.calls.at((system, operation)).measure

    def fail_to_connect(self, system: str, seconds: float, error: BaseException) -> None:
        """Count a connection that could not be made, as an operation ``CONNECT``. One that is made is no operation."""
        if isinstance(error, Exception):  # a cancellation is none of the database
            series = self.at(system, "CONNECT")
            series.begin()
            series.fail(seconds, error)

    def get_pools(self) -> Pools:
        """Return the pools of connections to databases. Raises RuntimeError for a library without pools."""
        if self._pools is None:
            raise RuntimeError("these metrics were made without has_pools=True")
        return self._pools


_OWNED: dict[int, tuple[object, object]] = {}
"""The weak references to connections, and their owners."""


def own(connection: object, owner: object = None) -> None:
    """Leave a driver's connection out of the driver's measuring: another library measures its operations.

    `disown` undoes this for all connections of ``owner``.
    """
    key = id(connection)
    try:
        _OWNED[key] = weakref.ref(connection, lambda _: _OWNED.pop(key, None)), owner
    except TypeError:  # an object that allows no weak references cannot be told from a later one in its place
        return


def disown(owner: object) -> None:
    """Undo `own` for all connections of an owner, which measures them no more."""
    for key, (_, found) in list(_OWNED.items()):
        if found == owner:
            _OWNED.pop(key, None)


def give_back(connection: object) -> None:
    """Undo `own` for one connection, which its owner has given up."""
    _OWNED.pop(id(connection), None)


def is_owned(connection: object) -> bool:
    """Return whether `own` was called for a connection."""
    return id(connection) in _OWNED
