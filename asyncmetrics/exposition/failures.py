"""A failed scrape: the option ``on_error``, which lets a collector fail it, and how a failure is counted and logged."""

from __future__ import annotations

from typing import Literal, TypeAlias

from asyncmetrics.errors import CollectorError
from asyncmetrics.model.checks import check_choice
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import find_self_metrics

__all__ = ("OnError", "check_on_error", "record_failure")


OnError: TypeAlias = Literal["skip", "fail"]
"""Leave a failed collector out of the exposition, or answer the scrape with a 500."""


def check_on_error(on_error: str) -> None:
    """Raise `DefinitionError` unless ``on_error`` is ``"skip"`` or ``"fail"``."""
    check_choice("on_error", on_error, ("skip", "fail"))


def record_failure(registry: Collectable, error: BaseException) -> str:
    """Count and log the ``error`` that is being handled, and return the message for the scraper.

    Only the log has the error's own message: it may hold secrets, and the endpoint may be open to everyone.
    """
    self_metrics = find_self_metrics(registry)
    if isinstance(error, CollectorError):
        self_metrics.count_collector_error(error.collector)
        return f"The metrics cannot be served: collector errors in {error.collector}; see the log."
    self_metrics.count_internal_error("exposition")
    return "The metrics cannot be served: internal errors in exposition; see the log."
