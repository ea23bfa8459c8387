"""The rows of clients: HTTP, databases, and the pools of both."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("DATABASES", "HTTP_CLIENTS", "POOLS")

_HTTP = "http_client_request_duration_seconds"
_DATABASE = "db_client_operation_duration_seconds"


def _failures(metric: str, matcher: str, by: str) -> str:
    """Return the share of failed calls; a series without a failure has 0."""
    rate = f"sum by ({by}) (rate(<{metric}_count>[$w]))"
    return f"(sum by ({by}) (rate(<{metric}_count {matcher}>[$w])) or 0 * {rate}) / ({rate} > 0)"


def _p95(metric: str, by: str) -> str:
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate(<{metric}_bucket>[$w])))"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate(<{metric}_sum>[$w])) / (sum by ({by}) (rate(<{metric}_count>[$w])) > 0)"


HTTP_CLIENTS = Row(
    "HTTP clients",
    (
        Panel("Requests to servers", "reqps", (Query(f"sum by (server) (rate(<{_HTTP}_count>[$w]))", "{{server}}"),)),
        Panel(
            "Failures by server",
            "percentunit",
            (Query(_failures(_HTTP, 'status=~"5..|error"', "server"), "{{server}}"),),
            "The share of requests with a 5xx status or an exception.",
        ),
        Panel("Duration by server (p95)", "s", (Query(_p95(_HTTP, "server"), "{{server}}"),)),
        Panel(
            "Active requests to servers",
            "short",
            (Query("sum by (server) (<http_client_active_requests>)", "{{server}}"),),
        ),
        Panel(
            "Exceptions of HTTP clients",
            "cps",
            (
                Query(
                    "sum by (server, type) (rate(<http_client_request_exceptions_total>[$w]))", "{{type}}: {{server}}"
                ),
            ),
        ),
        Panel(
            "Time to first byte of servers (p95)",
            "s",
            (Query(_p95("http_client_time_to_first_byte_seconds", "server"), "{{server}}"),),
        ),
        Panel(
            "Mean size of bodies of HTTP clients",
            "bytes",
            (
                Query(_mean("http_client_request_body_size_bytes", "server"), "sent: {{server}}"),
                Query(_mean("http_client_response_body_size_bytes", "server"), "received: {{server}}"),
            ),
        ),
    ),
)

DATABASES = Row(
    "Databases",
    (
        Panel(
            "Operations",
            "ops",
            (
                Query(
                    f"sum by (system, operation) (rate(<{_DATABASE}_count>[$w]))",
                    "{{system}} {{operation}}",
                ),
            ),
        ),
        Panel(
            "Failures by system",
            "percentunit",
            (Query(_failures(_DATABASE, 'outcome="error"', "system"), "{{system}}"),),
            "The share of operations that raise an exception. Cancelled ones are no failures.",
        ),
        Panel(
            "Duration of operations (p95)",
            "s",
            (Query(_p95(_DATABASE, "system, operation"), "{{system}} {{operation}}"),),
        ),
        Panel(
            "Active operations",
            "short",
            (Query("sum by (system, operation) (<db_client_operation_active>)", "{{system}} {{operation}}"),),
        ),
        Panel(
            "Exceptions of databases",
            "cps",
            (
                Query(
                    "sum by (system, type) (rate(<db_client_operation_exceptions_total>[$w]))", "{{type}}: {{system}}"
                ),
            ),
        ),
    ),
)


def _make_pool_panels(what: str, name: str) -> tuple[Panel, ...]:
    times = (("Wait for", "wait"), ("Use of", "use"), ("Creation of", "create"))
    return (
        Panel(
            f"Connections of {what}",
            "short",
            (
                Query(f"sum by (pool, state) (<{name}_count>)", "{{pool}} {{state}}"),
                Query(f"sum by (pool) (<{name}_max>)", "{{pool}} limit"),
            ),
        ),
        Panel(
            f"Calls that wait for a connection of {what}",
            "short",
            (Query(f"sum by (pool) (<{name}_pending_requests>)", "{{pool}}"),),
            "A pool whose calls wait is too small, or its connections are held for too long.",
        ),
        *(
            Panel(
                f"{verb} a connection of {what} (p95)",
                "s",
                (Query(_p95(f"{name}_{time}_time_seconds", "pool"), "{{pool}}"),),
            )
            for verb, time in times
        ),
        Panel(
            f"Calls of {what} that got no connection in time",
            "cps",
            (Query(f"sum by (pool) (rate(<{name}_timeouts_total>[$w]))", "{{pool}}"),),
        ),
    )


POOLS = Row(
    "Pools of connections",
    (
        *_make_pool_panels("databases", "db_client_connection"),
        *_make_pool_panels("HTTP clients", "http_client_connection"),
    ),
)
