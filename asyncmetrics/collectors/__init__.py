"""The default collectors: the resources of a process, its interpreter, its garbage collector.

Importing this package registers one of each in `REGISTRY`; ``REGISTRY.unregister(GC_COLLECTOR)`` removes one.
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
