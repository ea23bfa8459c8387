"""Reading OpenMetrics 1.0 into families, under prometheus_client's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp
from asyncmetrics.prometheus_client.utils import floatToGoString

__all__ = (
    "BucketSpan",
    "Exemplar",
    "Metric",
    "NativeHistogram",
    "Sample",
    "Timestamp",
    "floatToGoString",
    "text_fd_to_metric_families",
    "text_string_to_metric_families",
)


def text_string_to_metric_families(text: str) -> Iterator[Metric]:
    """Yield the families of an exposition, which must keep every rule of the format.

    Raises `ParseError` (a ValueError).
    """
    return parse_openmetrics(text)


def text_fd_to_metric_families(fd: TextIO) -> Iterator[Metric]:
    """Yield the families of an exposition in an open text file. Raises `ParseError` (a ValueError)."""
    return parse_openmetrics(fd.read())
