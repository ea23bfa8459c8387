"""Reads the families of custom collectors, which may hold anything.

*Rule.* Drop a sample that cannot be written, and a family whose name or type is none. Never drop another sample, and
never fail the scrape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import final

from asyncmetrics.formats.writing.lines import LabelNames, rename_labels
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.escaping import UNDERSCORES
from asyncmetrics.model.family import METRIC_TYPES, LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("UNREADABLE", "SampleReader", "get_help", "has_unit", "is_writable", "list_samples")

UNREADABLE = "a sample needs a printable name, labels, a number (no native histogram) and a finite time"

_is_unit: Callable[[str], object] = re.compile(r'[^\s"\\]+').fullmatch


def is_writable(family: object) -> bool:
    """Return whether ``family`` has a name and a type: a collector can overwrite both after the constructor's check."""
    if isinstance(family, LiveFamily):
        return True
    if not isinstance(family, Metric) or family.type not in METRIC_TYPES:
        return False
    return isinstance(family.name, str) and family.name.isprintable() and family.name != ""


def get_help(family: Metric) -> str:
    """Return the documentation of ``family`` as a text, or ``""`` if it has none."""
    try:
        return str(family.documentation)
    except Exception as error:  # noqa: BLE001  # it may be an object of the collector's
        pass_interruption(error)
        return ""


def has_unit(family: Metric, written: str) -> bool:
    """Return whether to write the unit: the ``written`` name has to end with it, and units are not escaped."""
    if not KINDS[family.type].has_unit or not isinstance(family.unit, str) or not _is_unit(family.unit):
        return False
    return written.endswith(f"_{family.unit}")


def list_samples(family: Metric) -> Sequence[Sample]:
    """Return a copy of the samples: a collector may keep its family and add to it.

    If ``samples`` is a property of the collector's, it may raise. The error is not caught here: the exposition counts a
    failed rendering.
    """
    samples: object = family.samples
    return list(samples) if isinstance(samples, Iterable) else ()


@final
class SampleReader:
    """Converts the fields of samples to their types, and the names of labels to their written form."""

    def __init__(self, escaping: str, *, exemplars: bool) -> None:
        self.names = LabelNames(escaping)
        self._exemplars = exemplars

    def __call__(self, sample: Sample) -> Sample | None:
        """Return the converted sample, or None if it cannot be converted."""
        try:
            name = sample.name
            if not name or not name.isprintable() or getattr(sample, "native_histogram", None) is not None:
                return None
            timestamp = None if sample.timestamp is None else _convert_time(sample.timestamp)
            exemplar = self._convert(sample.exemplar) if self._exemplars and sample.exemplar is not None else None
            return Sample(name, rename_labels(sample.labels, self.names), float(sample.value), timestamp, exemplar)
        except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything: it costs this sample only
            pass_interruption(error)
            return None

    def _convert(self, exemplar: Exemplar) -> Exemplar | None:
        try:
            timestamp = None if exemplar.timestamp is None else _convert_time(exemplar.timestamp)
            labels = rename_labels(exemplar.labels, LabelNames(UNDERSCORES))
            return Exemplar(labels, float(exemplar.value), timestamp)
        except Exception as error:  # noqa: BLE001  # as above; the sample is written without its exemplar
            pass_interruption(error)
            return None


def _convert_time(timestamp: float | Timestamp) -> float | Timestamp:
    seconds = float(timestamp)  # a Timestamp is converted too: it may be beyond the range of doubles
    if seconds - seconds != 0.0:
        raise ValueError(f"expected a finite time, got {timestamp!r}")
    return timestamp if isinstance(timestamp, Timestamp) else seconds
