"""The file for ``promtool test rules``: too many failures fire the alerts of an objective, few or no events do not.

*Rule.* Ask for the series ``ALERTS`` of one objective, and not for all alerts of a name: the failures of one route are
also failures of an objective for all routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from asyncmetrics.dashboards.rules.declared import Declared
from asyncmetrics.dashboards.rules.layout import quote, render_scalar
from asyncmetrics.dashboards.rules.measures import Indicator, render_selector
from asyncmetrics.dashboards.rules.objectives import Matcher, Objective, Selector, compile_pattern
from asyncmetrics.dashboards.rules.slo_rules import BURNS, MIN_FAILURES, format_share, list_burns

__all__ = ("render_tests",)

_MINUTES = 130  # of events, one sample a minute: the windows of the first alert are full, the others hold less
_AT = "2h"
_FIRING, _SILENT = 20, Decimal("0.5")  # times the error budget: 2 % and 0.05 % for an objective of 99.9 %
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: bool(compile_pattern(wanted).fullmatch(value)),
    "!~": lambda value, wanted: not compile_pattern(wanted).fullmatch(value),
}
# Values that may fit a pattern, and that may not.
_GUESSES = ("ok", "other", "x", "1", "")


def render_tests(
    rules: str,
    objectives: Iterable[tuple[Objective, Indicator]],
    declared: Mapping[str, Declared],
    job: str | None,
    min_failures: int = MIN_FAILURES,
) -> str:
    """Return a file that tests the rules in the file ``rules``."""
    lines = [
        "# Tests of the rules beside this file: promtool test rules FILE",
        f"rule_files: [{render_scalar(rules)}]",
        f"evaluation_interval: {_AT} # saves time: one evaluation is enough, as no alert has to wait",
        "",
        "tests:",
    ]
    for objective, indicator in objectives:
        if indicator.is_native:  # promtool 2.42 has no text for their samples
            lines.append(f"  # {quote(objective.text)} has no test: it reads native histograms.")
            continue
        lines += _render_objective(objective, indicator, declared, job or "shop", min_failures)
    return "\n".join([*lines, ""])


def _render_objective(
    objective: Objective, indicator: Indicator, declared: Mapping[str, Declared], wanted: str, min_failures: int
) -> Iterator[str]:
    job = _find_job(indicator, declared, wanted)
    budget = objective.budget
    firing = min(Decimal(1), _FIRING * budget)
    fast = [burn.alert for burn in list_burns(objective) if burn.rate * budget < firing]
    cases: list[tuple[str, Decimal, Decimal, list[str]]] = [
        (f"{format_share(firing)} fail", firing, _choose_rate(budget, min_failures), fast),
        (f"{format_share(_SILENT * budget)} fail", _SILENT * budget, _choose_rate(budget, min_failures), []),
    ]
    if indicator.form != "up" and min_failures > 0:
        few = Decimal("0.9") * min_failures / _MINUTES
        cases.append((f"all fail, but fewer than {min_failures}", Decimal(1), few, []))
    yield from _render_test(f"{objective.text}: no data", [], objective, job, [])
    for name, share, per_minute, alerts in cases:
        series = _list_series(indicator, share, per_minute, declared, job)
        if series is None:
            yield f"  # {quote(objective.text)} has no test: no example fits its matchers."
            return
        yield from _render_test(f"{objective.text}: {name}", series, objective, job, alerts)


def _find_job(indicator: Indicator, declared: Mapping[str, Declared], wanted: str) -> str:
    """Return a job that the matchers of the user fit, ``wanted`` if it does."""
    selectors = (indicator.part, indicator.total)
    others = [job for selector in selectors for job in _list_fitting("job", selector, declared)]
    jobs = (job for job in (wanted, *others) if all(_fits(job, "job", selector.matchers) for selector in selectors))
    return next(jobs, "")


def _choose_rate(budget: Decimal, min_failures: int) -> Decimal:
    """Return events per minute: so many that half of the budget is more than enough failures in an hour."""
    rate = Decimal(1000)
    while rate * budget * 30 <= min_failures:
        rate *= 10
    return rate


def _render_test(
    name: str, series: list[tuple[str, str]], objective: Objective, job: str, alerts: list[str]
) -> Iterator[str]:
    yield f"  - name: {render_scalar(name)}"
    yield "    interval: 1m"
    yield "    input_series:" if series else "    input_series: []"
    for selector, values in series:
        yield f"      - series: {render_scalar(selector)}"
        yield f"        values: {quote(values)}"
    yield "    promql_expr_test:"
    slo = quote(objective.name)
    for burn in BURNS:
        own = f'alertname="{burn.alert}", alertstate="firing"'
        yield f"      - expr: {render_scalar(f'ALERTS{{{own}, slo={slo}}}')}"
        yield f"        eval_time: {_AT}"
        if burn.alert not in alerts:
            yield "        exp_samples: []"
            continue
        labels = f'ALERTS{{{own}, job={quote(job)}, severity="{burn.severity}", slo={slo}}}'
        yield "        exp_samples:"
        yield f"          - labels: {render_scalar(labels)}"
        yield "            value: 1"


def _list_series(
    indicator: Indicator, share: Decimal, per_minute: Decimal, declared: Mapping[str, Declared], job: str
) -> list[tuple[str, str]] | None:
    """Return series in which this share of the events fails, or None if no example fits the matchers."""

    def make(selector: Selector, labels: Mapping[str, str], rate: Decimal) -> tuple[str, str]:
        pairs = tuple((label, "=", value) for label, value in sorted({**labels, "job": job}.items()))
        return render_selector(replace(selector, matchers=pairs)), _count(rate)

    part = _find_example(indicator.part, declared)
    total = _find_example(indicator.total, declared)
    if part is None or total is None or not job:
        return None
    failed = share * per_minute
    if indicator.form == "up":
        return [(make(indicator.part, part, failed)[0], f"{_write(1 - share)}x{_MINUTES}")]
    if indicator.form == "good":
        return [make(indicator.part, part, per_minute - failed), make(indicator.total, total, per_minute)]
    if indicator.part.name != indicator.total.name:
        return [make(indicator.part, part, failed), make(indicator.total, total, per_minute)]
    good = _find_good(indicator, part, declared)
    if good is None:
        return None
    return [make(indicator.part, part, failed), make(indicator.total, good, per_minute - failed)]


def _count(rate: Decimal) -> str:
    return f"0+{_write(rate)}x{_MINUTES}"


def _write(number: Decimal) -> str:
    return f"{round(number, 12).normalize():f}"


def _find_example(selector: Selector, declared: Mapping[str, Declared]) -> dict[str, str] | None:
    """Return values of the labels that fit all matchers."""
    found: dict[str, str] = {}
    for label in dict.fromkeys(label for label, _, _ in selector.matchers):
        fitting = _list_fitting(label, selector, declared)
        if not fitting:
            return None
        found[label] = fitting[0]
    return found


def _find_good(
    indicator: Indicator, part: Mapping[str, str], declared: Mapping[str, Declared]
) -> dict[str, str] | None:
    """Return values of the labels of an event that is in the total, and that is no failure."""
    for label in dict.fromkeys(label for label, _, _ in indicator.part.matchers):
        for value in _list_fitting(label, indicator.total, declared):
            if not _fits(value, label, indicator.part.matchers):
                return {**part, label: value}
    return None


def _list_fitting(label: str, selector: Selector, declared: Mapping[str, Declared]) -> list[str]:
    known = declared.get(selector.name)
    shown = sorted((known.values or {}).get(label, ())) if known else []
    written = [value for name, _, value in selector.matchers if name == label]
    pieces = [piece for value in written for piece in value.split("|")]
    guesses = [re.sub(r"\[(.)\]", r"\1", re.sub(r"(?<!\[)\.[*+]?", "0", piece)) for piece in pieces]
    status = ["200"] if "code" in label or "status" in label else []
    candidates = dict.fromkeys([*guesses, *written, *shown, *status, *_GUESSES])
    return [value for value in candidates if _fits(value, label, selector.matchers)]


def _fits(value: str, label: str, matchers: Iterable[Matcher]) -> bool:
    try:
        return all(_OPERATORS[operator](value, wanted) for name, operator, wanted in matchers if name == label)
    except re.error:  # Go's syntax has more
        return False
