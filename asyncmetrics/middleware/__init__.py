"""Measure ASGI applications.

`MetricsMiddleware` and the types of its options are public, and so is `asyncmetrics.middleware.scope`, through which an
integration passes on what only its framework knows.
"""

from __future__ import annotations

from asyncmetrics.middleware.asgi import MetricsMiddleware
from asyncmetrics.middleware.options import (
    MIDDLEWARE_DEFAULTS,
    Buckets,
    Conventions,
    Exclusion,
    ExtraLabel,
    MiddlewareOptions,
    RouteCallable,
    complete_options,
    show_options,
)

__all__ = (
    "MIDDLEWARE_DEFAULTS",
    "Buckets",
    "Conventions",
    "Exclusion",
    "ExtraLabel",
    "MetricsMiddleware",
    "MiddlewareOptions",
    "RouteCallable",
    "complete_options",
    "show_options",
)
