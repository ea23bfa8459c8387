"""An ASGI server in a few lines, whose every message a test decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry, MetricsMiddleware


class Asked:
    """What came of one request: the messages sent, and the exception that left the application."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.error: BaseException | None = None


async def _ask(
    app: Any,
    path: str = "/",
    method: str = "GET",
    *,
    events: Sequence[dict[str, Any]] = ({"type": "http.request", "body": b"", "more_body": False},),
    send: Callable[[dict[str, Any]], None] | None = None,
    **scope: Any,
) -> Asked:
    """Send one request; after its events the client is gone."""
    asked = Asked()
    left = list(events)

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def deliver(message: dict[str, Any]) -> None:
        if send is not None:
            send(message)
        asked.sent.append(message)

    whole = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example")],
        "scheme": "http",
        "server": ("shop.example", 80),
        "client": ("127.0.0.1", 1),
        **scope,
    }
    try:
        await app(whole, receive, deliver)
    except BaseException as error:  # noqa: BLE001
        asked.error = error
    return asked


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Send a request to an application: ``asked = await ask(app, "/path", "GET", events=…)``."""
    return _ask


async def _connect(
    app: Any, *events: dict[str, Any], send: Callable[[dict[str, Any]], None] | None = None, **scope: Any
) -> Asked:
    """Open one websocket; after its events the client closes without a code."""
    return await _ask(
        app,
        "/socket",
        events=({"type": "websocket.connect"}, *events, {"type": "websocket.disconnect"}),
        send=send,
        **{"type": "websocket", "scheme": "ws", "asyncmetrics.route": "/socket", **scope},
    )


@pytest.fixture
def connect() -> Callable[..., Any]:
    """Open a websocket to an application: ``await connect(app, {"type": "websocket.receive", "text": "x"})``."""
    return _connect


@pytest.fixture
def labels(registry: CollectorRegistry) -> Callable[[str], list[dict[str, str]]]:
    """Read the labels of every sample of a name: ``labels("http_server_exceptions_total")``."""
    return lambda name: [s.labels for family in registry.collect() for s in family.samples if s.name == name]


@pytest.fixture
def totals(registry: CollectorRegistry) -> Callable[..., dict[Any, float]]:
    """Read one metric's samples as a dict: ``totals("counted")`` by method, route and status, and so on."""
    kinds = {
        "counted": ("http_server_request_duration_seconds_count", ("method", "route", "status")),
        "seconds": ("http_server_request_duration_seconds_sum", ("method", "route", "status")),
        "exceptions": ("http_server_exceptions_total", ("route", "type")),
        "active": ("http_server_active_requests", ("method", "route")),
        "oldest": ("http_server_oldest_active_request_seconds", ("route",)),
        "first bytes": ("http_server_time_to_first_byte_seconds_count", ("method", "route")),
        "first byte": ("http_server_time_to_first_byte_seconds_sum", ("method", "route")),
        "received": ("http_server_request_body_size_bytes_sum", ("method", "route")),
        "sent": ("http_server_response_body_size_bytes_sum", ("method", "route")),
        "sizes": ("http_server_response_body_size_bytes_count", ("method", "route")),
        "background": ("http_server_background_duration_seconds_sum", ("route",)),
        "connected": ("websocket_server_connection_duration_seconds_count", ("route", "outcome", "close_code")),
        "open": ("websocket_server_active_connections", ("route",)),
        "messages": ("websocket_server_messages_total", ("route", "direction")),
        "message bytes": ("websocket_server_message_bytes_total", ("route", "direction")),
        "websocket exceptions": ("websocket_server_exceptions_total", ("route", "type")),
        "internal": ("asyncmetrics_internal_errors_total", ("where",)),
    }

    def read(kind: str) -> dict[Any, float]:
        name, labels = kinds[kind]
        samples = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {
            tuple(s.labels[label] for label in labels) if len(labels) > 1 else s.labels[labels[0]]: s.value
            for s in samples
        }

    return read


@pytest.fixture
def measured(registry: CollectorRegistry) -> Callable[..., MetricsMiddleware]:
    """Wrap an application in a middleware on the test's own registry."""
    return lambda app, **options: MetricsMiddleware(app, registry=registry, **options)
