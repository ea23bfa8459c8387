"""`make_asgi_app`, which does not block the event loop."""

from __future__ import annotations

from asyncmetrics.exposition import make_asgi_app
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector

__all__ = (
    "REGISTRY",
    "Collector",
    "make_asgi_app",
)
