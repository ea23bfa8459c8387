"""What no middleware sees: the event loop, what blocks it, its threads, queues and failures.

`RuntimeMonitor` measures a loop and its process. ``asyncmetrics.instrument`` measures one executor, limiter, queue,
semaphore or stream.
"""

from __future__ import annotations

from asyncmetrics.runtime.monitor import RuntimeMonitor
from asyncmetrics.runtime.objects import ObjectOptions

__all__ = ("ObjectOptions", "RuntimeMonitor")
