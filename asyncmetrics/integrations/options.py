"""The options of `instrument`: those of `MetricsMiddleware`, and those of the exposition."""

from __future__ import annotations

import logging

from asyncmetrics.bridges import Pusher, Sink
from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.exposition import MAX_CONCURRENT, Auth
from asyncmetrics.exposition.live.serving import is_for_live_page
from asyncmetrics.middleware import MiddlewareOptions
from asyncmetrics.middleware.options import MIDDLEWARE_DEFAULTS, complete_options
from asyncmetrics.model.checks import check_flag
from asyncmetrics.runtime import RuntimeMonitor

__all__ = ("INSTRUMENT_DEFAULTS", "InstrumentOptions", "check_options", "log_ignored_options")

_log = logging.getLogger("asyncmetrics")


class InstrumentOptions(MiddlewareOptions, total=False):
    """The keyword arguments of `instrument`."""

    path: str | None
    """Where the metrics are served, with and without a slash at the end. None serves them nowhere."""

    auth: Auth | None
    """Which clients may read the metrics: a bearer token, a ``(user, password)``, or a predicate of the scope."""

    max_concurrent: int
    """The limit of scrapes at the same time, as for `make_asgi_app`."""

    live: bool
    """Serve the live page at the path of the metrics with ``/live`` after it. Access to it is that of the metrics."""

    runtime: bool | RuntimeMonitor
    """Measure the event loops that serve the application, by a `RuntimeMonitor` with its defaults or by this one."""

    push: Sink | Pusher | None
    """Send the metrics to a sink, by a `Pusher` with its defaults or by this one, while the application is served."""


INSTRUMENT_DEFAULTS: InstrumentOptions = {
    "path": "/metrics",
    "auth": None,
    "max_concurrent": MAX_CONCURRENT,
    "live": False,
    "runtime": False,
    "push": None,
    **MIDDLEWARE_DEFAULTS,
}


def check_options(options: InstrumentOptions) -> InstrumentOptions:
    """Return ``options`` with the defaults for those that are missing.

    Raises `TypeError` for an unknown option, and `DefinitionError` if the exposition or the live page cannot be served
    at the path. The other values are checked where they are used.
    """
    complete = complete_options("instrument", options, INSTRUMENT_DEFAULTS)
    path = complete["path"]
    if path is not None and (not isinstance(path, str) or not path.startswith("/") or not path.strip("/")):
        raise DefinitionError("path", f"expected a path such as '/metrics', or None, got {show(path)}")
    check_flag("live", complete["live"])
    if complete["live"]:
        _check_live_path(path)
    return complete


def _check_live_path(path: str | None) -> None:
    if path is None:
        raise DefinitionError("live", "expected a path of the metrics, which the live page reads, got path=None")
    if is_for_live_page(path):
        raise DefinitionError("live", f"expected a path of the metrics that does not end in '/live', got {show(path)}")


def log_ignored_options(app: object, options: InstrumentOptions) -> None:
    """Log a warning if the second `instrument` of an application came with options, which have no effect."""
    if options:
        _log.warning(
            "instrument(%s): this application is instrumented already; the options of the first call stay, "
            "and these are ignored: %s.",
            type(app).__name__,
            ", ".join(options),
        )
