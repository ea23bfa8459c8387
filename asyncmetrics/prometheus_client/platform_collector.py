"""The collector of the Python version."""

from __future__ import annotations

from asyncmetrics.collectors import PLATFORM_COLLECTOR, PlatformCollector

__all__ = ("PLATFORM_COLLECTOR", "PlatformCollector")
