"""The metrics of HTTP clients, which their integrations share: one call is one request on the wire and its response.

A call ends when the body of the response is read, closed, broken or abandoned. Retries and redirects are calls of their
own. The label ``status`` is the code that came; without a response it is ``error`` or ``cancelled``.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, final

from asyncmetrics.integrations.client_options import ServerNames, name_label
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Histogram
from asyncmetrics.metrics.calls import CallNames, CallSeries, declare_calls
from asyncmetrics.metrics.pools import Pools, get_pools
from asyncmetrics.model.http_values import OTHER, limit_method, limit_status
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("HttpCall", "HttpClientMetrics")

_MAX_CHILDREN = 10_000
_MAX_SERVERS = 1000
_BYTES = tuple(256 * 4**power for power in range(10))  # 256 B to 64 MiB
_DEFAULT_PORTS = {"http": 80, "https": 443}


@final
class HttpClientMetrics:
    """The metrics of the HTTP clients with the same options."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._registry = options["registry"]
        self._names: ServerNames | None = options["server"]
        self._servers: dict[str, str] = {}
        self.pool_name: str = options["name"]
        own = [name_label(options, name) for name in ("method", "server")]
        shared: dict[str, Any] = {
            "namespace": options["namespace"],
            "registry": options["registry"],
            "max_children": _MAX_CHILDREN,
            "exist_ok": True,
        }
        self.calls = declare_calls(
            CallNames(
                "http_client_request_duration_seconds",
                "http_client_active_requests",
                "http_client_request_exceptions",
                outcome=name_label(options, "status"),
                type=name_label(options, "type"),
            ),
            "HTTP requests of clients.",
            own,
            kind="http",
            closed="cancelled",
            **shared,
        )

        def make_histogram(is_wanted: bool, name: str, documentation: str, **buckets: Any) -> Histogram | None:
            return Histogram(name, documentation, own, **buckets, **shared) if is_wanted else None

        sizes, first = options["body_sizes"], options["first_byte"]
        self.request_sizes = make_histogram(
            sizes, "http_client_request_body_size_bytes", "Sizes of request bodies.", buckets=_BYTES
        )
        self.response_sizes = make_histogram(
            sizes, "http_client_response_body_size_bytes", "Sizes of response bodies, as they came.", buckets=_BYTES
        )
        self.first_bytes = make_histogram(
            first, "http_client_time_to_first_byte_seconds", "Time from a request to the head of its response."
        )
        self._pool_options = {
            "namespace": options["namespace"],
            "pool": name_label(options, "pool"),
            "state": name_label(options, "state"),
        }

    def get_pools(self) -> Pools:
        """Return the pools of connections of HTTP clients."""
        return get_pools(self._registry, "http_client_connection", **self._pool_options)

    def begin(self, method: str, scheme: str, host: str, port: int | None, size: int | None = None) -> HttpCall:
        """Begin the call of a request, whose body has ``size`` bytes if that is known."""
        netloc = host if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
        server = self._servers.get(netloc) or self._name_server(netloc)
        values = (limit_method(method), server)
        if size is not None and self.request_sizes is not None:
            self.request_sizes.find(values).observe(size)
        return HttpCall(self, self.calls.at(values))

    def _name_server(self, netloc: str) -> str:
        names = self._names
        try:
            if names is None:
                server = netloc
            elif callable(names):
                server = str(names(netloc))
            else:
                server = names.get(netloc, netloc)
        except Exception as error:  # noqa: BLE001  # the user's function
            pass_interruption(error)
            get_self_metrics(self._registry).count_internal_error("server")
            server = OTHER
        if len(self._servers) >= _MAX_SERVERS:
            self._servers.clear()
        self._servers[netloc] = server
        return server


@final
class HttpCall:
    """One request and its response, from `HttpClientMetrics.begin` to its end. A second end does nothing."""

    __slots__ = ("_is_open", "_metrics", "_series", "_started", "_status", "size")

    def __init__(self, metrics: HttpClientMetrics, series: CallSeries) -> None:
        self._metrics = metrics
        self._series = series
        self._status = ""
        self._is_open = True
        self.size = 0
        """The bytes of the response's body so far."""
        series.begin()
        self._started = perf_counter()

    def respond(self, status: int) -> None:
        """Take the status of the response, whose body is still to come."""
        self._status = limit_status(status)
        if self._metrics.first_bytes is not None:
            self._metrics.first_bytes.find(self._series.values).observe(perf_counter() - self._started)

    def end(self) -> None:
        """End the call: its body was read, closed or abandoned."""
        if self._is_open:
            self._is_open = False
            self._series.end(perf_counter() - self._started, self._status or "cancelled")
            if self._metrics.response_sizes is not None:
                self._metrics.response_sizes.find(self._series.values).observe(self.size)

    def fail(self, error: BaseException) -> None:
        """End the call by an exception, which came instead of a response or while its body was read."""
        if self._is_open:
            self._is_open = False
            self._series.fail(perf_counter() - self._started, error, self._status)
