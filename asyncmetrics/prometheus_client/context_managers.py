"""What ``time()``, ``count_exceptions()`` and ``track_inprogress()`` return."""

from __future__ import annotations

from asyncmetrics.prometheus_client.decorator import decorate
from asyncmetrics.timing import ExceptionCounter, InprogressTracker, Timer

__all__ = ("ExceptionCounter", "InprogressTracker", "Timer", "decorate")
