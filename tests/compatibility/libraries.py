"""Both libraries side by side: the same work on prometheus_client and on asyncmetrics.prometheus_client."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import prometheus_client as theirs

from asyncmetrics import prometheus_client as ours

__all__ = ("Yielding", "both", "declare", "part", "register")


def both(work: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return what ``work(library)`` returns, or the exception that it raises, of theirs and of ours."""
    return _run(work, theirs), _run(work, ours)


def _run(work: Callable[[Any], Any], library: ModuleType) -> Any:
    try:
        return work(library)
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error


def part(library: Any, name: str) -> Any:
    """Return a module of a library."""
    return importlib.import_module(f"{library.__name__}.{name}")


def declare(library: Any, kind: str, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """Return a new registry, and a metric ``m`` in it."""
    registry = library.CollectorRegistry()
    return registry, getattr(library, kind)("m", "M.", *arguments, registry=registry, **options)


class Yielding:
    """A collector of some families."""

    def __init__(self, *families: Any) -> None:
        self.families = families

    def collect(self) -> Any:
        yield from self.families


def register(library: Any, *collectors: Any) -> Any:
    """Return a new registry with some collectors, and a gauge ``other`` that is 7."""
    registry = library.CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    library.Gauge("other", "O.", registry=registry).set(7)
    return registry
