"""Leaves out the samples of a custom family that OpenMetrics forbids.

*Rules.*

* Judge each sample by itself first, and leave it out if its labels or its value are wrong.
* Then judge the samples of one child at one time (a "MetricPoint") together: sort a histogram whose buckets are not in
  order. If it is still wrong, leave out count and sum. If that does not help, leave out the histogram.
"""

from __future__ import annotations

from typing import TypeAlias, final

from asyncmetrics.formats.numbers import format_canonical
from asyncmetrics.formats.rules import find_buckets_problem, find_exemplar_problem, find_value_problem
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import UNREADABLE, SampleReader
from asyncmetrics.formats.writing.lines import format_label_name, format_name
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.samples import Sample

__all__ = ("MetricPoint", "SampleFilter")

MetricPoint: TypeAlias = dict[tuple[str, str], Sample]
"""The samples of one child at one time, by their suffix and the value of their own label."""


@final
class SampleFilter:
    """What OpenMetrics allows of the samples of one ``family``.

    ``own`` maps the name of each sample to its suffix and the written name of its own label (see `MetricKind`), and
    ``raw_own`` to the name of that label before it is written.
    """

    def __init__(self, family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> None:
        kind = KINDS[family.type]
        self._kind = kind
        self._partial = family.partial
        self._label = label = format_label_name(family.name, escaping)  # a stateset's own
        # The label of a state has the name of its family. A name with two written forms can have no states.
        self._is_possible = kind.own_label != "<name>" or label.strip('"') == format_name(family.name, escaping).strip(
            '"'
        )
        self._family = family
        self._claims = claims
        self._omissions = omissions
        self._read = SampleReader(escaping, exemplars=True)
        self.own = {family.name + suffix: (suffix, kind.get_own_label(label, suffix)) for suffix in kind.suffixes}
        self.raw_own = {family.name + suffix: kind.get_own_label(family.name, suffix) for suffix in kind.suffixes}

    def filter_sample(self, raw: Sample) -> Sample | None:
        """Return ``raw`` with written labels, canonical ``le`` and ``quantile``, and its exemplar if allowed; or None.

        A sample whose name is none of the family's goes to the claims as a stray.
        """
        sample = self._read(raw)
        if sample is None:
            self.omit(UNREADABLE)
            return None
        if not self._is_possible:
            self.omit("the label of a state has the name of its family, which cannot be the name of a label")
            return None
        if sample.name not in self.own:
            self._claims.add_stray(self._family, raw)
            return None
        suffix, own = self.own[sample.name]
        labels = sample.labels
        if own in NUMERIC_LABELS and own in labels:
            labels[own] = format_canonical(labels[own])
        problem = find_value_problem(self._label, self._kind.name, suffix, labels, sample.value)
        if problem:
            self.omit(problem)
            return None
        if sample.exemplar is not None and find_exemplar_problem(self._kind.name, suffix, labels, sample.exemplar):
            return sample._replace(exemplar=None)
        return sample

    def filter_point(self, point: MetricPoint) -> MetricPoint:
        """Return ``point`` unchanged, or sorted, or sorted and without count and sum, or empty.

        A family that `Metric.restrict` has cut is not judged: its samples are incomplete on purpose.
        """
        totals = self._kind.totals
        if not totals or self._partial:
            return point
        ordered = dict(sorted(point.items(), key=_by_bound))
        problem = ""
        for candidate in (point, ordered, {key: sample for key, sample in ordered.items() if key[0] not in totals}):
            found = find_buckets_problem(self._kind.name, {key: sample.value for key, sample in candidate.items()})
            if not found:
                self.omit(problem, len(point) - len(candidate))
                return candidate
            problem = found
        self.omit(problem, len(point))
        return {}

    def omit(self, reason: str, count: int = 1) -> None:
        """Report ``count`` samples that are left out."""
        self._omissions.add(self._family, reason, count)


def _by_bound(item: tuple[tuple[str, str], Sample]) -> tuple[bool, float]:
    (suffix, bound), _ = item
    return suffix != "_bucket", float(bound or 0)
