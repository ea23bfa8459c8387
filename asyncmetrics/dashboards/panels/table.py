"""The language of the table of panels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

__all__ = ("SAMPLE", "WINDOW", "Kind", "Panel", "Query", "Row", "list_samples")

Kind: TypeAlias = Literal["timeseries", "stat", "heatmap", "table", "states"]
"""How a panel draws its queries: ``states`` is a line of time with the states of enums."""

SAMPLE = re.compile(r"<([a-z_0-9]+)(?: ([^<>]*))?>")
"""A sample in a query of the table, with more matchers: ``<log_records_total level="ERROR">``."""

WINDOW = "$w"
"""Stands for the range of a rate in a query of the table."""


@final
@dataclass(frozen=True, slots=True)
class Query:
    """An expression and the name of its series: a text with labels as ``{{route}}``."""

    expression: str
    legend: str = ""


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of some queries, in a unit of Grafana's.

    ``help`` says what it shows. ``label`` is a label that the metrics must have, such as ``worker``.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    help: str = ""
    kind: Kind = "timeseries"
    label: str = ""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def list_samples(expression: str) -> list[str]:
    """Return the samples that a query of the table names."""
    return [name for name, _ in SAMPLE.findall(expression)]
