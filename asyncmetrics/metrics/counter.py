"""Counters: numbers that only go up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

from asyncmetrics.children.interfaces import CounterChild
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Counter",)


class _Resolving(CounterChild):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> CounterChild: ...

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Go up by ``amount``, which is finite and not negative; see `CounterChild.inc`."""
        self._resolve().inc(amount, exemplar)

    def reset(self) -> None:
        """Go back to zero, as when a logical process starts again inside this one."""
        self._resolve().reset()


class _ContextCounter(ContextView, _Resolving):
    __slots__ = ()


@final
class Counter(MetricBase[CounterChild], _Resolving):
    """A number that only goes up: requests served, jobs done, bytes sent, seconds spent.

    ``_total`` may be written at the end of the name or left out. For the arguments see `MetricBase`.

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
    _view: ClassVar[type[ContextView]] = _ContextCounter
