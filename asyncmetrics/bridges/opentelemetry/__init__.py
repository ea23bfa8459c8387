"""What libraries measure through OpenTelemetry's API, in a registry of this library: `MeterProvider`.

Redis-py, OpenTelemetry's instrumentations of FastAPI and httpx, and many other libraries measure by
``opentelemetry.metrics.get_meter``. One line has their numbers exposed, without OpenTelemetry's SDK::

    opentelemetry.metrics.set_meter_provider(MeterProvider())

- `provider`: `MeterProvider`, which makes meters and opens families.
- `meter`, `instruments`: the classes of the API.
- `recording`: from the attributes of a measurement to the child that records it.
- `observing`: the callbacks of observable instruments.
- `family`, `merging`: the tables of one name, and how they are exposed as one family, over all workers.
- `naming`: names, units and labels.

There are no views, no aggregation temporality and no readers: a scrape or a sink of this library reads the registry.
"""

from __future__ import annotations

from asyncmetrics.errors import MissingExtraError

try:
    from asyncmetrics.bridges.opentelemetry.provider import MeterProvider
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError("the bridge from OpenTelemetry", "opentelemetry-api", "opentelemetry") from error

__all__ = ("MeterProvider",)
