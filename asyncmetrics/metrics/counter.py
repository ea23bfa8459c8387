"""Counters: numbers that only go up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.interfaces import CounterChild
from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.metrics._base import MetricBase, Shape
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.checks import check_flag
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Counter",)


class _CounterOperations(Resolver[CounterChild], CounterChild):
    __slots__ = ()

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``; see `CounterChild.inc`."""
        self._resolve().inc(amount, exemplar)

    def reset(self) -> None:
        """Set the counter to zero; see `CounterChild.reset`."""
        self._resolve().reset()


class _ContextCounter(ContextChild[CounterChild], _CounterOperations):
    __slots__ = ()


class Counter(
    MetricBase[CounterChild, NoReturn, NoReturn, NoReturn, bool, NoReturn, NoReturn, ExemplarSource | None],
    _CounterOperations,
):
    """A number that only goes up: requests served, jobs done, bytes sent, seconds spent.

    The name may end in ``_total``, which is exposed in any case. For the arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Counter
        >>> registry = CollectorRegistry()
        >>> jobs = Counter("jobs_total", "Jobs run.", ["kind"], registry=registry)
        >>> jobs.labels("mail").inc()
        >>> jobs.labels(kind="mail").inc(2)
        >>> registry.get_sample_value("jobs_total", {"kind": "mail"})
        3.0
    """

    _kind: ClassVar[DeclaredKind] = "counter"
    _operations: ClassVar[tuple[str, ...]] = ("inc", "reset")
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextCounter

    def _make_shape(self, name: str, *, per_worker: bool = False, exemplars: ExemplarSource | None = None) -> Shape:
        check_flag("per_worker", per_worker, name)
        return Shape(per_worker=per_worker, exemplars=find_provider(exemplars, name))
