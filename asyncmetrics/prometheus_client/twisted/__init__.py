"""`MetricsResource`."""

from __future__ import annotations

from asyncmetrics.prometheus_client.twisted._exposition import MetricsResource

__all__ = ("MetricsResource",)
