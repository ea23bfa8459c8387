"""The mapping of bound labels that each context has. A mapping is never changed; binding replaces it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias

__all__ = ("BOUND", "REQUEST", "UNBOUND", "Bound")

Bound: TypeAlias = Mapping[Any, Any]
"""The values by the names of the labels; `REQUEST` is the only key that is no name."""

BOUND: ContextVar[Bound] = ContextVar("asyncmetrics_labels", default={})  # noqa: B039  # never changed

REQUEST = object()
"""The key of the `asyncmetrics.context.request.RequestBindings` of the request that a context belongs to."""

UNBOUND = ""
"""The value of a name that is not bound."""
