"""What happens when a collector fails: the option, and what is counted, logged and answered."""

from __future__ import annotations

from typing import Literal, TypeAlias

from asyncmetrics.errors import CollectorError, DefinitionError
from asyncmetrics.registry import Collectable

__all__ = ("OnError", "check_on_error", "record_failure")


OnError: TypeAlias = Literal["skip", "fail"]


def check_on_error(on_error: str) -> None:
    """Raise `DefinitionError` unless this says what happens when a collector fails."""
    if on_error not in {"skip", "fail"}:
        raise DefinitionError("on_error", f"expected 'skip' or 'fail', got {on_error!r}")


def record_failure(registry: Collectable, error: BaseException) -> str:
    """Count and log ``error``, which is being handled, and return what may be told about it to whoever asked.

    The error's own message is kept for the log: it may hold what is not meant for everyone who can reach the endpoint.
    """
    event, where = "internal_errors", "exposition"
    if isinstance(error, CollectorError):
        event, where = "collector_errors", error.collector
    registry.count_event(event, where)  # logs as well, the first time
    return f"The metrics cannot be served: {event.replace('_', ' ')} in {where}; see the log."
