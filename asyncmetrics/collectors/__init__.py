"""Collectors of what every process has: its resources, its interpreter, its garbage collector.

The instances in `REGISTRY` are made at import; ``REGISTRY.unregister(GC_COLLECTOR)`` switches one off.
"""

from __future__ import annotations

from asyncmetrics.collectors.gc import GC_COLLECTOR, GCCollector
from asyncmetrics.collectors.platform import PLATFORM_COLLECTOR, PlatformCollector
from asyncmetrics.collectors.process import PROCESS_COLLECTOR, ProcessCollector

__all__ = (
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "GCCollector",
    "PlatformCollector",
    "ProcessCollector",
)
