"""Groups the samples of a custom family into points, for formats that write a histogram or a summary as one message.

*Rules.*

* Leave out a sample that does not belong to the type of its family, or whose value the type forbids, and report it.
  A sample with another name than those of the family goes to the claims as a stray (see `Claims`).
* Leave out a histogram without its ``+Inf`` bucket, or whose buckets are not cumulative. If only the count contradicts
  the buckets, leave out count and sum.
* Of two samples of one series and time the first one stays.

*Theory of operation.*

1. Each sample is read: its labels and numbers are converted, and its suffix is found.
2. The sample is added to the group of its labels, without the own label of the kind (``le``, ``quantile``, the state),
   and of its time.
3. When all samples are read, the groups are completed and yielded in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import NamedTuple, TypeAlias, TypeVar, final

from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.formats.rules import find_value_problem
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.escaping import ALLOW_UTF_8, escape_name
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS, MetricKind
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar, Moment, NativeHistogram, Sample, get_moment

__all__ = ("SampleGroup", "group_samples")

_STEP = 32  # samples in one step of an event loop: benchmarks/push_otlp.py

_UNREADABLE = "a sample needs a printable name, labels, a number and a finite time"
_REPEATED = "the series occurs twice"
_COUNTS = ("_count", "_gcount")
_MAX_COUNT = 2.0**63

_K = TypeVar("_K")
_Labels: TypeAlias = tuple[tuple[str, str], ...]


@final
@dataclass(slots=True)
class SampleGroup:
    """The samples of one child at one time.

    - ``labels``: the labels without the own label of the kind, sorted by name.
    - ``moment``: the time of the samples, or None for the time of the collection.
    - ``numbers``: the values of samples without an own label by suffix: ``""``, ``_total``, ``_info``, ``_count``,
      ``_sum``, ``_created``, and ``_gcount`` and ``_gsum`` of gauge histograms.
    - ``buckets``: the cumulative counts of a histogram by their bounds, in order, ``inf`` last.
    - ``quantiles``: the values of a summary by quantile, in order.
    - ``states``: the values of a stateset by state.
    - ``exemplars``: those of all samples, in order; ``bucket_exemplars`` has those of the buckets by their bounds.
    - ``native``: the value of a native histogram, which may have a classic one beside it.
    """

    labels: _Labels
    moment: Moment | None
    numbers: dict[str, float] = field(default_factory=dict)
    buckets: dict[float, float] = field(default_factory=dict)
    quantiles: dict[float, float] = field(default_factory=dict)
    states: dict[str, float] = field(default_factory=dict)
    exemplars: list[Exemplar] = field(default_factory=list)
    bucket_exemplars: dict[float, Exemplar] = field(default_factory=dict)
    native: NativeHistogram | None = None

    @property
    def size(self) -> int:
        """The number of samples."""
        count = len(self.numbers) + len(self.buckets) + len(self.quantiles) + len(self.states)
        return count + (self.native is not None)


class _Reading(NamedTuple):
    """One sample with converted fields; ``own`` is the value of its own label, and ``bound`` that as a number."""

    suffix: str
    labels: _Labels
    own: str
    bound: float
    value: float
    moment: Moment | None
    exemplar: Exemplar | None
    native: NativeHistogram | None


def group_samples(
    family: Metric, samples: Iterable[Sample], claims: Claims, omissions: Omissions, escaping: str = ALLOW_UTF_8
) -> Iterator[SampleGroup | None]:
    """Yield ``samples`` of ``family`` in groups. None stands for a step of work that led to no group."""
    grouping = _Grouping(family, claims, omissions, escaping)
    for index, raw in enumerate(samples):
        grouping.add(raw)
        if not index % _STEP:
            yield None
    for group in grouping.groups.values():
        yield group if grouping.complete(group) else None


@final
class _Grouping:
    """The groups of one family while its samples are read."""

    def __init__(self, family: Metric, claims: Claims, omissions: Omissions, escaping: str) -> None:
        self.groups: dict[tuple[_Labels, Moment | None], SampleGroup] = {}
        self._family = family
        self._kind: MetricKind = KINDS[family.type]
        self._claims = claims
        self._omissions = omissions
        self._escaping = escaping
        self._suffixes = {family.name + suffix: suffix for suffix in self._kind.suffixes}
        self._label = escape_name(family.name, escaping, label=True)  # the own label of a stateset

    def add(self, raw: Sample) -> None:
        """Add a sample to its group, or report that it is left out."""
        try:
            reading = self._read(raw)
        except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything: it costs this sample only
            pass_interruption(error)
            reading = _UNREADABLE
        if isinstance(reading, str):
            if reading:
                self._omissions.add(self._family, reading)
            return
        key = reading.labels, reading.moment
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = SampleGroup(*key)
        if not _insert(self._kind, group, reading):
            self._omissions.add(self._family, _REPEATED)
        elif reading.exemplar is not None:
            group.exemplars.append(reading.exemplar)
            group.bucket_exemplars[reading.bound] = reading.exemplar

    def complete(self, group: SampleGroup) -> bool:
        """Put the buckets in order; return whether the group can be written."""
        if self._kind.own_label != "le" or (group.native is not None and not group.buckets):
            group.quantiles = dict(sorted(group.quantiles.items()))
            return True
        problem = _complete_buckets(group)
        if problem and group.native is not None:  # it does not need the classic one
            created = {suffix: value for suffix, value in group.numbers.items() if suffix == "_created"}
            self._omissions.add(self._family, problem, group.size - 1 - len(created))
            group.buckets, group.numbers = {}, created
            return True
        if problem:
            self._omissions.add(self._family, problem, group.size)
            return False
        for suffix in self._kind.totals[:1]:
            if group.numbers.setdefault(suffix, group.buckets[inf]) != group.buckets[inf]:
                self._omissions.add(self._family, f"{suffix} has to equal the +Inf bucket")
                group.numbers[suffix] = group.buckets[inf]
                group.numbers.pop(self._kind.totals[1], None)
        return True

    def _read(self, raw: Sample) -> _Reading | str:
        """Return the converted sample, or why it is left out; ``""`` for a stray."""
        name = raw.name
        if not name or not name.isprintable():
            return _UNREADABLE
        suffix = self._suffixes.get(name)
        native = getattr(raw, "native_histogram", None)
        if native is not None and self._kind.own_label == "le" and name == self._family.name:
            suffix = ""
        if suffix is None or (native is not None and suffix):
            if native is not None:
                return "a native histogram has the name and the type of a histogram"
            self._claims.add_stray(self._family, raw)
            return ""
        moment = None if raw.timestamp is None else get_moment(raw.timestamp)
        own_name = self._kind.get_own_label(self._label, suffix)
        labels = self._read_labels(raw.labels)
        if native is not None:
            return _Reading("", tuple(sorted(labels.items())), "", 0.0, 0.0, moment, None, native)
        value = float(raw.value)
        if own_name in NUMERIC_LABELS and parse_bound(labels.get(own_name, "")) == inf:
            labels[own_name] = "+Inf"
        problem = find_value_problem(self._label, self._kind.name, suffix, labels, value)
        if problem:
            return problem
        own = labels.pop(own_name, "") if own_name else ""
        bound = parse_bound(own) if own_name in NUMERIC_LABELS else None
        exemplar = self._read_exemplar(raw.exemplar) if suffix in self._kind.exemplars else None
        return _Reading(suffix, tuple(sorted(labels.items())), own, bound or 0.0, value, moment, exemplar, None)

    def _read_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels with written names and texts as values, without ``__name__`` and empty names."""
        written = {
            escape_name(to_label_text(name), self._escaping, label=True): to_label_text(value)
            for name, value in labels.items()
        }
        written.pop("", None)
        written.pop("__name__", None)
        return written

    def _read_exemplar(self, exemplar: Exemplar | None) -> Exemplar | None:
        """Return the converted exemplar, or None if it cannot be converted: then its sample is written without it."""
        if exemplar is None:
            return None
        try:
            time = exemplar.timestamp
            if time is not None:
                get_moment(time)
            return Exemplar(self._read_labels(exemplar.labels), float(exemplar.value), time)
        except Exception as error:  # noqa: BLE001  # as in `add`
            pass_interruption(error)
            return None


def _insert(kind: MetricKind, group: SampleGroup, reading: _Reading) -> bool:
    """Add a sample to its group; return False if the group has it already."""
    if reading.native is not None:
        is_new = group.native is None
        group.native = group.native or reading.native
        return is_new
    if not kind.own_label or reading.suffix != kind.own_suffix:
        return _put(group.numbers, reading.suffix, reading.value)
    match kind.own_label:
        case "le":
            return _put(group.buckets, reading.bound, reading.value)
        case "quantile":
            return _put(group.quantiles, reading.bound, reading.value)
        case _:
            return _put(group.states, reading.own, reading.value)


def _put(numbers: dict[_K, float], key: _K, value: float) -> bool:
    if key in numbers:
        return False
    numbers[key] = value
    return True


def _complete_buckets(group: SampleGroup) -> str:
    """Put the buckets of a histogram in order. Return why it cannot be written, or ``""``."""
    count = next((group.numbers[suffix] for suffix in _COUNTS if suffix in group.numbers), None)
    if inf not in group.buckets and group.buckets:
        return "the last bucket has to be +Inf"
    if not group.buckets:
        if count is None or "_sum" not in group.numbers:
            return "a histogram needs buckets, or count and sum"
        group.buckets[inf] = count
    group.buckets = dict(sorted(group.buckets.items()))
    if not all(value <= following for value, following in pairwise(group.buckets.values())):
        return "buckets are cumulative"
    return "" if group.buckets[inf] < _MAX_COUNT else "a count is below 2**63"
