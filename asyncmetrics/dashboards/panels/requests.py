"""The rows of the middleware: an overview, requests, streams and WebSockets."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("OVERVIEW", "REQUESTS", "STREAMS", "WEBSOCKETS")

_COUNT = "<http_server_request_duration_seconds_count>"
_FAILED = '<http_server_request_duration_seconds_count status=~"5..">'
_BUCKET = "<http_server_request_duration_seconds_bucket>"


def _quantile(share: str, bucket: str = _BUCKET, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({bucket}[$w])))"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate(<{metric}_sum>[$w])) / (sum by ({by}) (rate(<{metric}_count>[$w])) > 0)"


OVERVIEW = Row(
    "Overview",
    (
        Panel("Requests", "reqps", (Query(f"sum(rate({_COUNT}[$w]))"),), "Requests a second.", "stat"),
        Panel(
            "Failed requests",
            "percentunit",
            (Query(f"(sum(rate({_FAILED}[$w])) or vector(0)) / (sum(rate({_COUNT}[$w])) > 0)"),),
            "The share of requests with a 5xx status.",
            "stat",
        ),
        Panel("p50", "s", (Query(_quantile("0.5")),), "Half of the requests take longer.", "stat"),
        Panel("p99", "s", (Query(_quantile("0.99")),), "1 % of the requests take longer.", "stat"),
        Panel("Active requests", "short", (Query("sum(<http_server_active_requests>)"),), "", "stat"),
        Panel(
            "Oldest request", "s", (Query("max(<http_server_oldest_active_request_seconds>) or vector(0)"),), "", "stat"
        ),
        Panel(
            "Event loop lag (p99)",
            "s",
            (Query(_quantile("0.99", "<event_loop_lag_seconds_bucket>")),),
            "1 % of the timers are later.",
            "stat",
        ),
        Panel(
            "Failing checks",
            "short",
            (Query("count(min by (job, instance, check) (<health_check_up>) == 0) or vector(0)"),),
            "Health checks that fail now.",
            "stat",
        ),
        Panel("CPU", "short", (Query("sum(rate(<process_cpu_seconds_total>[$w]))"),), "Processors in use.", "stat"),
        Panel("Memory", "bytes", (Query("sum(<process_resident_memory_bytes>)"),), "Resident memory.", "stat"),
    ),
)

REQUESTS = Row(
    "Requests",
    (
        Panel("Requests by route", "reqps", (Query(f"sum by (route) (rate({_COUNT}[$w]))", "{{route}}"),)),
        Panel(
            "Failures by route",
            "percentunit",
            (
                Query(
                    f"(sum by (route) (rate({_FAILED}[$w])) or 0 * sum by (route) (rate({_COUNT}[$w])))"
                    f" / (sum by (route) (rate({_COUNT}[$w])) > 0)",
                    "{{route}}",
                ),
            ),
            "The share of requests with a 5xx status. Streams are not in it.",
        ),
        Panel(
            "Duration: p50, p95, p99",
            "s",
            tuple(Query(_quantile(share), name) for share, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))),
        ),
        Panel("p95 by route", "s", (Query(_quantile("0.95", by="route"), "{{route}}"),)),
        Panel("p99 by worker", "s", (Query(_quantile("0.99", by="worker"), "worker {{worker}}"),), label="worker"),
        Panel("Durations", "s", (Query(f"sum by (le) (increase({_BUCKET}[$w]))", "{{le}}"),), kind="heatmap"),
        Panel("Requests by status", "reqps", (Query(f"sum by (status) (rate({_COUNT}[$w]))", "{{status}}"),)),
        Panel(
            "Active requests by route",
            "short",
            (Query("sum by (route) (<http_server_active_requests>)", "{{route}}"),),
            "Requests that have not ended, streams included.",
        ),
        Panel(
            "Oldest active request by route",
            "s",
            (Query("max by (route) (<http_server_oldest_active_request_seconds>)", "{{route}}"),),
            "A request that hangs is in no histogram: it has no duration yet.",
        ),
        Panel(
            "Exceptions",
            "cps",
            (Query("sum by (route, type) (rate(<http_server_exceptions_total>[$w]))", "{{type}} in {{route}}"),),
            "Exceptions that left the application, a second.",
        ),
        Panel(
            "Time to first byte (p95)",
            "s",
            (Query(_quantile("0.95", "<http_server_time_to_first_byte_seconds_bucket>", "route"), "{{route}}"),),
        ),
        Panel(
            "Mean size of bodies",
            "bytes",
            (
                Query(_mean("http_server_request_body_size_bytes", "route"), "received: {{route}}"),
                Query(_mean("http_server_response_body_size_bytes", "route"), "sent: {{route}}"),
            ),
        ),
        Panel(
            "Background work (p95)",
            "s",
            (Query(_quantile("0.95", "<http_server_background_duration_seconds_bucket>", "route"), "{{route}}"),),
            "What the application does after the end of a response.",
        ),
        Panel(
            "Event loop in use by route",
            "percentunit",
            (Query("sum by (route) (rate(<http_server_on_loop_duration_seconds_sum>[$w]))", "{{route}}"),),
            "The time for which the event loops run the code of the requests: 100 % is one loop.",
        ),
        Panel(
            "Calls of clients for each request",
            "short",
            (Query(_mean("http_server_request_client_calls", "route, client"), "{{client}}: {{route}}"),),
            "A route with many calls of a database for each request has the N+1 problem.",
        ),
        Panel(
            "Time in clients for each request",
            "s",
            (Query(_mean("http_server_request_client_duration_seconds", "route, client"), "{{client}}: {{route}}"),),
        ),
    ),
)

_STREAMS = "<http_server_stream_duration_seconds_count>"

STREAMS = Row(
    "Streams",
    (
        Panel(
            "Active streams by route",
            "short",
            (Query("sum by (route) (<http_server_active_streams>)", "{{route}}"),),
        ),
        Panel(
            "Ends of streams by outcome",
            "cps",
            (Query(f"sum by (route, outcome) (rate({_STREAMS}[$w]))", "{{outcome}}: {{route}}"),),
        ),
        Panel(
            "Duration of streams (p50)",
            "s",
            (Query(_quantile("0.5", "<http_server_stream_duration_seconds_bucket>", "route"), "{{route}}"),),
        ),
    ),
)

WEBSOCKETS = Row(
    "WebSockets",
    (
        Panel(
            "Active connections by route",
            "short",
            (Query("sum by (route) (<websocket_server_active_connections>)", "{{route}}"),),
        ),
        Panel(
            "Ends of connections",
            "cps",
            (
                Query(
                    "sum by (route, outcome, close_code) "
                    "(rate(<websocket_server_connection_duration_seconds_count>[$w]))",
                    "{{route}}: {{outcome}} {{close_code}}",
                ),
            ),
        ),
        Panel(
            "Duration of connections (p50)",
            "s",
            (Query(_quantile("0.5", "<websocket_server_connection_duration_seconds_bucket>", "route"), "{{route}}"),),
        ),
        Panel(
            "Messages",
            "cps",
            (
                Query(
                    "sum by (route, direction) (rate(<websocket_server_messages_total>[$w]))",
                    "{{direction}}: {{route}}",
                ),
            ),
        ),
        Panel(
            "Payload",
            "Bps",
            (
                Query(
                    "sum by (route, direction) (rate(<websocket_server_message_bytes_total>[$w]))",
                    "{{direction}}: {{route}}",
                ),
            ),
        ),
        Panel(
            "Exceptions in connections",
            "cps",
            (Query("sum by (route, type) (rate(<websocket_server_exceptions_total>[$w]))", "{{type}} in {{route}}"),),
        ),
    ),
)
