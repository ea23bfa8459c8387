"""Registries: what there is to collect, under which names, and how one collection is made."""

from __future__ import annotations

from asyncmetrics.registry._collection import Collectable, Collector, CollectorResult
from asyncmetrics.registry._registry import REGISTRY, CollectorRegistry, Registry, RestrictedRegistry

__all__ = (
    "REGISTRY",
    "Collectable",
    "Collector",
    "CollectorRegistry",
    "CollectorResult",
    "Registry",
    "RestrictedRegistry",
)
