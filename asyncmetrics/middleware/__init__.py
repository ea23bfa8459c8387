"""Measuring ASGI applications."""

from __future__ import annotations

from asyncmetrics.middleware.asgi import MetricsMiddleware

__all__ = ("MetricsMiddleware",)
