"""Reading the text format 0.0.4 (and 1.0.0) into families, under prometheus_client's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("Metric", "Sample", "text_fd_to_metric_families", "text_string_to_metric_families")


def text_string_to_metric_families(text: str) -> Iterator[Metric]:
    """Yield the families of an exposition, the names of counters without ``_total``.

    Raises `ParseError` (a ValueError).
    """
    return parse_prometheus(text)


def text_fd_to_metric_families(fd: TextIO) -> Iterator[Metric]:
    """Yield the families of an exposition in an open text file. Raises `ParseError` (a ValueError)."""
    return parse_prometheus(fd.read())
