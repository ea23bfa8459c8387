"""The metrics of HTTP clients, which their integrations share: one call is one request on the wire and its response.

A call ends when the body of the response is read, closed, broken or abandoned. Retries and redirects are calls of their
own. The label ``status`` is the code that came; without a response it is ``error`` or ``cancelled``.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, final

from asyncmetrics.integrations.client_options import ServerNames, name_label
from asyncmetrics.integrations.library import Integration
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Histogram
from asyncmetrics.metrics.calls import NO_EXEMPLAR, CallNames, CallSeries, declare_calls
from asyncmetrics.metrics.pools import PoolNumbers, get_pools
from asyncmetrics.model.checks import check_text
from asyncmetrics.model.http_values import OTHER, limit_method, limit_status
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("HttpCall", "HttpClientIntegration", "HttpClientMetrics")

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
        self._values: dict[tuple[object, ...], tuple[str, str]] = {}
        self.exposed: dict[int, weakref.ref[Any]] = {}
        """The pools that are exposed, by their `id`: a look-up costs a third of one in a ``WeakSet``."""
        self.pool_name: str = options["name"]
        own = [name_label(options, name) for name in ("method", "server")]
        shared: dict[str, Any] = {
            "namespace": options["namespace"],
            "registry": options["registry"],
            "max_children": _MAX_CHILDREN,
            "native": options["native"],
            "exemplars": options["exemplars"],
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
        self._pools = get_pools(
            options["registry"],
            "http_client_connection",
            namespace=options["namespace"],
            state=name_label(options, "http_state"),
        )

    def expose(self, pool: Any, kind: str, read: Callable[[Any], PoolNumbers]) -> None:
        """Expose a pool of connections, whose default name begins with ``kind``, unless it is exposed."""
        key = id(pool)
        if key not in self.exposed:
            self.exposed[key] = weakref.ref(pool, lambda _: self.exposed.pop(key, None))
            self._pools.add(pool, kind, read, self.pool_name)

    def hide(self, pool: Any) -> None:
        """Stop exposing a pool."""
        if self.exposed.pop(id(pool), None) is not None:
            self._pools.remove(pool)

    def close(self) -> None:
        """Stop exposing all pools."""
        for reference in list(self.exposed.values()):
            self.hide(reference())

    def begin(self, method: str, scheme: str, host: str, port: int | None) -> HttpCall:
        """Begin the call of a request."""
        key = (method, scheme, host, port)
        return HttpCall(self, self.calls.at(self._values.get(key) or self._find_values(*key)))

    def _find_values(self, method: str, scheme: str, host: str, port: int | None) -> tuple[str, str]:
        netloc = f"[{host}]" if ":" in host else host
        if port is not None and port != _DEFAULT_PORTS.get(scheme):
            netloc = f"{netloc}:{port}"
        if len(self._values) >= _MAX_SERVERS:
            self._values.clear()
        values = self._values[method, scheme, host, port] = (limit_method(method), self._name_server(netloc))
        return values

    def _name_server(self, netloc: str) -> str:
        names = self._names
        if names is None:
            return netloc
        try:
            server = names(netloc) if callable(names) else names.get(netloc, netloc)
            check_text("server", server)
        except Exception as error:  # noqa: BLE001  # the user's function, or what it returned
            pass_interruption(error)
            get_self_metrics(self._registry).count_internal_error("server")
            return OTHER
        return server

    def count_failure(self) -> None:
        """Count the exception that is being handled as an error of ours."""
        get_self_metrics(self._registry).count_internal_error("integrations.http_client")


@final
class HttpCall:
    """One request and its response, from `HttpClientMetrics.begin` to its end. A second end does nothing.

    The call also ends when it is collected by the garbage collector, so what holds it should be what holds the body.
    """

    __slots__ = ("_is_open", "_metrics", "_series", "_started", "_status", "size")

    def __init__(self, metrics: HttpClientMetrics, series: CallSeries) -> None:
        self._is_open = False
        self._metrics = metrics
        self._series = series
        self._status = ""
        self.size = 0
        """The bytes of the response's body so far."""
        series.begin()
        self._is_open = True
        self._started = perf_counter()

    @property
    def needs_request_size(self) -> bool:
        """Whether `observe_request` has to be called."""
        return self._metrics.request_sizes is not None

    def observe_request(self, size: int) -> None:
        """Record the size of the request's body."""
        self._observe(self._metrics.request_sizes, size)

    def respond(self, status: int) -> None:
        """Take the status of the response, whose body is still to come."""
        self._status = limit_status(status)
        if self._metrics.first_bytes is not None:
            self._observe(self._metrics.first_bytes, perf_counter() - self._started)

    def end(self, exemplar: Mapping[str, str] | None = None) -> None:
        """End the call: its body was read, closed or abandoned."""
        if self._is_open:
            self._is_open = False
            self._series.end(perf_counter() - self._started, self._status or "cancelled", exemplar)
            if self._metrics.response_sizes is not None:
                self._observe(self._metrics.response_sizes, self.size)

    def fail(self, error: BaseException) -> None:
        """End the call by an exception, which came instead of a response or while its body was read."""
        if self._is_open:
            self._is_open = False
            self._series.fail(perf_counter() - self._started, error, self._status)

    def _observe(self, histogram: Histogram | None, value: float) -> None:
        if histogram is not None:
            try:
                histogram.find(self._series.values).observe(value)
            except Exception as error:  # noqa: BLE001  # a metric's exception is not for the application
                pass_interruption(error)
                self._metrics.count_failure()

    def __del__(self) -> None:
        if self._is_open:
            self.end(NO_EXEMPLAR)  # the garbage collector may run inside of another trace


class HttpClientIntegration(Integration[HttpClientMetrics]):
    """The base of the integrations with HTTP clients, which expose pools of connections."""

    @abstractmethod
    def find_pool(self, part: Any) -> Any:
        """Return the pool of connections of a part; None if it has none."""

    @abstractmethod
    def read_pool(self, pool: Any) -> PoolNumbers:
        """Return the numbers of a pool."""

    def make_metrics(self, options: Mapping[str, Any]) -> HttpClientMetrics:
        """Return the metrics for these options."""
        return HttpClientMetrics(options)

    def adopt(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Expose the pool of a part, which may have been exposed with those of the whole library."""
        self._hide(part, self._everywhere)
        self.expose(part, metrics)

    def release(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Stop exposing the pool of a part."""
        self._hide(part, metrics)

    def release_all(self, metrics: HttpClientMetrics) -> None:
        """Stop exposing all pools of these metrics."""
        metrics.close()

    def expose(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Expose the pool of a part, unless it is exposed."""
        pool = self.find_pool(part)
        if pool is not None:
            metrics.expose(pool, self.library, self.read_pool)

    def hide_closed(self, part: Any) -> None:
        """Stop exposing the pool of a closed part."""
        try:
            self._hide(part, self.find(part))
        except Exception as error:  # noqa: BLE001  # to close must not fail because of us
            pass_interruption(error)
            self.count_failure()

    def _hide(self, part: Any, metrics: HttpClientMetrics | None) -> None:
        pool = self.find_pool(part)
        if pool is not None and metrics is not None:
            metrics.hide(pool)
