"""Measure ASGI applications.

`MetricsMiddleware` and the types of its options are public. So is `asyncmetrics.middleware.scope`: an integration
writes the route and the exceptions that only its framework knows into the scope of a request.

* `asgi`: the middleware.
* `applications`: what is no application that can be measured, and the advice for it.
* `exchange`: what HTTP and WebSocket have in common.
* `http`, `websocket`: each of the two.
* `routes`: which route served a request.
* `labels`: the labels of a middleware.
* `active`: the gauges of active requests and connections.
* `client_totals`: how many calls of clients each request makes.
* `streams`: which responses are streams.
* `bodies`: the sizes of bodies, and the time to the first byte.
* `exceptions`: which exceptions are no fault of the application.
* `metric_factory`: makes the histograms and counters of a middleware.
* `traceparent`: exemplars from the header of a request.
* `options`: the options, their types and defaults.
* `scope`: the keys that integrations write into a scope.
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
