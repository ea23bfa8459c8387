"""The rules for batch jobs, periodic functions, heartbeats and health checks."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert

__all__ = ("ALERTS",)

ALERTS = (
    RuleGroup(
        "asyncmetrics-jobs",
        (
            alert(
                "BatchJobFails",
                "ticket",
                "batch_job_last_succeeded == 0",
                "The last run of the batch job {{ $labels.batch_job }} has failed.",
            ),
            alert(
                "BatchJobIsLate",
                "ticket",
                "time() - max by (job, batch_job) (batch_job_last_success_timestamp_seconds) > 26 * 3600",
                "The batch job {{ $labels.batch_job }} last succeeded {{ $value | humanizeDuration }} ago.",
                comment='For a daily job. Give each job its own limit by a matcher: {batch_job="import"}.',
            ),
            alert(
                "PeriodicIsLate",
                "ticket",
                """
                timestamp(periodic_interval_seconds) - (
                  periodic_last_success_timestamp_seconds > periodic_start_timestamp_seconds
                    or periodic_start_timestamp_seconds
                ) > 3 * periodic_interval_seconds
                """,
                (
                    "{{ $labels.periodic }} of {{ $labels.instance }} has not succeeded for {{ $value | "
                    "humanizeDuration }}."
                ),
                comment=(
                    "Ages are those at the scrape, `timestamp()`: `time()` would add the time since then, and a "
                    "minute between two scrapes is more than the limit of a short interval."
                ),
            ),
            alert(
                "HeartbeatIsMissing",
                "page",
                """
                timestamp(heartbeat_last_timestamp_seconds) - heartbeat_last_timestamp_seconds
                  > on (job, instance, heartbeat) group_left () 3 * heartbeat_interval_seconds
                """,
                (
                    "{{ $labels.heartbeat }} of {{ with $labels.worker }}worker {{ . }} of {{ end }}{{ "
                    "$labels.instance }} last beat {{ $value | humanizeDuration }} ago."
                ),
                comment="A stuck loop in a worker that lives. The series of a worker that has ended disappears.",
            ),
            alert(
                "HealthCheckFails",
                "page",
                "min by (job, instance, check) (health_check_up) == 0",
                "The check {{ $labels.check }} of {{ $labels.instance }} fails.",
                wait="1m",
            ),
            alert(
                "HealthCheckStops",
                "ticket",
                """
                max by (job, instance, check) (
                  timestamp(health_check_last_success_timestamp_seconds) - health_check_last_success_timestamp_seconds
                    > 3 * health_check_interval_seconds and health_check_up == 1
                )
                """,
                (
                    "The check {{ $labels.check }} of {{ $labels.instance }} was last made {{ $value | "
                    "humanizeDuration }} ago."
                ),
                wait="5m",
                comment="The checks themselves have stopped: their event loop is blocked, or their task was cancelled.",
            ),
        ),
        "Of batch_job, Periodic, Heartbeat and HealthChecks.",
    ),
)
