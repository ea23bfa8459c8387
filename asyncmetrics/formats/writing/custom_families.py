"""The families of custom collectors, as far as they can be written at all.

*Rules.* A collector may hand over anything. What cannot be written costs one sample, or one family whose name or type
is none: never a line of another sample, never the scrape. A sample that does not belong to the type of its family is
written as a family ``unknown`` of its own, after all others and only if none of them has its name: there it breaks
nothing, whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import final

from asyncmetrics.formats.writing.lines import LabelNames, written_labels, written_name
from asyncmetrics.model.family import METRIC_TYPES, LiveFamily, Metric
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("Claims", "SampleReader", "help_of", "raw_samples")


def _is_writable(family: object) -> bool:
    """Tell whether there is a name and a type: both can be overwritten after the constructor has looked at them."""
    if isinstance(family, LiveFamily):
        return True
    if not isinstance(family, Metric) or family.type not in METRIC_TYPES:
        return False
    return isinstance(family.name, str) and family.name.isprintable() and family.name != ""


def help_of(family: Metric) -> str:
    """Return the documentation as a text."""
    try:
        return str(family.documentation)
    except Exception:  # noqa: BLE001  # an object of the collector's
        return ""


def raw_samples(family: Metric) -> Sequence[Sample]:
    """Return the samples as they are now: a collector may keep its family and go on adding to it.

    Reading them may run a collector's code, and raise: a rendering that failed has to be told, which is not done here.
    """
    samples: object = family.samples
    return list(samples) if isinstance(samples, Iterable) else ()


@final
class SampleReader:
    """Samples of custom collectors, made of the types that they should be made of, with written label names."""

    def __init__(self, escaping: str, *, exemplars: bool) -> None:
        self._names = LabelNames(escaping)
        self._exemplars = exemplars

    def __call__(self, sample: Sample) -> Sample | None:
        """Return the sample, or None where it cannot be one."""
        try:
            name = sample.name
            if not name or not name.isprintable():
                return None
            timestamp = None if sample.timestamp is None else _plain_time(sample.timestamp)
            exemplar = self._exemplar(sample.exemplar) if self._exemplars and sample.exemplar is not None else None
            return Sample(name, written_labels(sample.labels, self._names), float(sample.value), timestamp, exemplar)
        except Exception:  # noqa: BLE001  # whatever a collector's own objects raise: one bad sample costs itself
            return None

    def _exemplar(self, exemplar: Exemplar) -> Exemplar | None:
        try:
            timestamp = None if exemplar.timestamp is None else _plain_time(exemplar.timestamp)
            labels = written_labels(exemplar.labels, LabelNames(UNDERSCORES))
            return Exemplar(labels, float(exemplar.value), timestamp)
        except Exception:  # noqa: BLE001  # as above, and the sample is good without its exemplar
            return None


def _plain_time(timestamp: float | Timestamp) -> float | Timestamp:
    seconds = float(timestamp)  # of a Timestamp as well: it may be too far off for a double
    if seconds - seconds != 0.0:
        raise ValueError(f"expected a finite time, got {timestamp!r}")
    return timestamp if isinstance(timestamp, Timestamp) else seconds


@final
class Claims:
    """The names that the families of one exposition have taken, and the samples that belong to none of them."""

    def __init__(self, escaping: str) -> None:
        self._escaping = escaping
        self._taken: set[str] = set()
        self._strays: dict[str, Metric] = {}

    def families(self, families: Iterable[Metric]) -> Iterator[Metric]:
        """Yield the families that can be written, and then those that were made of strays."""
        yield from filter(_is_writable, families)
        yield from self._strays.values()

    def take(self, names: Iterable[str]) -> bool:
        """Take the names that a family writes, or that a reader counts among its own, unless one is taken already."""
        written = {written_name(name, self._escaping) for name in names}
        if not self._taken.isdisjoint(written):
            return False
        self._taken |= written
        return True

    def stray(self, sample: Sample) -> None:
        """Keep a sample that has a name."""
        written = written_name(sample.name, self._escaping)
        family = self._strays.get(written)
        if family is None:
            family = self._strays[written] = Metric(sample.name, "", "unknown")
        if family.name == sample.name:  # of two names that are written alike, the first has the place
            family.samples.append(sample)
