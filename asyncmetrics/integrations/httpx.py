"""httpx: the requests of every client, sync and async, through its HTTP transports."""

from __future__ import annotations

import httpx

from asyncmetrics.integrations.httpx_transports import HttpxIntegration

__all__ = ("INTEGRATION",)

INTEGRATION = HttpxIntegration(httpx)
