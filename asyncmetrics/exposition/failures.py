"""What happens when a collector fails: the option, and what is counted, logged and answered."""

from __future__ import annotations

from typing import Literal, TypeAlias

from asyncmetrics.errors import CollectorError, DefinitionError
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.self_metrics import get_self_metrics

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
    self_metrics = get_self_metrics(registry)
    if isinstance(error, CollectorError):
        self_metrics.count_collector_error(error.collector)
        return f"The metrics cannot be served: collector errors in {error.collector}; see the log."
    self_metrics.count_internal_error("exposition")
    return "The metrics cannot be served: internal errors in exposition; see the log."
