"""What a source of metrics declares: the name, kind, help, unit and labels of each metric, as a query sees them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import final

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.model.escaping import ALLOW_UTF_8, escape_name
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import collect_within

__all__ = ("Declared", "is_read_natively", "read_declared")

_COUNTER = re.compile(r'^# TYPE[ \t]+("(?:[^"\\\n]|\\.)*"|[^ \t\n]+)[ \t]+counter[ \t]*$', re.MULTILINE)
_INSPECTED_SAMPLES = 10_000  # of a metric: all of its children have the same labels, but for a few
# Prometheus gives a target's labels of these names another one: honor_labels is off by default.
_OF_THE_TARGET = {"job": "exported_job", "instance": "exported_instance"}


@final
@dataclass(frozen=True, slots=True)
class Declared:
    """One metric. ``name`` is without the suffixes of its samples, ``samples`` are the names that queries have.

    ``labels`` are the labels of its series, without ``le`` and ``quantile``, or None if they are unknown, since a text
    has no sample of the metric. ``has_quantiles`` is whether a summary has quantiles of its own, and ``is_native``
    whether a server has the native histogram: a value with all buckets instead of the samples of a classic one.
    """

    name: str
    kind: str
    help: str
    unit: str = ""
    labels: frozenset[str] | None = None
    samples: frozenset[str] = frozenset()
    has_quantiles: bool = False
    is_native: bool = False

    @property
    def anchor(self) -> str:
        """The name of some series of the metric."""
        return self.name if self.is_native else max(self.samples, default="")

    def find(self, *suffixes: str) -> str:
        """Return the name of the samples with the first of ``suffixes`` that the metric has, or an empty text."""
        names = (f"{self.name}{suffix}" for suffix in suffixes)
        return next((name for name in names if name in self.samples), "")

    def has(self, label: str) -> bool:
        """Return whether the series are known to have ``label``."""
        return self.labels is not None and label in self.labels


def read_declared(
    source: Exposition | Collectable, escaping: str = ALLOW_UTF_8, *, native: bool | Collection[str] = False
) -> list[Declared]:
    """Return the metrics that a registry or an exposition has, by name, without the ``_created`` of others.

    The names are those that a Prometheus stores which asks for ``escaping``, one of `ESCAPING_SCHEMES`. The labels of a
    registry's metrics are those of their declarations. With ``native`` the server has the native histograms of the
    source instead of the classic ones beside them. A text does not show them: there these are the histograms whose
    names ``native`` has, or all. Raises `ParseError` for an exposition that breaks its format.
    """
    if isinstance(source, Exposition):
        families: Iterable[Metric] = source.parse()
        bare = frozenset() if source.is_openmetrics else _find_bare_counters(source.text)
    else:
        families, bare = collect_within(source), frozenset()
    declared = [_declare(family, bare, escaping, native=native) for family in families]
    created = {f"{one.name}_created" for one in declared if one.kind in {"counter", "summary", "histogram"}}
    return sorted((one for one in declared if one.name not in created), key=lambda one: one.name)


def _find_bare_counters(text: str) -> frozenset[str]:
    """Return the counters of a text whose names lack ``_total``: Prometheus stores them so, and the parser adds it."""
    names = (re.sub(r"\\(.)", r"\1", name[1:-1]) if name[0] == '"' else name for name in _COUNTER.findall(text))
    return frozenset(name for name in names if not name.endswith("_total"))


def _declare(family: Metric, bare: frozenset[str], escaping: str, *, native: bool | Collection[str]) -> Declared:
    everything = list(islice(_iterate(family), _INSPECTED_SAMPLES))
    samples = [sample for sample in everything if getattr(sample, "native_histogram", None) is None]
    kind, name = _find_kind(family, samples)
    suffixes = {sample.name.removeprefix(family.name) for sample in samples if not sample.name.endswith("_created")}
    if kind == "info" and family.type == "gauge":  # of the text format, which calls it a gauge
        suffixes = {"_info"}
    if kind == "counter" and family.name in bare:
        suffixes = {""}
    elif not suffixes:
        suffixes = _list_nominal_suffixes(family, kind)
    written = escape_name(name, escaping)
    return Declared(
        written,
        kind,
        family.documentation,
        family.unit,
        _find_labels(family, samples, escaping),
        frozenset(written + suffix for suffix in suffixes),
        any("quantile" in sample.labels for sample in samples),
        is_read_natively(family, everything, native=native),
    )


def is_read_natively(family: Metric, samples: Iterable[Sample], *, native: bool | Collection[str]) -> bool:
    """Return whether a server has the native histogram of ``family``; ``native`` is that of `read_declared`.

    A text has the bucket ``+Inf`` alone of one without classic buckets.
    """
    if family.type != "histogram":
        return False
    if isinstance(family, LiveFamily):
        return family.descriptor.is_native_only or (bool(native) and family.has_native)
    bounds = {sample.labels.get("le") for sample in samples if sample.name == f"{family.name}_bucket"}
    shows_native = (getattr(sample, "native_histogram", None) is not None for sample in samples)
    is_wanted = native if isinstance(native, bool) else family.name in native
    return is_wanted or bounds == {"+Inf"} or any(shows_native)


def _iterate(family: Metric) -> Iterator[Sample]:
    return family.iter_samples() if isinstance(family, LiveFamily) else iter(family.samples)


def _find_kind(family: Metric, samples: list[Sample]) -> tuple[str, str]:
    """Return the kind, and the name without suffixes. The text format writes infos and enums as gauges."""
    if family.type == "gauge" and family.name.endswith("_info"):
        return "info", family.name.removesuffix("_info")
    if family.type == "gauge" and samples and all(family.name in sample.labels for sample in samples):
        return "stateset", family.name
    if family.type == "histogram" and any(sample.name.endswith("_gcount") for sample in samples):
        return "gaugehistogram", family.name
    return family.type, family.name


def _list_nominal_suffixes(family: Metric, kind: str) -> set[str]:
    if isinstance(family, LiveFamily):
        return {row.name.removeprefix(family.name) for row in family.descriptor.list_rows()}
    return {suffix for suffix in KINDS[kind].value_suffixes if kind != "summary" or suffix}


def _find_labels(family: Metric, samples: list[Sample], escaping: str) -> frozenset[str] | None:
    names = {name for sample in samples for name in sample.labels}
    if isinstance(family, LiveFamily):
        names.update(family.descriptor.all_labelnames)
        if family.descriptor.per_worker:  # there is such a label as soon as several workers share their metrics
            names.add("worker")
    elif not samples:
        return None
    names -= {"le", "quantile"} if family.type in {"histogram", "gaugehistogram", "summary"} else set()
    written = (escape_name(name, escaping, label=True) for name in names)
    return frozenset(_OF_THE_TARGET.get(name, name) for name in written)
