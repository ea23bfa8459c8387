"""The metrics of one middleware: on its registry, with its labels, and with the buckets of each histogram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Counter, Histogram
from asyncmetrics.middleware.labels import RequestLabels
from asyncmetrics.middleware.options import Bounds, Buckets, MiddlewareOptions
from asyncmetrics.model.checks import list_items

__all__ = ("MetricFactory",)

_MAX_CHILDREN = 10_000  # of each metric: routes, methods and statuses are few, and a route callable may return any text
_BYTES = tuple(256 * 4**power for power in range(10))  # 256 B to 64 MiB
_LIFETIMES = (0.1, 1, 10, 60, 300, 900, 3600, 14_400, 86_400)  # a tenth of a second to a day
# The histograms that use ``buckets`` if it is not a mapping.
_DURATIONS = (
    "http_server_request_duration_seconds",
    "http_server_time_to_first_byte_seconds",
    "http_server_background_duration_seconds",
)
_DEFAULTS: dict[str, Bounds] = {
    **dict.fromkeys(_DURATIONS, Histogram.DEFAULT_BUCKETS),
    "http_server_stream_duration_seconds": _LIFETIMES,
    "http_server_request_body_size_bytes": _BYTES,
    "http_server_response_body_size_bytes": _BYTES,
    "http_server_on_loop_duration_seconds": (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    "http_server_request_client_calls": (0, 1, 2, 5, 10, 20, 50, 100, 200, 500),
    "http_server_request_client_duration_seconds": Histogram.DEFAULT_BUCKETS,
    "websocket_server_connection_duration_seconds": _LIFETIMES,
}
# The metrics that ``worker_label`` exposes for each worker: sizes and counts of calls say nothing of a worker.
_OF_WORKERS = frozenset(
    {
        "http_server_request_duration_seconds",
        "http_server_stream_duration_seconds",
        "http_server_exceptions_total",
        "websocket_server_connection_duration_seconds",
        "websocket_server_exceptions_total",
    }
)


@final
class MetricFactory:
    """Create the histograms and counters of one middleware. All middleware of one registry share them."""

    def __init__(self, labels: RequestLabels, options: MiddlewareOptions) -> None:
        self._labels = labels
        self._of_workers = _OF_WORKERS if options["worker_label"] else frozenset()
        self._native = options["native"]
        self._buckets = {**_DEFAULTS, **_read_buckets(options["buckets"])}
        for name, bounds in self._buckets.items():  # reject wrong bounds before a metric is registered
            Histogram(name, name, registry=None, buckets=bounds, native=self._native)
        self._options: dict[str, Any] = {
            "namespace": options["namespace"],
            "registry": labels.registry,
            "max_children": _MAX_CHILDREN,
            "exemplars": options["exemplars"],
            "exist_ok": True,
        }

    def make_histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        """Return the histogram of this name, with ``labels`` and the labels that every metric has."""
        names = self._list_names(*labels)
        options = {**self._options, "per_worker": name in self._of_workers}
        return Histogram(name, documentation, names, buckets=self._buckets[name], native=self._native, **options)

    def make_counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """Return the counter of this name, with ``labels`` and the labels that every metric has."""
        options = {**self._options, "per_worker": name in self._of_workers}
        return Counter(name, documentation, self._list_names(*labels), **options)

    def _list_names(self, *labels: str) -> list[str]:
        """Return all names. The middleware reads the context labels itself, so to the metric they are ordinary ones."""
        return [*self._labels.list_names(*labels), *self._labels.context_names]


def _read_buckets(buckets: Buckets) -> dict[str, Bounds]:
    """Return the bounds that the option sets, by the name of the histogram."""
    if not isinstance(buckets, Mapping):
        expected = "a list of numbers, or a mapping from names of histograms to such lists"
        same: Any = list_items("buckets", buckets, expected)
        names = _DURATIONS if same else tuple(_DEFAULTS)  # no buckets: no classic histogram at all
        bounds: dict[str, Any] = dict.fromkeys(names, same)
        return bounds
    if unknown := buckets.keys() - _DEFAULTS.keys():
        raise DefinitionError("buckets", f"expected names among {sorted(_DEFAULTS)}, got {sorted(unknown)}")
    own: dict[str, Any] = {
        str(name): list_items("buckets", bounds, "a list of numbers", owner=str(name))
        for name, bounds in buckets.items()
    }
    return own
