"""The collector of the process: CPU time, memory, file descriptors."""

from __future__ import annotations

from asyncmetrics.collectors import PROCESS_COLLECTOR, ProcessCollector

__all__ = ("PROCESS_COLLECTOR", "ProcessCollector")
