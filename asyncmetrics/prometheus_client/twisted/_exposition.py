"""The exposition as a resource of twisted.web."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.web.wsgi import WSGIResource

from asyncmetrics.prometheus_client.exposition import make_wsgi_app
from asyncmetrics.prometheus_client.registry import REGISTRY
from asyncmetrics.registry import Collectable

__all__ = ("MetricsResource",)


def MetricsResource(registry: Collectable = REGISTRY) -> Any:  # noqa: N802  # prometheus_client's name
    """Return a resource that serves ``registry`` from the reactor's thread pool."""
    make_resource: Any = WSGIResource  # twisted has no types
    return make_resource(reactor, reactor.getThreadPool(), make_wsgi_app(registry))
