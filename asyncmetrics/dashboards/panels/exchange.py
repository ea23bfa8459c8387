"""The row of metrics that are pushed to other systems, and of those that come in by StatsD."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("EXCHANGE",)

EXCHANGE = Row(
    "In and out",
    (
        Panel(
            "Pushes by outcome",
            "cps",
            (Query("sum by (sink, outcome) (rate(<asyncmetrics_push_total>[$w]))", "{{sink}} {{outcome}}"),),
        ),
        Panel(
            "Since the last push that succeeded",
            "s",
            (
                Query(
                    "time() - max by (instance, sink) (<asyncmetrics_push_last_success_timestamp_seconds>)",
                    "{{instance}} {{sink}}",
                ),
            ),
            "A line that rises is a system that takes nothing.",
        ),
        Panel(
            "Duration of pushes (p95)",
            "s",
            (
                Query(
                    "histogram_quantile(0.95, "
                    "sum by (sink, le) (rate(<asyncmetrics_push_duration_seconds_bucket>[$w])))",
                    "{{sink}}",
                ),
            ),
        ),
        Panel(
            "Collections that wait to be pushed",
            "short",
            (Query("sum by (instance, sink) (<asyncmetrics_push_pending>)", "{{instance}} {{sink}}"),),
        ),
        Panel(
            "Dropped collections",
            "cps",
            (Query("sum by (sink) (rate(<asyncmetrics_push_dropped_total>[$w]))", "{{sink}}"),),
            "Cumulative numbers that were dropped are in the next collection. Changes for StatsD are too.",
        ),
        Panel(
            "Lines of StatsD",
            "cps",
            (Query("sum by (outcome) (rate(<asyncmetrics_statsd_lines_total>[$w]))", "{{outcome}}"),),
        ),
        Panel(
            "Datagrams of StatsD",
            "cps",
            (
                Query("sum(rate(<asyncmetrics_statsd_datagrams_total>[$w]))", "received"),
                Query("sum(rate(<asyncmetrics_statsd_dropped_datagrams_total>[$w]))", "dropped by the kernel"),
            ),
        ),
        Panel(
            "Workers that receive StatsD",
            "short",
            (Query("sum by (instance) (<asyncmetrics_statsd_listening>)", "{{instance}}"),),
            "One worker of each instance has the port.",
        ),
    ),
)
