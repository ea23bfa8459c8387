"""Sources of metrics, for the tests of rules."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, instrument
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.dashboards.rules.declared import read_declared
from asyncmetrics.dashboards.rules.matching import Names

__all__ = ("expose", "make_names", "make_shop", "read_names")


def make_shop(**options: Any) -> CollectorRegistry:
    """Return the registry of an application with the middleware, and with metrics of its own."""
    registry = CollectorRegistry()
    instrument(Starlette(), registry=registry, **options)
    Counter("orders", "Orders.", registry=registry)
    Counter("failures", "Orders that fail.", ["code"], registry=registry)
    Histogram("pay_seconds", "Payments.", buckets=[1, 2.5, 60], registry=registry)
    Gauge("stock", "Things that are left.", registry=registry)
    return registry


def make_names(registry: CollectorRegistry, **options: str | None) -> Names:
    """Return the names that a registry has."""
    return Names(read_declared(registry), True, **options)


def expose(registry: CollectorRegistry) -> Exposition:
    """Return what a server of the registry sends."""
    return Exposition(generate_latest(registry).decode())


def read_names(text: str, **options: str | None) -> Names:
    """Return the names that a text has."""
    return Names(read_declared(Exposition(text)), False, **options)
