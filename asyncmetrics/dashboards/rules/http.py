"""The rules for requests and streams that an application serves."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert, record

__all__ = ("ALERTS", "RECORDING")

RECORDING = (
    RuleGroup(
        "asyncmetrics-http",
        (
            record(
                "job_route:http_server_requests:rate5m",
                "sum by (job, route) (rate(http_server_request_duration_seconds_count[5m]))",
            ),
            record(
                "job_route:http_server_failures:ratio_rate5m",
                """
                (
                  sum by (job, route) (rate(http_server_request_duration_seconds_count{status=~"5.."}[5m]))
                    or 0 * job_route:http_server_requests:rate5m
                ) / (job_route:http_server_requests:rate5m > 0)
                """,
                comment="A route without a failure has no series of failures, so `or` adds 0 for it.",
            ),
            record(
                "job_route:http_server_request_duration_seconds:p99_5m",
                """
                histogram_quantile(
                  0.99, sum by (job, route, le) (rate(http_server_request_duration_seconds_bucket[5m]))
                )
                """,
            ),
            record(
                "job_route:http_server_request_duration_seconds:mean5m",
                """
                sum by (job, route) (rate(http_server_request_duration_seconds_sum[5m]))
                  / (job_route:http_server_requests:rate5m > 0)
                """,
            ),
            record(
                "job_route:http_server_streams:rate5m",
                "sum by (job, route) (rate(http_server_stream_duration_seconds_count[5m]))",
                comment=(
                    "Streams are in none of the rules above: server-sent events, and responses that take long to send."
                ),
            ),
            record(
                "job_route:http_server_stream_failures:ratio_rate5m",
                """
                (
                  sum by (job, route) (rate(http_server_stream_duration_seconds_count{outcome="failed"}[5m]))
                    or 0 * job_route:http_server_streams:rate5m
                ) / (job_route:http_server_streams:rate5m > 0)
                """,
                comment="A client that closes a stream is no failure. `or` adds 0 for a route without a failure.",
            ),
        ),
    ),
)

ALERTS = (
    RuleGroup(
        "asyncmetrics-requests",
        (
            alert(
                "RouteFails",
                "page",
                """
                job_route:http_server_failures:ratio_rate5m > 0.05
                  and job_route:http_server_requests:rate5m > 0.1
                """,
                (
                    "{{ $value | humanizePercentage }} of the requests for {{ $labels.route }} of {{ $labels.job "
                    "}} fail."
                ),
                wait="5m",
            ),
            alert(
                "RouteIsSlow",
                "ticket",
                """
                job_route:http_server_request_duration_seconds:p99_5m > 1
                  and job_route:http_server_requests:rate5m > 0.1
                """,
                (
                    "1% of the requests for {{ $labels.route }} of {{ $labels.job }} take more than {{ $value | "
                    "humanizeDuration }}."
                ),
                wait="10m",
            ),
            alert(
                "StreamsFail",
                "ticket",
                """
                job_route:http_server_stream_failures:ratio_rate5m > 0.05
                  and job_route:http_server_streams:rate5m > 0.01
                """,
                ("{{ $value | humanizePercentage }} of the streams of {{ $labels.route }} of {{ $labels.job }} fail."),
                wait="5m",
                comment="A stream is in the histogram when it ends, so a rate of failures needs streams that end.",
            ),
            alert(
                "RequestHangs",
                "page",
                "max by (job, instance, route) (http_server_oldest_active_request_seconds) > 60",
                (
                    "A request for {{ $labels.route }} of {{ $labels.instance }} has been active for {{ $value | "
                    "humanizeDuration }}."
                ),
                comment=(
                    "A request that hangs is in no histogram, because it has no duration yet. Streams that have "
                    "started have no age."
                ),
            ),
        ),
    ),
)
