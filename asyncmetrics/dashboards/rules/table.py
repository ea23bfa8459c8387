"""All recording rules and alerts for the metrics of the library, and the files of docs/rules that have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from asyncmetrics.dashboards.rules import clients, exchange, http, jobs, process, runtime
from asyncmetrics.dashboards.rules.layout import render_groups
from asyncmetrics.dashboards.rules.rule import RuleGroup

__all__ = ("ALERTS", "RECORDING", "RUNBOOKS", "add_runbooks", "render_files")

RECORDING: tuple[RuleGroup, ...] = (*http.RECORDING, *clients.RECORDING, *runtime.RECORDING)
ALERTS: tuple[RuleGroup, ...] = (
    *http.ALERTS,
    *clients.ALERTS,
    *runtime.ALERTS,
    *jobs.ALERTS,
    *exchange.ALERTS,
    *process.ALERTS,
)

RUNBOOKS = "https://asyncmetrics.readthedocs.io/en/latest/rules.html#{anchor}"
"""Where docs/rules.md says what each alert means. ``{anchor}`` is the name of an alert in lower case."""

_RECORDING_COMMENT = (
    "Recording rules for the default metrics of asyncmetrics, for dashboards and for the alerts in alerts.yml."
)
_ALERTS_COMMENT = (
    "Alerts on the default metrics of asyncmetrics. The thresholds are examples: replace them by your own objectives."
)
_MADE = "asyncmetrics/dashboards/rules has the source: `python -m scripts.rules` writes this file."


def add_runbooks(groups: Iterable[RuleGroup], url: str = RUNBOOKS) -> list[RuleGroup]:
    """Return the groups with an annotation ``runbook_url`` at each alert.

    ``url`` may have ``{alert}``, the name of the alert, and ``{anchor}``, the name in lower case.
    """
    return [
        replace(
            group,
            rules=tuple(
                replace(rule, annotations={**rule.annotations, "runbook_url": _fill(url, rule.name)})
                if rule.kind == "alert"
                else rule
                for rule in group.rules
            ),
        )
        for group in groups
    ]


def _fill(url: str, name: str) -> str:
    return url.replace("{alert}", name).replace("{anchor}", name.lower())


def render_files() -> dict[str, str]:
    """Return the texts of the files in docs/rules, by their names."""
    return {
        "recording.yml": render_groups(RECORDING, f"{_RECORDING_COMMENT}\n{_MADE}"),
        "alerts.yml": render_groups(add_runbooks(ALERTS), f"{_ALERTS_COMMENT}\n{_MADE}"),
    }
