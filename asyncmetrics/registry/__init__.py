"""Registries: what there is to collect, under which names, and how one collection is made."""

from __future__ import annotations

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.registry._collection import (
    Collectable,
    Collection,
    Collector,
    CollectorResult,
    Outcome,
    awaited,
    finite,
    is_fault,
    let_go,
    outcome_of,
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
    "Outcome",
    "Registry",
    "RestrictedRegistry",
    "awaited",
    "finite",
    "is_fault",
    "let_go",
    "outcome_of",
)

DuplicateTimeseries = DuplicateMetricError
"""What prometheus_client calls it."""
