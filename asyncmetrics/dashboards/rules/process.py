"""The rules for processes and for the library itself, and those of recipes."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert

__all__ = ("ALERTS",)

ALERTS = (
    RuleGroup(
        "asyncmetrics-process",
        (
            alert(
                "TargetIsDown",
                "page",
                "up == 0",
                "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped.",
                wait="2m",
            ),
            alert(
                "FileDescriptorsRunOut",
                "ticket",
                "process_open_fds / process_max_fds > 0.8",
                "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its file descriptors open.",
                wait="5m",
            ),
            alert(
                "ProcessRestartsOften",
                "ticket",
                "changes(process_start_time_seconds[30m]) > 3",
                "{{ $labels.instance }} of {{ $labels.job }} was started {{ $value }} times in 30 minutes.",
            ),
        ),
    ),
    RuleGroup(
        "asyncmetrics-itself",
        (
            alert(
                "CollectorFails",
                "ticket",
                """
                increase(asyncmetrics_collector_errors_total[15m]) > 0
                  or asyncmetrics_collector_errors_total unless asyncmetrics_collector_errors_total offset 15m
                """,
                (
                    "The collector {{ $labels.collector }} of {{ $labels.instance }} fails or is late. Its "
                    "metrics are missing."
                ),
            ),
            alert(
                "LabelsOverflow",
                "ticket",
                """
                increase(asyncmetrics_overflowed_label_sets_total[15m]) > 0
                  or asyncmetrics_overflowed_label_sets_total unless asyncmetrics_overflowed_label_sets_total offset 15m
                """,
                (
                    "{{ $labels.metric }} of {{ $labels.instance }} has more label sets than its limit. New ones "
                    "share one series."
                ),
            ),
            alert(
                "InstrumentationFails",
                "ticket",
                """
                increase(asyncmetrics_internal_errors_total[15m]) > 0
                  or asyncmetrics_internal_errors_total unless asyncmetrics_internal_errors_total offset 15m
                """,
                (
                    "The instrumentation of {{ $labels.instance }} fails in {{ $labels.where }}. The log has the "
                    "first error."
                ),
            ),
            alert(
                "WorkersDoNotShare",
                "ticket",
                "asyncmetrics_workers_shared == 0",
                "A worker of {{ $labels.instance }} exposes only its own numbers. The log has the reason.",
                wait="5m",
            ),
            alert(
                "WorkersDropSeries",
                "ticket",
                """
                increase(asyncmetrics_worker_dropped_series_total[15m]) > 0
                  or increase(asyncmetrics_worker_slot_errors_total[15m]) > 0
                """,
                "Workers of {{ $labels.instance }} leave series out. Check whether their shared memory is full.",
            ),
        ),
        (
            "These counters are exposed from their first event on. `increase` does not see the first "
            "event, so the second half of each expression finds series that are new."
        ),
    ),
    RuleGroup(
        "cookbook",
        (
            alert(
                "InvoicesAreOverdue",
                "ticket",
                "time() - max(invoices_last_success_timestamp_seconds) > 26 * 3600",
                "The invoices last succeeded {{ $value | humanizeDuration }} ago. They should succeed every day.",
            ),
            alert(
                "QueueIsBehind",
                "ticket",
                "max by (job, queue) (queue_oldest_job_seconds) > 300",
                "The oldest job in {{ $labels.queue }} has waited for {{ $value | humanizeDuration }}.",
                wait="5m",
            ),
        ),
        "Alerts for the recipes of the cookbook.",
    ),
)
