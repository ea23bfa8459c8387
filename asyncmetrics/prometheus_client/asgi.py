"""`make_asgi_app`, which does not block the event loop."""

from __future__ import annotations

from asyncmetrics.exposition import make_asgi_app

__all__ = ("make_asgi_app",)
