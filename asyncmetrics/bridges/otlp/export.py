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

    ``round`` is that of the changes, or None where the numbers are cumulative.
    """

    now: int
    labels: Mapping[str, str]
    requests: Requests
    omissions: Omissions
    round: Round | None

    @property
    def temporality(self) -> int:
        """The ``AggregationTemporality`` of counters and histograms."""
        return CUMULATIVE if self.round is None else DELTA
