"""Histograms: counts of observations by size, and functions that compute their buckets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf, isfinite
from typing import Any, ClassVar, NoReturn, final

from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics._base import ContextChild, MetricBase, Resolver, Shape
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Histogram", "exponential_buckets", "linear_buckets")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class _HistogramOperations(Resolver[HistogramChild], HistogramChild):
    __slots__ = ()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation; see `HistogramChild.observe`."""
        self._resolve().observe(amount, exemplar)


class _ContextHistogram(ContextChild[HistogramChild], _HistogramOperations):
    __slots__ = ()


@final
class Histogram(MetricBase[HistogramChild, Iterable[float | str], NoReturn, NoReturn, bool], _HistogramOperations):
    """Counts of observations by size, from which the server computes quantiles over many instances.

    ``buckets`` are the upper bounds in increasing order; ``+Inf`` is added. The default bounds suit seconds
    (OpenTelemetry's semantic conventions for HTTP). For the other arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Histogram
        >>> registry = CollectorRegistry()
        >>> latency = Histogram("request_latency_seconds", "Latency.", buckets=[0.1, 1], registry=registry)
        >>> latency.observe(0.3)
        >>> registry.get_sample_value("request_latency_seconds_bucket", {"le": "1.0"})
        1.0
    """

    DEFAULT_BUCKETS: ClassVar[tuple[float, ...]] = (*_SECONDS, inf)
    _kind: ClassVar[DeclaredKind] = "histogram"
    _operations: ClassVar[tuple[str, ...]] = ("observe", "recorder")
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextHistogram

    def _make_shape(
        self, name: str, *, buckets: Iterable[float | str] = DEFAULT_BUCKETS, per_worker: bool = False
    ) -> Shape:
        return Shape(buckets=_to_bounds(name, buckets), per_worker=per_worker)


def _to_bounds(name: str, buckets: Iterable[float | str]) -> tuple[float, ...]:
    given: object = buckets
    try:
        given = tuple(buckets)
        bounds = [float(bound) for bound in given]
    except (TypeError, ValueError):
        raise DefinitionError(name, f"expected buckets that are numbers, got {given!r}") from None
    if not bounds or bounds[-1] != inf:
        bounds.append(inf)
    if len(bounds) == 1 or not all(low < high for low, high in pairwise(bounds)):
        raise DefinitionError(name, f"expected at least one finite bucket, in increasing order, got {given!r}")
    return tuple(bounds)


def linear_buckets(start: float, width: float, count: int) -> list[float]:
    """Return the upper bounds of ``count`` buckets: ``start``, then each ``width`` above the one before.

    Raises `DefinitionError` for a count below 1 or a width that is not positive.
    """
    if count < 1 or not width > 0 or not isfinite(start + width * count):
        raise DefinitionError("linear_buckets", f"expected count >= 1 and width > 0, got {start=}, {width=}, {count=}")
    return [start + width * index for index in range(count)]


def exponential_buckets(start: float, factor: float, count: int) -> list[float]:
    """Return the upper bounds of ``count`` buckets: ``start``, then each ``factor`` times the one before.

    Raises `DefinitionError` for a count below 1, a start that is not positive or a factor that is not above 1.
    """
    if count < 1 or not start > 0 or not factor > 1:
        raise DefinitionError(
            "exponential_buckets", f"expected count >= 1, start > 0 and factor > 1, got {start=}, {factor=}, {count=}"
        )
    return [start * factor**index for index in range(count)]
