"""The collector of the garbage collector."""

from __future__ import annotations

from asyncmetrics.collectors import GC_COLLECTOR, GCCollector

__all__ = ("GC_COLLECTOR", "GCCollector")
