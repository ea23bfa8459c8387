"""Measure ASGI applications.

`MetricsMiddleware` and the types of its options are public. So is `asyncmetrics.middleware.scope`: an integration
writes the route and the exceptions that only its framework knows into the scope of a request.
"""

from __future__ import annotations

from asyncmetrics.middleware.asgi import MetricsMiddleware
from asyncmetrics.middleware.options import (
    Buckets,
    Conventions,
    Exclusion,
    ExtraLabel,
    MiddlewareOptions,
    RouteCallable,
)

__all__ = (
    "Buckets",
    "Conventions",
    "Exclusion",
    "ExtraLabel",
    "MetricsMiddleware",
    "MiddlewareOptions",
    "RouteCallable",
)
