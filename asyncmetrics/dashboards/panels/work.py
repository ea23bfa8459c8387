"""The rows of jobs, health checks, logs and failures."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("FAILURES", "HEALTH", "JOBS")

_SUCCESS = "<periodic_last_success_timestamp_seconds>"

JOBS = Row(
    "Jobs",
    (
        Panel(
            "Runs of periodic functions",
            "cps",
            (
                Query(
                    "sum by (periodic, outcome) (rate(<periodic_run_duration_seconds_count>[$w]))",
                    "{{periodic}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Duration of periodic functions (p95)",
            "s",
            (
                Query(
                    "histogram_quantile(0.95, "
                    "sum by (periodic, le) (rate(<periodic_run_duration_seconds_bucket>[$w])))",
                    "{{periodic}}",
                ),
            ),
        ),
        Panel(
            "Since the last success of periodic functions",
            "s",
            (
                Query(f"min by (periodic) (time() - {_SUCCESS})", "{{periodic}}"),
                Query("max by (periodic) (<periodic_interval_seconds>)", "{{periodic}} interval"),
                # A function that has not succeeded yet: since its first run was due.
                Query(
                    f"min by (periodic) (time() - (<periodic_start_timestamp_seconds> unless {_SUCCESS}))",
                    "{{periodic}}, since the start",
                ),
            ),
        ),
        Panel(
            "Skipped runs, overruns and exceptions",
            "cps",
            (
                Query("sum by (periodic) (rate(<periodic_skipped_runs_total>[$w]))", "{{periodic}} skipped"),
                Query("sum by (periodic) (rate(<periodic_overruns_total>[$w]))", "{{periodic}} overruns"),
                Query("sum by (periodic, type) (rate(<periodic_run_exceptions_total>[$w]))", "{{periodic}} {{type}}"),
            ),
        ),
        Panel("Active runs", "short", (Query("sum by (periodic) (<periodic_active_runs>)", "{{periodic}}"),)),
        Panel(
            "Since the last heartbeat",
            "s",
            (
                Query(
                    "max by (instance, worker, heartbeat) (time() - <heartbeat_last_timestamp_seconds>)",
                    "{{heartbeat}} {{instance}} {{worker}}",
                ),
                Query("max by (heartbeat) (<heartbeat_interval_seconds>)", "{{heartbeat}} interval"),
            ),
            "A loop that hangs has a line that rises.",
        ),
        Panel(
            "Since the last success of batch jobs",
            "s",
            (
                Query(
                    "min by (batch_job) (time() - <batch_job_last_success_timestamp_seconds>)",
                    "{{batch_job}}",
                ),
                Query(
                    "min by (batch_job) (time() - <batch_job_last_run_timestamp_seconds>)",
                    "{{batch_job}}, any run",
                ),
            ),
        ),
        Panel(
            "Last runs of batch jobs",
            "short",
            (Query("min by (batch_job) (<batch_job_last_succeeded>)", "{{batch_job}} succeeded"),),
            "1 if the last run has succeeded, 0 if not.",
        ),
        Panel(
            "Duration of the last run",
            "s",
            (Query("max by (batch_job) (<batch_job_last_duration_seconds>)", "{{batch_job}}"),),
        ),
        Panel(
            "Records of the last run",
            "short",
            (Query("max by (batch_job) (<batch_job_last_records>)", "{{batch_job}}"),),
        ),
    ),
)

HEALTH = Row(
    "Health checks",
    (
        Panel(
            "Checks",
            "short",
            (Query("min by (check) (<health_check_up>)", "{{check}}"),),
            "1 if the last call succeeded in all workers, 0 if not.",
        ),
        Panel(
            "Duration of checks (p95)",
            "s",
            (
                Query(
                    "histogram_quantile(0.95, sum by (check, le) (rate(<health_check_duration_seconds_bucket>[$w])))",
                    "{{check}}",
                ),
            ),
        ),
        Panel(
            "Failures of checks",
            "cps",
            (Query("sum by (check, reason) (rate(<health_check_failures_total>[$w]))", "{{check}} {{reason}}"),),
        ),
        Panel(
            "Since the last success of checks",
            "s",
            (
                Query("max by (check) (time() - <health_check_last_success_timestamp_seconds>)", "{{check}}"),
                Query("max by (check) (<health_check_interval_seconds>)", "{{check}} interval"),
            ),
        ),
    ),
)

FAILURES = Row(
    "Logs and failures",
    (
        Panel("Log records by level", "cps", (Query("sum by (level) (rate(<log_records_total>[$w]))", "{{level}}"),)),
        Panel(
            "Errors by logger",
            "cps",
            (Query('sum by (logger) (rate(<log_records_total level=~"(?i)error|critical|fatal">[$w]))', "{{logger}}"),),
        ),
        Panel(
            "Exceptions in log records",
            "cps",
            (Query("sum by (logger, type) (rate(<log_exceptions_total>[$w]))", "{{type}} in {{logger}}"),),
        ),
        Panel(
            "Unhandled exceptions",
            "cps",
            (Query("sum by (where, type) (rate(<python_unhandled_exceptions_total>[$w]))", "{{type}} in a {{where}}"),),
        ),
        Panel("Warnings", "cps", (Query("sum by (category) (rate(<python_warnings_total>[$w]))", "{{category}}"),)),
    ),
)
