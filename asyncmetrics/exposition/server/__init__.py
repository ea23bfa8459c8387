"""The exposition on a port or Unix socket of its own, served by a thread of its own."""

from __future__ import annotations

from asyncmetrics.exposition.server.server import MetricsServer, RunningServer, start_http_server, start_wsgi_server

__all__ = ("MetricsServer", "RunningServer", "start_http_server", "start_wsgi_server")
