"""The rules for what an application calls: HTTP servers and databases, and its pools of connections."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert, record

__all__ = ("ALERTS", "RECORDING")

RECORDING = (
    RuleGroup(
        "asyncmetrics-clients",
        (
            record(
                "job_server:http_client_requests:rate5m",
                "sum by (job, server) (rate(http_client_request_duration_seconds_count[5m]))",
            ),
            record(
                "job_server:http_client_failures:ratio_rate5m",
                """
                (
                  sum by (job, server) (rate(http_client_request_duration_seconds_count{status=~"5..|error"}[5m]))
                    or 0 * job_server:http_client_requests:rate5m
                ) / (job_server:http_client_requests:rate5m > 0)
                """,
                comment=(
                    "A request that was cancelled is no failure of the server. `or` adds 0 for a server without a "
                    "failure."
                ),
            ),
            record(
                "job_system:db_client_operations:rate5m",
                "sum by (job, system) (rate(db_client_operation_duration_seconds_count[5m]))",
            ),
            record(
                "job_system:db_client_failures:ratio_rate5m",
                """
                (
                  sum by (job, system) (rate(db_client_operation_duration_seconds_count{outcome="error"}[5m]))
                    or 0 * job_system:db_client_operations:rate5m
                ) / (job_system:db_client_operations:rate5m > 0)
                """,
            ),
            record(
                "job_pool:db_client_connection_wait_time_seconds:p99_5m",
                """
                histogram_quantile(
                  0.99, sum by (job, pool, le) (rate(db_client_connection_wait_time_seconds_bucket[5m]))
                )
                """,
            ),
        ),
    ),
)

ALERTS = (
    RuleGroup(
        "asyncmetrics-clients",
        (
            alert(
                "HttpClientFails",
                "ticket",
                """
                job_server:http_client_failures:ratio_rate5m > 0.05 and job_server:http_client_requests:rate5m > 0.1
                """,
                (
                    "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} to {{ $labels.server "
                    "}} fail."
                ),
                wait="5m",
            ),
            alert(
                "DatabaseFails",
                "page",
                """
                job_system:db_client_failures:ratio_rate5m > 0.05 and job_system:db_client_operations:rate5m > 0.1
                """,
                (
                    "{{ $value | humanizePercentage }} of the operations of {{ $labels.job }} on {{ "
                    "$labels.system }} fail."
                ),
                wait="5m",
            ),
            alert(
                "PoolIsTooSmall",
                "ticket",
                "db_client_connection_pending_requests > 0",
                (
                    "Calls have waited for connections of {{ $labels.pool }} of {{ $labels.instance }} for 5 "
                    "minutes, {{ $value }} now."
                ),
                wait="5m",
                comment=(
                    "Calls wait because the pool has no free connection: it is too small, or connections are held "
                    "for too long."
                ),
            ),
            alert(
                "PoolTimesOut",
                "ticket",
                """
                increase(db_client_connection_timeouts_total[15m]) > 0
                  or db_client_connection_timeouts_total unless db_client_connection_timeouts_total offset 15m
                """,
                "Calls got no connection of {{ $labels.pool }} of {{ $labels.instance }} in time.",
            ),
            alert(
                "LibraryIsNotMeasured",
                "ticket",
                'asyncmetrics_instrumentation_info{state!="active"} == 1',
                (
                    "{{ $labels.library }} {{ $labels.version }} of {{ $labels.instance }} is not measured: {{ "
                    "$labels.state }}. The log has the reason."
                ),
                wait="5m",
            ),
        ),
        "Of the clients that instrument_all() measures.",
    ),
)
