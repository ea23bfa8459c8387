"""The series of an exposition as tests name them: a sample name and its labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, final

from asyncmetrics.errors import shorten, show_text
from asyncmetrics.formats.numbers import format_canonical, format_number
from asyncmetrics.model.kinds import NUMERIC_LABELS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import NativeHistogram

__all__ = (
    "Series",
    "SupportsSample",
    "SupportsSamples",
    "make_series",
    "read_natives",
    "read_values",
    "show_labels",
    "show_value",
)

_LONGEST_LABEL = 200  # characters of a label value in a message
_FIRST_INEXACT = 2**53  # a float from here on does not hold all whole numbers


class SupportsSample(Protocol):
    """A sample: one of ours, or of prometheus_client's, which has the same attributes."""

    @property
    def name(self) -> str:
        """The name of the sample."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """All labels."""
        ...

    @property
    def value(self) -> float:
        """The value."""
        ...


class SupportsSamples(Protocol):
    """A family: one of ours, or of prometheus_client's."""

    @property
    def samples(self) -> Iterable[SupportsSample]:
        """The samples."""
        ...


@final
class Series(NamedTuple):
    """A sample name and the labels, sorted by their names."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{show_text(shorten(self.name))}{show_labels(self.labels)}"


def make_series(name: str, labels: Mapping[str, object]) -> Series:
    """Return the series with these labels.

    Values become text as ``labels()`` of a metric converts them. A label with an empty value is left out: Prometheus
    takes it for an absent one. The bounds of buckets and the quantiles are compared as numbers: 1, "1" and "1.0" are
    the same.
    """
    texts = ((label, _to_text(label, value)) for label, value in labels.items())
    return Series(name, tuple(sorted((label, text) for label, text in texts if text)))


def _to_text(label: str, value: object) -> str:
    text = to_label_text(value)
    return format_canonical(text) if label in NUMERIC_LABELS else text


def read_values(families: Iterable[SupportsSamples]) -> dict[Series, float]:
    """Return the values of all samples, in their order; that of a native histogram is its count."""
    return {make_series(one.name, one.labels): _read_value(one) for family in families for one in family.samples}


def _read_value(sample: SupportsSample) -> float:
    native = getattr(sample, "native_histogram", None)
    return float(sample.value if native is None else native.count_value)


def read_natives(families: Iterable[SupportsSamples]) -> dict[Series, NativeHistogram]:
    """Return the native histograms among the samples; prometheus_client's may have no such attribute."""
    samples = (sample for family in families for sample in family.samples)
    found = ((sample, getattr(sample, "native_histogram", None)) for sample in samples)
    return {make_series(sample.name, sample.labels): native for sample, native in found if native is not None}


def show_labels(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels for a message, as an exposition has them; what controls a terminal is escaped."""
    pairs = ",".join(f'{show_text(shorten(name))}="{_show_label_value(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def _show_label_value(value: str) -> str:
    return show_text(shorten(value, _LONGEST_LABEL).replace("\\", "\\\\").replace('"', '\\"'))


def show_value(value: float) -> str:
    """Return a number for a message, a whole one without its fraction."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < _FIRST_INEXACT else format_number(value)
