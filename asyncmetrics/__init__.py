"""Prometheus metrics for async Python.

Declare a metric where it is used, and use it in one line, as you would log. `instrument` measures an application and
serves the values of all metrics at ``/metrics``, where a Prometheus server reads them. A complete program::

    from fastapi import FastAPI
    from asyncmetrics import Counter, Histogram, bound_labels, instrument

    app = instrument(FastAPI())
    orders = Counter("shop_orders_total", "Orders taken.", ["kind"], context_labels=["tenant"])
    charging = Histogram("shop_charge_seconds", "Time to charge a card.")

    @charging.time()  # the whole coroutine, its waiting included
    async def charge(card: str) -> None: ...

    @app.post("/tenants/{tenant}/orders")
    async def order(tenant: str, card: str) -> None:
        with bound_labels(tenant=tenant):  # for everything that is called from here
            await charge(card)
            orders.labels("retail").inc()

Counters count from the start of the process and are never averaged here: rates, quantiles and sums over instances are
the server's business, and exact. Where there is no application to instrument, `start_http_server` serves the metrics
on its own port, `make_asgi_app` anywhere under ASGI, and `write_to_textfile` writes them to a file.

Names and arguments are prometheus_client's. `asyncmetrics.core` has the names for custom collectors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from asyncmetrics.collectors import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from asyncmetrics.context import bind_labels, bound_labels, clear_labels, get_labels, reset_labels, unbind_labels
from asyncmetrics.exposition.latest import generate_latest
from asyncmetrics.formats.negotiation import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    CONTENT_TYPE_PROTOBUF,
)
from asyncmetrics.metrics import (
    CallMetrics,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
    exponential_buckets,
    linear_buckets,
)
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry, Registry
from asyncmetrics.version import __version__

if TYPE_CHECKING:
    from asyncmetrics.bridges.pushgateway import (
        delete_from_gateway,
        instance_ip_grouping_key,
        push_to_gateway,
        pushadd_to_gateway,
    )
    from asyncmetrics.exposition import (
        make_asgi_app,
        make_wsgi_app,
        serve_metrics,
        start_http_server,
        start_wsgi_server,
        write_to_textfile,
    )
    from asyncmetrics.integrations import Instrumentation, instrument, instrument_all, uninstrument
    from asyncmetrics.middleware import MetricsMiddleware

__all__ = (
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_OPENMETRICS",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CONTENT_TYPE_PROTOBUF",
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "CallMetrics",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "GCCollector",
    "Gauge",
    "Histogram",
    "Info",
    "Instrumentation",
    "Metric",
    "MetricsMiddleware",
    "PlatformCollector",
    "ProcessCollector",
    "Registry",
    "Summary",
    "__version__",
    "bind_labels",
    "bound_labels",
    "clear_labels",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "exponential_buckets",
    "generate_latest",
    "get_labels",
    "instance_ip_grouping_key",
    "instrument",
    "instrument_all",
    "linear_buckets",
    "make_asgi_app",
    "make_wsgi_app",
    "push_to_gateway",
    "pushadd_to_gateway",
    "reset_labels",
    "serve_metrics",
    "start_http_server",
    "start_wsgi_server",
    "unbind_labels",
    "uninstrument",
    "write_to_textfile",
)

# What instrumented code does not need is loaded at its first use: a module that declares a metric must not pay for
# servers, TLS and event loops (tests/architecture/test_import_cost.py). The imports above show these names to type
# checkers.
_LOADED_ON_USE = {
    **dict.fromkeys(
        ("delete_from_gateway", "instance_ip_grouping_key", "push_to_gateway", "pushadd_to_gateway"),
        "asyncmetrics.bridges.pushgateway",
    ),
    **dict.fromkeys(
        (
            "make_asgi_app",
            "make_wsgi_app",
            "serve_metrics",
            "start_http_server",
            "start_wsgi_server",
            "write_to_textfile",
        ),
        "asyncmetrics.exposition",
    ),
    **dict.fromkeys(("Instrumentation", "instrument", "instrument_all", "uninstrument"), "asyncmetrics.integrations"),
    "MetricsMiddleware": "asyncmetrics.middleware",
}


# What `import asyncmetrics` gives as attributes without loading it: asyncmetrics.middleware.scope, for one.
_ROOMS_LOADED_ON_USE = frozenset({"bridges", "integrations", "middleware"})

if not TYPE_CHECKING:  # with it, type checkers would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Load a name of the package at its first use (PEP 562)."""
        if name in _ROOMS_LOADED_ON_USE:
            return importlib.import_module(f"{__name__}.{name}")
        module = _LOADED_ON_USE.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(module), name)
        globals()[name] = value  # the next use finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
