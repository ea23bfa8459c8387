"""`make_aiohttp_handler`."""

from __future__ import annotations

from asyncmetrics.prometheus_client.aiohttp.exposition import make_aiohttp_handler

__all__ = ("make_aiohttp_handler",)
