"""httpx2: the successor of httpx, which has the same classes."""

from __future__ import annotations

import httpx2

from asyncmetrics.integrations.httpx_transports import HttpxIntegration

__all__ = ("INTEGRATION",)

INTEGRATION = HttpxIntegration(httpx2)
