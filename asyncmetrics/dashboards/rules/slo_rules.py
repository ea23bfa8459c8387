"""The rules of an objective: its ratio over seven windows, and four alerts on how fast its error budget is used up.

The alerts are those of the Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": a long window
shows that enough of the budget is used up, a short one that it goes on. They are for objectives over 30 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import final

from asyncmetrics.dashboards.rules.layout import escape_template, quote
from asyncmetrics.dashboards.rules.measures import Indicator
from asyncmetrics.dashboards.rules.objectives import Objective
from asyncmetrics.dashboards.rules.rule import Rule, RuleGroup

__all__ = ("BURNS", "MIN_FAILURES", "WINDOWS", "Burn", "format_share", "list_burns", "make_group")

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
MIN_FAILURES = 5
"""The least number of failures in the long window of an alert: one failed request at night wakes nobody."""

_RATIO = "job:slo_errors:ratio_rate"
_FAILURES = "job:slo_failures:increase"


@final
@dataclass(frozen=True, slots=True)
class Burn:
    """How fast the budget is used up: ``rate`` times as fast as allowed, so that it lasts for ``days`` days."""

    rate: Decimal
    days: int
    long: str
    short: str
    severity: str

    @property
    def alert(self) -> str:
        """The name of the alert."""
        return f"ErrorBudgetGoneIn{self.days}Days"


BURNS = (
    Burn(Decimal("14.4"), 2, "1h", "5m", "page"),
    Burn(Decimal(6), 5, "6h", "30m", "page"),
    Burn(Decimal(3), 10, "1d", "2h", "ticket"),
    Burn(Decimal(1), 30, "3d", "6h", "ticket"),
)


def list_burns(objective: Objective) -> list[Burn]:
    """Return the burn rates that can occur: 14.4 times 10 % are more failures than there are events."""
    return [burn for burn in BURNS if burn.rate * objective.budget < 1]


def make_group(
    objective: Objective, indicator: Indicator, job: str | None, name: str, min_failures: int = MIN_FAILURES
) -> RuleGroup:
    """Return the rules of an objective. ``name`` begins the name of the group, ``job`` limits the alerts to a job."""
    comment = f"{objective.text}: the error budget is {format_share(objective.budget)} of the {indicator.what}."
    left_out = [burn.alert for burn in BURNS if burn not in list_burns(objective)]
    if left_out:
        comment += f"\nWithout {', '.join(left_out)}: all {indicator.what} together cannot fail so fast."
    rules = (
        *_record_ratios(objective, indicator),
        *_record_failures(objective, indicator),
        *(_make_alert(burn, objective, indicator, job, min_failures) for burn in list_burns(objective)),
    )
    return RuleGroup(f"{name}-slo-{objective.name}", rules, "\n".join(filter(None, (comment, indicator.comment))))


def format_share(share: Decimal) -> str:
    """Return a share such as 0.001 as ``0.1%``."""
    return f"{(share * 100).normalize():f}%"


def _record_ratios(objective: Objective, indicator: Indicator) -> Iterator[Rule]:
    for window in WINDOWS:
        yield Rule("record", _RATIO + window, indicator.describe_ratio(window), labels={"slo": objective.name})


def _record_failures(objective: Objective, indicator: Indicator) -> Iterator[Rule]:
    """Record the failures in the long windows, for the condition that there are enough of them."""
    for burn in list_burns(objective):
        expr = indicator.describe_failures(burn.long)
        if expr:
            yield Rule("record", _FAILURES + burn.long, expr, labels={"slo": objective.name})


def _make_alert(burn: Burn, objective: Objective, indicator: Indicator, job: str | None, min_failures: int) -> Rule:
    own = f"slo={quote(objective.name)}" + (f", job={quote(job)}" if job is not None else "")
    limit = f"{burn.rate} * {objective.budget:f}"
    lines = [
        f"{_RATIO}{burn.long}{{{own}}} > {limit}",
        f"  and {_RATIO}{burn.short}{{{own}}} > {limit}",
    ]
    if indicator.describe_failures(burn.long) and min_failures > 0:
        lines.append(f"  and {_FAILURES}{burn.long}{{{own}}} >= {min_failures}")
    name, text = (escape_template(part) for part in (objective.name, objective.text))
    annotations = {
        "summary": (
            f"{{{{ $value | humanizePercentage }}}} of the {indicator.what} of {{{{ $labels.job }}}} {indicator.verb}: "
            f"the error budget of {name} lasts for {burn.days} days at most."
        ),
        "description": (
            f"The objective is {text}. In the last {burn.long} and in the last {burn.short}, more than "
            f"{format_share(burn.rate * objective.budget)} of the {indicator.what} {indicator.verb}. At this "
            f"rate, the error budget of 30 days is used up in {burn.days} days or less."
        ),
    }
    labels = {"severity": burn.severity, "slo": escape_template(objective.name)}
    return Rule("alert", burn.alert, "\n".join(lines), labels=labels, annotations=annotations)
