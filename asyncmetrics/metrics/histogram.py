"""Histograms: counts of observations by size, and functions that compute their buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from math import inf, isfinite
from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics._base import MetricBase, Shape
from asyncmetrics.metrics._native_options import make_native_options
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.checks import check_flag, check_limit, list_items, make_refusal
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.model.native import DEFAULT_MAX_BUCKETS, DEFAULT_ZERO_THRESHOLD

__all__ = ("Histogram", "exponential_buckets", "linear_buckets")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class _HistogramOperations(Resolver[HistogramChild], HistogramChild):
    __slots__ = ()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation; see `HistogramChild.observe`."""
        self._resolve().observe(amount, exemplar)


class _ContextHistogram(ContextChild[HistogramChild], _HistogramOperations):
    __slots__ = ()


class Histogram(
    MetricBase[
        HistogramChild,
        Iterable[float | str],
        NoReturn,
        NoReturn,
        bool,
        bool | int,
        float | None,
        ExemplarSource | None,
    ],
    _HistogramOperations,
):
    """Counts of observations by size, from which the server computes quantiles over many instances.

    ``buckets`` are the upper bounds in increasing order; ``+Inf`` is added. The default bounds suit seconds
    (OpenTelemetry's semantic conventions for HTTP). For the other arguments see `MetricBase`.

    ``native=True`` adds a native histogram, whose buckets need no choice: it has 32 for each power of two. A number
    from -4 to 8 instead of True is the *schema*: 2 to the power of it is the number of buckets for each power of two.
    The classic buckets stay beside it; ``buckets=()`` leaves them out, and the text formats then have the count, the
    sum and the bucket ``+Inf`` only. Observations from ``-zero_threshold`` to ``zero_threshold`` belong to the zero
    bucket. Each child makes the buckets that its observations need. With one more than ``max_buckets`` (None: no
    limit), it does the first of these that is possible, as client_golang does:

    1. It starts again from zero, if its last start was ``min_reset_seconds`` ago or more (0: never). Otherwise the
       child does so later, at the first new bucket or reading after that time. Workers that share their metrics never
       do it: the sum of all would fall by a part only, which a server takes for a restart of all.
    2. It widens the zero bucket by the bucket that is nearest to zero, up to ``max_zero_threshold`` (0: never).
    3. It halves its resolution, as far as schema -4.

        >>> from asyncmetrics import CollectorRegistry, Histogram
        >>> registry = CollectorRegistry()
        >>> latency = Histogram("request_latency_seconds", "Latency.", buckets=[0.1, 1], registry=registry)
        >>> latency.observe(0.3)
        >>> registry.get_sample_value("request_latency_seconds_bucket", {"le": "1.0"})
        1.0
    """

    DEFAULT_BUCKETS: ClassVar[tuple[float, ...]] = (*_SECONDS, inf)
    """The bounds of a histogram that is declared without ``buckets``: from 5 ms to 10 s."""
    _kind: ClassVar[DeclaredKind] = "histogram"
    _operations: ClassVar[tuple[str, ...]] = ("observe", "recorder", "closed_recorder")
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextHistogram

    def _make_shape(
        self,
        name: str,
        *,
        buckets: Iterable[float | str] = DEFAULT_BUCKETS,
        per_worker: bool = False,
        native: bool | int = False,
        max_buckets: float | None = DEFAULT_MAX_BUCKETS,
        zero_threshold: float | None = DEFAULT_ZERO_THRESHOLD,
        max_zero_threshold: float | None = 0.0,
        min_reset_seconds: float | None = 0.0,
        exemplars: ExemplarSource | None = None,
    ) -> Shape:
        check_flag("per_worker", per_worker, name)
        limits = {
            "max_buckets": max_buckets,
            "zero_threshold": zero_threshold,
            "max_zero_threshold": max_zero_threshold,
            "min_reset_seconds": min_reset_seconds,
        }
        options = make_native_options(name, native, limits)
        bounds = _to_bounds(name, buckets, is_native=options is not None)
        return Shape(buckets=bounds, per_worker=per_worker, native=options, exemplars=find_provider(exemplars, name))


def _to_bounds(name: str, buckets: Iterable[float | str], *, is_native: bool = False) -> tuple[float, ...]:
    expected = "a list of numbers in increasing order, such as [0.1, 1, 10]"
    given = list_items("buckets", buckets, expected, name)
    try:
        bounds = [float(bound) for bound in given]  # type: ignore[arg-type]  # the call is the check
    except (TypeError, ValueError):
        raise make_refusal("buckets", expected, list(given), owner=name) from None
    if not bounds or bounds[-1] != inf:
        bounds.append(inf)
    if (len(bounds) == 1 and not is_native) or not all(low < high for low, high in pairwise(bounds)):
        remedy = "" if given else "a histogram without classic buckets needs native=True"
        raise make_refusal("buckets", f"{expected}, at least one of them finite", list(given), remedy, name)
    return tuple(bounds)


def linear_buckets(start: float, width: float, count: int) -> list[float]:
    """Return the upper bounds of ``count`` buckets: ``start``, then each ``width`` above the one before.

    Raises `DefinitionError` for a count below 1 or a width that is not positive.
    """
    _check_bucket("linear_buckets", "start", start, -inf, "a finite number")
    _check_bucket("linear_buckets", "width", width, 0, "a finite number above 0")
    check_limit("count", count, "linear_buckets")
    return _make_bounds("linear_buckets", lambda index: start + width * index, count)


def exponential_buckets(start: float, factor: float, count: int) -> list[float]:
    """Return the upper bounds of ``count`` buckets: ``start``, then each ``factor`` times the one before.

    Raises `DefinitionError` for a count below 1, a start that is not positive or a factor that is not above 1.
    """
    _check_bucket("exponential_buckets", "start", start, 0, "a finite number above 0")
    _check_bucket("exponential_buckets", "factor", factor, 1, "a finite number above 1")
    check_limit("count", count, "exponential_buckets")
    return _make_bounds("exponential_buckets", lambda index: start * factor**index, count)


def _check_bucket(function: str, argument: str, value: float, above: float, expected: str) -> None:
    try:
        is_right = isfinite(value) and value > above
    except (TypeError, ValueError, OverflowError):
        is_right = False
    if not is_right:
        raise make_refusal(argument, expected, value, owner=function)


def _make_bounds(function: str, make_bound: Callable[[int], float], count: int) -> list[float]:
    try:
        bounds = [make_bound(index) for index in range(count)]
        is_right = isfinite(bounds[-1])
    except OverflowError:  # of the power, or of an int that no double can hold
        is_right, bounds = False, []
    if not is_right:
        raise DefinitionError(function, "expected bounds that are finite: choose a smaller count")
    return bounds
