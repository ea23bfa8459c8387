"""Exemplars by themselves: the functions that a metric asks for the exemplar of an observation.

A *provider* is called while the observed code runs, and returns the labels of an exemplar, or None. Metrics name it:
so they import nothing of the library that it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, Literal, TypeAlias

from asyncmetrics.errors import suggest
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.model.descriptor import ExemplarProvider

__all__ = ("ExemplarSource", "find_provider", "name_source", "register_provider")

ExemplarSource: TypeAlias = Literal["trace", "traceparent"] | Callable[[], "Mapping[str, str] | None"]
"""Where the exemplars of a metric come from.

* ``"trace"``: the trace and the span of OpenTelemetry that the observed code runs in, if the trace is sampled.
* ``"traceparent"``: the same, or else what the request's header ``traceparent`` says. The client has chosen it.
* A function without arguments, which returns the labels of an exemplar, such as ``{"trace_id": "4bf92f35"}``, or None.
"""

# The modules that register the providers, each loaded when a metric first names its provider.
_MODULES = {
    "trace": "asyncmetrics.integrations.opentelemetry_spans",
    "traceparent": "asyncmetrics.middleware.traceparent",
}
_providers: dict[str, ExemplarProvider] = {}


def register_provider(name: str, provider: ExemplarProvider) -> None:
    """Let metrics name ``provider`` in their option ``exemplars``; it replaces an earlier one of this name."""
    _providers[name] = provider


def find_provider(source: ExemplarSource | None, owner: str = "") -> ExemplarProvider | None:
    """Return the provider that an option ``exemplars`` names.

    Raises `DefinitionError`, which names ``owner``, for a wrong value, and `MissingExtraError` for ``"trace"`` without
    OpenTelemetry.
    """
    called: Any = source
    if source is None or (callable(called) and not _is_async(called)):
        return called  # type: ignore[no-any-return]
    names = _MODULES | dict.fromkeys(_providers, "")
    if not isinstance(source, str) or source not in names:
        expected = f"one of {', '.join(map(repr, names))}, or a function that returns a mapping of labels, or None"
        remedy = "write it without async: nothing awaits it" if callable(called) else _suggest_name(called, names)
        raise make_refusal("exemplars", expected, source, remedy, owner=owner)
    if source not in _providers:
        import_module(_MODULES[source])
    return _providers[source]


def _suggest_name(source: object, names: Iterable[str]) -> str:
    return suggest(source.lower(), names).removeprefix("; ") if isinstance(source, str) else ""


def name_source(provider: ExemplarProvider | None) -> str | None:
    """Return the name of ``provider`` in an option ``exemplars``; None for a function of the program, and for None."""
    return next((name for name, known in _providers.items() if known is provider), None)


def _is_async(function: Any) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)
