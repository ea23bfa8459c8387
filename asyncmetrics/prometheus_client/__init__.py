"""prometheus_client, over asyncmetrics: its modules, its names and its private attributes that programs read.

Write ``asyncmetrics.prometheus_client`` for ``prometheus_client`` in a program, and nothing else. To move the libraries
that a program uses as well, there are two ways:

* `install` in the program, before any of them is imported::

      from asyncmetrics.prometheus_client import install

      install()  # from here on, `import prometheus_client` is this package

* ``PYTHONPATH=$(python -m asyncmetrics prometheus-client-path)`` in the environment, for programs that start others.

What differs is in docs/migrating.md. Nothing of this package is used by the rest of asyncmetrics.
"""

from __future__ import annotations

from asyncmetrics.prometheus_client import (
    context_managers,
    decorator,
    exposition,
    gc_collector,
    metrics,
    metrics_core,
    platform_collector,
    process_collector,
    registry,
    values,
)
from asyncmetrics.prometheus_client._installation import install, uninstall
from asyncmetrics.prometheus_client.exposition import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    MetricsHandler,
    delete_from_gateway,
    generate_latest,
    instance_ip_grouping_key,
    make_asgi_app,
    make_wsgi_app,
    push_to_gateway,
    pushadd_to_gateway,
    start_http_server,
    start_wsgi_server,
    write_to_textfile,
)
from asyncmetrics.prometheus_client.gc_collector import GC_COLLECTOR, GCCollector
from asyncmetrics.prometheus_client.metrics import (
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
)
from asyncmetrics.prometheus_client.metrics_core import Metric
from asyncmetrics.prometheus_client.platform_collector import PLATFORM_COLLECTOR, PlatformCollector
from asyncmetrics.prometheus_client.process_collector import PROCESS_COLLECTOR, ProcessCollector
from asyncmetrics.prometheus_client.registry import REGISTRY, CollectorRegistry

__all__ = (
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "GCCollector",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "MetricsHandler",
    "PlatformCollector",
    "ProcessCollector",
    "Summary",
    "context_managers",
    "decorator",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "exposition",
    "gc_collector",
    "generate_latest",
    "install",
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_wsgi_app",
    "metrics",
    "metrics_core",
    "platform_collector",
    "process_collector",
    "push_to_gateway",
    "pushadd_to_gateway",
    "registry",
    "start_http_server",
    "start_wsgi_server",
    "uninstall",
    "values",
    "write_to_textfile",
)
