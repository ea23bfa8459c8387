"""Registries: what there is to collect, under which names, and how one collection is made."""

from __future__ import annotations

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.registry.collection import (
    Collectable,
    Collection,
    Collector,
    CollectorResult,
    Outcome,
    ask_collector,
    awaited,
    close_awaitable,
    finite,
    is_fault,
)
from asyncmetrics.registry.registry import REGISTRY, CollectorRegistry, Registry, RestrictedRegistry

__all__ = (
    "REGISTRY",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorRegistry",
    "CollectorResult",
    "DuplicateTimeseries",
    "Outcome",
    "Registry",
    "RestrictedRegistry",
    "ask_collector",
    "awaited",
    "close_awaitable",
    "finite",
    "is_fault",
)

DuplicateTimeseries = DuplicateMetricError
"""What prometheus_client calls it."""
