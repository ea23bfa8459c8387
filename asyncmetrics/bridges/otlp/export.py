"""What the parts of one export share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from asyncmetrics.bridges.otlp.metric import CUMULATIVE, DELTA
from asyncmetrics.bridges.otlp.requests import Requests
from asyncmetrics.bridges.push.deltas import Round
from asyncmetrics.formats.writing.omissions import Omissions

__all__ = ("Export",)


@final
@dataclass(frozen=True, slots=True)
class Export:
    """One export: the Unix time ``now`` in nanoseconds, and the ``labels`` that are added to each series.

    ``round`` is that of the changes, or None where the numbers are cumulative. ``is_exponential`` is whether a native
    histogram is sent as such even if it has classic buckets.
    """

    now: int
    labels: Mapping[str, str]
    requests: Requests
    omissions: Omissions
    round: Round | None
    is_exponential: bool = False

    @property
    def temporality(self) -> int:
        """The ``AggregationTemporality`` of counters and histograms."""
        return CUMULATIVE if self.round is None else DELTA
