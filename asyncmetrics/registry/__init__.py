"""Registries: what there is to collect, under which names, and how one collection is made."""

from __future__ import annotations

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.registry._collection import (
    Collectable,
    Collection,
    Collector,
    CollectorResult,
    awaited,
    finite,
    let_go,
)
from asyncmetrics.registry._registry import REGISTRY, CollectorRegistry, Registry, RestrictedRegistry

__all__ = (
    "REGISTRY",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorRegistry",
    "CollectorResult",
    "DuplicateTimeseries",
    "Registry",
    "RestrictedRegistry",
    "awaited",
    "finite",
    "let_go",
)

DuplicateTimeseries = DuplicateMetricError
"""What prometheus_client calls it."""
