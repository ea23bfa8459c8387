"""Metrics from and to other systems.

* `push`: `Pusher` and `PusherThread`, which send a registry to a sink again and again; `Sink`, `Payload`, `Part` and
  `Identity` are for a sink of one's own.
* `pushgateway`: push to a Pushgateway, for jobs that end before they are scraped, by functions (`http` sends the
  requests) or as a sink.
* `remote_write`, `otlp`: sinks that push to Prometheus, collectors and the many systems that take the same protocols.
* `graphite`, `statsd`: sinks that push to Graphite, and to StatsD or DogStatsD.
* `opentelemetry`: what libraries measure through OpenTelemetry's API.
* `statsd_server`: receive lines of StatsD.
* `prometheus_client`: collect prometheus_client's registries, or have it collect ours.
* `http` sends the requests of functions, and `scraping` reads the metrics of another server. `timed_http` limits their
  time, and `explaining` says what has gone wrong.

Import a bridge from its module, which loads what it needs when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmetrics.bridges.push.identity import Identity
    from asyncmetrics.bridges.push.pusher import Pusher
    from asyncmetrics.bridges.push.sink import Part, Payload, Sink
    from asyncmetrics.bridges.push.thread import PusherThread

__all__ = ("Identity", "Part", "Payload", "Pusher", "PusherThread", "Sink")

_MODULES = {
    "Identity": "identity",
    "Part": "sink",
    "Payload": "sink",
    "Pusher": "pusher",
    "PusherThread": "thread",
    "Sink": "sink",
}

if not TYPE_CHECKING:  # with it, type checkers would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Load a name at its first use: a program that only uses a Pushgateway needs no event loop."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.push.{_MODULES[name]}"), name)
        globals()[name] = value  # the next use finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
