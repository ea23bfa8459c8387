"""Summaries: counts and sums of observations."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.interfaces import SummaryChild
from asyncmetrics.metrics._base import MetricBase, Shape
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.checks import check_flag
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Summary",)


class _SummaryOperations(Resolver[SummaryChild], SummaryChild):
    __slots__ = ()

    def observe(self, amount: float) -> None:
        """Add one observation; see `SummaryChild.observe`."""
        self._resolve().observe(amount)


class _ContextSummary(ContextChild[SummaryChild], _SummaryOperations):
    __slots__ = ()


class Summary(
    MetricBase[SummaryChild, NoReturn, NoReturn, NoReturn, bool, NoReturn, NoReturn, NoReturn], _SummaryOperations
):
    """A count and a sum of observations, from which the server computes rates and averages.

    For the arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Summary
        >>> registry = CollectorRegistry()
        >>> sent = Summary("request_bytes_sent", "Request bytes sent.", ["method"], registry=registry)
        >>> sent.labels("GET").observe(42)
        >>> registry.get_sample_value("request_bytes_sent_sum", {"method": "GET"})
        42.0
    """

    _kind: ClassVar[DeclaredKind] = "summary"
    _operations: ClassVar[tuple[str, ...]] = ("observe", "recorder")
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextSummary

    def _make_shape(self, name: str, *, per_worker: bool = False) -> Shape:
        check_flag("per_worker", per_worker, name)
        return Shape(per_worker=per_worker)
