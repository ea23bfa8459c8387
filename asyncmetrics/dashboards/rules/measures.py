"""How the events and the failures of an objective are counted, by the metrics that a source declares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, NoReturn, final

from asyncmetrics.dashboards.native import read_native
from asyncmetrics.dashboards.rules.declared import Declared
from asyncmetrics.dashboards.rules.layout import quote
from asyncmetrics.dashboards.rules.matching import Names
from asyncmetrics.dashboards.rules.objectives import (
    KINDS,
    KindMeasure,
    LatencyMeasure,
    Matcher,
    Objective,
    RatioMeasure,
    Selector,
)
from asyncmetrics.errors import DefinitionError, shorten, show, suggest
from asyncmetrics.model.descriptor import format_bound

__all__ = ("Indicator", "find_indicator", "render_selector")

_LEGAL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# The units of time that the end of a histogram's name may say, in seconds. One without a unit is taken for seconds.
_SECONDS = {
    **dict.fromkeys(("milliseconds", "millis", "ms"), Decimal("0.001")),
    **dict.fromkeys(("microseconds", "us"), Decimal("0.000001")),
    **dict.fromkeys(("nanoseconds", "ns"), Decimal("0.000000001")),
    "minutes": Decimal(60),
    "hours": Decimal(3600),
    "days": Decimal(86400),
}
_OTHER_UNITS = frozenset({"bytes", "ratio", "percent", "celsius", "meters", "grams", "joules", "volts", "amperes"})
_SHOWN = 20  # names of a source in a message


@final
@dataclass(frozen=True, slots=True)
class Indicator:
    """The share of events that fail.

    ``part`` counts failures, or what is ``good``, among the events that ``total`` counts. ``up`` is a gauge of 1 and 0,
    which ``part`` and ``total`` both are. In the form ``limit`` they are both a native histogram, whose good events are
    up to ``limit``. ``what`` names the events, ``verb`` what failed ones do. ``natives`` are the names of histograms
    that are read natively.
    """

    form: Literal["failures", "good", "up", "limit"]
    part: Selector
    total: Selector
    what: str = "events"
    verb: str = "fail"
    comment: str = ""
    limit: str = ""
    natives: frozenset[str] = frozenset()

    @property
    def is_native(self) -> bool:
        """Whether native histograms are read."""
        return self.form == "limit" or self._describe_ratio("5m") != self.describe_ratio("5m")

    def describe_ratio(self, window: str) -> str:
        """Return the expression of the share of failed events in ``window``, by job."""
        if self.form == "limit":
            return f"1 - {self._describe_good('rate', window)}"
        return read_native(self._describe_ratio(window), self.natives)

    def describe_failures(self, window: str) -> str:
        """Return the expression of the number of failed events in ``window``; an empty text for a gauge."""
        if self.form == "limit":
            total = f"histogram_count(sum by (job) (increase({render_selector(self.total)}[{window}])))"
            return f"(1 - {self._describe_good('increase', window)})\n  * {total}"
        return read_native(self._describe_failures(window), self.natives)

    def _describe_good(self, function: str, window: str) -> str:
        """Return the expression of the share of good events, by a native histogram."""
        values = f"sum by (job) ({function}({render_selector(self.part)}[{window}]))"
        return f"histogram_fraction(\n  -Inf, {self.limit}, {values}\n)"

    def _describe_ratio(self, window: str) -> str:
        if self.form == "up":
            return f"1 - avg by (job) (avg_over_time({render_selector(self.part)}[{window}]))"
        total = f"sum by (job) (rate({render_selector(self.total)}[{window}]))"
        part = f"sum by (job) (rate({render_selector(self.part)}[{window}]))"
        if self.form == "good":
            return f"1 - (\n  {part}\n) / (\n  {total} > 0\n)"
        return f"(\n  {part}\n    or 0 * {total}\n) / (\n  {total} > 0\n)"

    def _describe_failures(self, window: str) -> str:
        total = f"sum by (job) (increase({render_selector(self.total)}[{window}]))"
        part = f"sum by (job) (increase({render_selector(self.part)}[{window}]))"
        return {"failures": part, "good": f"{total}\n  - {part}"}.get(self.form, "")


def render_selector(selector: Selector) -> str:
    """Return a selector as PromQL. A name that PromQL cannot hold becomes a matcher of ``__name__``."""
    is_legal = _LEGAL.fullmatch(selector.name)
    matchers: Iterable[Matcher] = (
        selector.matchers if is_legal else (("__name__", "=", selector.name), *selector.matchers)
    )
    text = ", ".join(f"{label}{operator}{quote(value)}" for label, operator, value in matchers)
    return (selector.name if is_legal else "") + (f"{{{text}}}" if text else "")


def find_indicator(objective: Objective, names: Names, job: str | None) -> Indicator:
    """Return how the events of ``objective`` are counted, for one job or for all.

    Raises `DefinitionError` if the source does not declare what the objective needs, or if it names a job itself.
    """
    found = replace(_Finder(objective, names).find(), natives=names.natives)
    if job is None:
        return found
    if any(label == "job" for item in (found.part, found.total) for label, _, _ in item.matchers):
        raise DefinitionError(f"--slo {show(objective.text)}", "it has a matcher of job, so leave out --job")
    own: Matcher = ("job", "=", job)
    part, total = (replace(item, matchers=(*item.matchers, own)) for item in (found.part, found.total))
    return replace(found, part=part, total=total)


def _find_time_unit(metric: Declared) -> Decimal:
    """Return how many seconds the unit of a histogram is, by the end of its name: 0 if it is no histogram of times."""
    word = metric.name.removesuffix("_bucket").rpartition("_")[2]
    return Decimal(0) if word in _OTHER_UNITS else _SECONDS.get(word, Decimal(1))


def _show_bound(bound: float) -> str:
    return f"{Decimal(str(bound)).normalize():f}" if 1e-6 <= abs(bound) < 1e15 else f"{bound:g}"


@final
class _Finder:
    """Finds the metrics of one objective."""

    def __init__(self, objective: Objective, names: Names) -> None:
        self._objective = objective
        self._names = names

    def find(self) -> Indicator:
        match self._objective.measure:
            case KindMeasure() as measure:
                return self._find_kind(measure)
            case LatencyMeasure() as measure:
                return self._find_latency(measure)
            case RatioMeasure() as measure:
                return self._find_ratio(measure)

    def _find_kind(self, measure: KindMeasure) -> Indicator:
        kind = KINDS[measure.kind]
        metric = self._find_own(kind.metric)
        matchers, comment = self._select_series(metric, kind.label, measure.value)
        total = Selector(metric.name, matchers)
        if kind.failures is None:
            return Indicator("up", total, total, kind.what, kind.verb, comment)
        label, operator, value = kind.failures
        own = self._names.get_label(metric.name, label)
        self._check_label(metric, own)
        part = replace(total, matchers=((own, operator, value), *matchers))
        return Indicator("failures", part, total, kind.what, kind.verb, comment)

    def _find_latency(self, measure: LatencyMeasure) -> Indicator:
        kind = KINDS["latency"]
        what, verb, comment = kind.what, kind.verb, ""
        if measure.histogram is None:
            buckets = self._find_own(kind.metric)
            matchers, comment = self._select_series(buckets, kind.label, measure.value)
        else:
            buckets = self._find_histogram(measure.histogram.name.removesuffix("_bucket"))
            self._check_matchers(buckets, measure.histogram)
            matchers, what = measure.histogram.matchers, "observations"
            verb = verb if _find_time_unit(buckets) else "are too large"
        limit = self._convert_limit(buckets, measure)
        name = buckets.name.removesuffix("_bucket")
        if name in self._names.natives:
            whole = Selector(name, matchers)
            return Indicator("limit", whole, whole, what, verb, comment, f"{limit.normalize():f}")
        le = self._find_bound(buckets, limit)
        part = Selector(buckets.name, (le, *matchers))
        total = Selector(f"{name}_count", matchers)
        return Indicator("good", part, total, what, verb, comment)

    def _convert_limit(self, metric: Declared, measure: LatencyMeasure) -> Decimal:
        """Return the limit in the unit of the histogram, which its name says."""
        if not measure.is_time:
            return measure.limit
        unit = _find_time_unit(metric)
        if not unit:
            name = metric.name.removesuffix("_bucket")
            self._refuse(f"{name} is no histogram of times: write the limit in its own unit, such as {name}<1000")
        return measure.limit / unit

    def _find_ratio(self, measure: RatioMeasure) -> Indicator:
        for selector in (measure.failures, measure.total):
            metric = self._find(selector.name)
            if not metric.is_counter:
                advice = "rate() needs a counter, or the _count of a histogram or a summary"
                self._refuse(f"{show(selector.name)} is a {metric.kind}: {advice}")
            self._check_matchers(metric, selector)
        return Indicator("failures", measure.failures, measure.total)

    def _find_own(self, name: str) -> Declared:
        """Return a metric of the library, whatever its namespace is."""
        found = self._names.list_names(name)
        if not found:
            known = sorted(kind for kind, row in KINDS.items() if self._names.list_names(row.metric))
            has = f"It has the metrics of: {', '.join(known)}" if known else "It has none of the metrics of the library"
            advice = "for other metrics, write NAME=FAILURES/TOTAL=99.9% or NAME=HISTOGRAM<0.5s=99%"
            self._refuse(f"the source has no {name}. {has}; {advice}")
        if len(found) > 1 and self._names.namespace is None:
            self._refuse(f"the source has {', '.join(map(shorten, found))}: choose one by --namespace ('' for none)")
        return self._names.declared[found[0]]

    def _find(self, name: str) -> Declared:
        """Return a metric of the user by the name of its samples."""
        declared = self._names.declared
        if name in declared:
            return declared[name]
        for whole in (f"{name}_total", f"{name}_count"):
            if whole in declared:
                self._refuse(f"the source has no {show(name)}; did you mean {whole!r}?")
        advice = suggest(name, declared) or f"; it has: {self._list(sorted(declared))}"
        return self._refuse(f"the source has no {show(name)}{advice}")

    def _find_histogram(self, name: str) -> Declared:
        """Return the buckets of a histogram of the user."""
        declared = self._names.declared
        if f"{name}_bucket" in declared:
            return declared[f"{name}_bucket"]
        known = sorted(one.name.removesuffix("_bucket") for one in declared.values() if one.name.endswith("_bucket"))
        problem = f"{show(name)} is no histogram" if name in declared else f"the source has no {show(name)}"
        return self._refuse(problem + (suggest(name, known) or f"; its histograms are: {self._list(known)}"))

    def _select_series(self, metric: Declared, label: str, value: str | None) -> tuple[tuple[Matcher, ...], str]:
        """Return the matchers for the series with ``value``, and a comment if the source does not show any."""
        if value is None:
            return (), ""
        own = self._names.get_label(metric.name, label)
        self._check_label(metric, own)
        shown = sorted((metric.values or {}).get(own, ()))
        comment = ""
        if shown and value not in shown:
            comment = f"The source shows no {own} {quote(value)} yet. It shows {', '.join(map(quote, shown[:_SHOWN]))}."
        return ((own, "=", value),), comment

    def _find_bound(self, metric: Declared, limit: Decimal) -> Matcher:
        """Return the matcher of the bucket. Servers write 1 as ``1`` or ``1.0``, and Prometheus 3 stores ``1.0``."""
        bounds = [bound for bound in metric.bounds if bound != float("inf")]
        wanted = float(limit)
        if not bounds:
            advice = "send a request first, or name the registry as module:registry"
            self._refuse(f"the source shows no bucket of {metric.name}: {advice}")
        if wanted not in bounds:
            nearest = min(bounds, key=lambda bound: abs(bound - wanted))
            unit = " s" if _find_time_unit(metric) == 1 else ""
            self._refuse(
                f"{limit.normalize():f}{unit} is no bound of a bucket of {metric.name}, so Prometheus cannot count "
                f"what is below it. Its bounds are {', '.join(map(_show_bound, bounds[:100]))}; the nearest is "
                f"{_show_bound(nearest)}"
            )
        texts_of_it = {*metric.bounds[wanted], format_bound(wanted)}
        if wanted.is_integer() and wanted < 1e6:
            texts_of_it |= {f"{wanted:.0f}"}
        if len(texts_of_it) == 1:
            return "le", "=", texts_of_it.pop()
        return "le", "=~", "|".join(re.sub(r"([.+])", r"[\1]", text) for text in sorted(texts_of_it))

    def _check_matchers(self, metric: Declared, selector: Selector) -> None:
        for label in dict.fromkeys(label for label, _, _ in selector.matchers):
            if label == "le" and metric.name.endswith("_bucket"):
                advice = f"write NAME={metric.name.removesuffix('_bucket')}<LIMIT={self._objective.percent}%"
                self._refuse(f"a bucket counts what is good: {advice}")
            if label not in {"job", "instance"}:
                self._check_label(metric, label)

    def _check_label(self, metric: Declared, label: str) -> None:
        if metric.values is not None and label not in metric.values:
            self._refuse(f"{metric.name} has no label {label!r}; its labels are: {self._list(sorted(metric.values))}")

    def _list(self, names: list[str]) -> str:
        if not names:
            return "none"
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(map(repr, names[:_SHOWN])) + more

    def _refuse(self, problem: str) -> NoReturn:
        raise DefinitionError(f"--slo {show(self._objective.text)}", problem)
