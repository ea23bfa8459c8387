"""The rules for event loops, pools of threads, queues and exceptions that nothing handles."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert, record

__all__ = ("ALERTS", "RECORDING")

RECORDING = (
    RuleGroup(
        "asyncmetrics-runtime",
        (
            record(
                "job_instance_worker_loop:event_loop_busy:ratio_rate5m",
                "sum by (job, instance, worker, loop) (rate(event_loop_busy_seconds_total[5m]))",
                comment=(
                    "Each event loop apart: two loops of one worker that are busy for half of the time are not "
                    "one that is always."
                ),
            ),
            record(
                "job_instance_worker_loop:event_loop_lag_seconds:p99_5m",
                """
                histogram_quantile(
                  0.99, sum by (job, instance, worker, loop, le) (rate(event_loop_lag_seconds_bucket[5m]))
                )
                """,
            ),
        ),
    ),
)

ALERTS = (
    RuleGroup(
        "asyncmetrics-runtime",
        (
            alert(
                "EventLoopIsBlocked",
                "ticket",
                """
                sum by (job, instance, function) (increase(event_loop_blocked_seconds_total[15m])) > 3
                  or sum by (job, instance, function) (
                    event_loop_blocked_seconds_total unless event_loop_blocked_seconds_total offset 15m
                  ) > 3
                """,
                (
                    "{{ $labels.function }} has blocked event loops of {{ $labels.instance }} for {{ $value | "
                    "humanizeDuration }} in 15 minutes."
                ),
            ),
            alert(
                "EventLoopLags",
                "page",
                "job_instance_worker_loop:event_loop_lag_seconds:p99_5m > 0.5",
                (
                    "1% of the timers of {{ with $labels.worker }}worker {{ . }} of {{ end }}{{ $labels.instance "
                    "}} are {{ $value | humanizeDuration }} late."
                ),
                wait="5m",
            ),
            alert(
                "EventLoopIsBusy",
                "ticket",
                "job_instance_worker_loop:event_loop_busy:ratio_rate5m > 0.9",
                (
                    "The event loop of {{ with $labels.worker }}worker {{ . }} of {{ end }}{{ $labels.instance }} "
                    "is busy for {{ $value | humanizePercentage }} of the time."
                ),
                wait="10m",
            ),
            alert(
                "ThreadPoolIsFull",
                "ticket",
                "thread_pool_queue_length > 0",
                (
                    "Calls have waited for a thread of {{ $labels.pool }} of {{ $labels.instance }} for 5 "
                    "minutes, {{ $value }} now."
                ),
                wait="5m",
            ),
            alert(
                "QueueIsFull",
                "ticket",
                "queue_length >= (queue_max > 0)",
                "The queue {{ $labels.queue }} of {{ $labels.instance }} has been full for 5 minutes.",
                wait="5m",
                comment="A memory stream without a buffer has the maximum 0, and is no full queue while nothing waits.",
            ),
            alert(
                "ExceptionIsUnhandled",
                "ticket",
                """
                increase(python_unhandled_exceptions_total[15m]) > 0
                  or python_unhandled_exceptions_total unless python_unhandled_exceptions_total offset 15m
                """,
                (
                    "{{ $labels.type }} was handled by nothing in {{ $labels.instance }} ({{ $labels.where }}). "
                    "The log has the traceback."
                ),
            ),
        ),
        (
            "Of RuntimeMonitor, executors and queues. A counter is exposed from its first event on, which "
            "`increase` does not see, so the second half of an expression finds series that are new."
        ),
    ),
)
