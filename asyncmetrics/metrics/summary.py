"""Summaries: counts and sums of observations."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

from asyncmetrics.children.interfaces import SummaryChild
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Summary",)


class _Resolving(SummaryChild):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> SummaryChild: ...

    def observe(self, amount: float) -> None:
        """Take one observation; see `SummaryChild.observe`."""
        self._resolve().observe(amount)


class _ContextSummary(ContextView, _Resolving):
    __slots__ = ()


@final
class Summary(MetricBase[SummaryChild], _Resolving):
    """A count and a sum of observations, from which the server makes rates and averages.

    For the arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Summary
        >>> registry = CollectorRegistry()
        >>> sent = Summary("request_bytes_sent", "Request bytes sent.", ["method"], registry=registry)
        >>> sent.labels("GET").observe(42)
        >>> registry.get_sample_value("request_bytes_sent_sum", {"method": "GET"})
        42.0
    """

    _kind: ClassVar[DeclaredKind] = "summary"
    _reserved: ClassVar[frozenset[str]] = frozenset({"quantile"})
    _operations: ClassVar[tuple[str, ...]] = ("observe", "recorder")
    _view: ClassVar[type[ContextView]] = _ContextSummary
