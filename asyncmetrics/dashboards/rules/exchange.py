"""The rules for metrics that are pushed to other systems, and for those that come in by StatsD."""

from __future__ import annotations

from asyncmetrics.dashboards.rules.rule import RuleGroup, alert

__all__ = ("ALERTS",)

ALERTS = (
    RuleGroup(
        "asyncmetrics-exchange",
        (
            alert(
                "PushFails",
                "ticket",
                """
                time() - max by (job, instance, sink) (asyncmetrics_push_last_success_timestamp_seconds) > 300
                """,
                "{{ $labels.instance }} last pushed to {{ $labels.sink }} {{ $value | humanizeDuration }} ago.",
                comment="For intervals up to a minute. Where pushes are the only way out, see the page of the alert.",
            ),
            alert(
                "PushNeverSucceeds",
                "ticket",
                """
                sum by (job, instance, sink) (asyncmetrics_push_total{outcome!="ok"}) > 0
                  unless on (job, instance, sink) asyncmetrics_push_total{outcome="ok"} > 0
                """,
                "No push of {{ $labels.instance }} to {{ $labels.sink }} has succeeded since the start.",
                wait="5m",
            ),
            alert(
                "PushIsRejected",
                "ticket",
                """
                increase(asyncmetrics_push_total{outcome="rejected"}[15m]) > 0
                  or asyncmetrics_push_total{outcome="rejected"}
                    unless asyncmetrics_push_total{outcome="rejected"} offset 15m
                """,
                "{{ $labels.sink }} has refused metrics of {{ $labels.instance }} for good. The log has the answer.",
            ),
            alert(
                "PushDrops",
                "ticket",
                """
                increase(asyncmetrics_push_dropped_total[15m]) > 0
                  or asyncmetrics_push_dropped_total unless asyncmetrics_push_dropped_total offset 15m
                """,
                "{{ $labels.instance }} has dropped collections for {{ $labels.sink }} that were never sent.",
            ),
            alert(
                "StatsDRefusesLines",
                "ticket",
                """
                sum by (job, instance) (
                  rate(asyncmetrics_statsd_lines_total{outcome!~"ok|dropped|event|service_check"}[5m])
                ) / (sum by (job, instance) (rate(asyncmetrics_statsd_lines_total[5m])) > 0) > 0.01
                """,
                "{{ $value | humanizePercentage }} of the StatsD lines of {{ $labels.instance }} are refused.",
                wait="10m",
                comment="What the mapping drops, events and service checks are no faults.",
            ),
            alert(
                "StatsDDropsDatagrams",
                "ticket",
                "increase(asyncmetrics_statsd_dropped_datagrams_total[15m]) > 0",
                "The kernel has dropped {{ $value }} datagrams of StatsD for {{ $labels.instance }} in 15 minutes.",
            ),
            alert(
                "StatsDIsNotReceived",
                "page",
                "sum by (job, instance) (asyncmetrics_statsd_listening) == 0",
                "No worker of {{ $labels.instance }} receives lines of StatsD.",
                wait="2m",
            ),
        ),
        "Of Pusher and StatsDServer.",
    ),
)
