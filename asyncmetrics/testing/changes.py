"""`MetricChanges`: by how much the metrics of a registry have changed since a moment, for assertions in tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isclose, isnan
from typing import NamedTuple, Protocol, final

from asyncmetrics.errors import show, suggest
from asyncmetrics.model.checks import check_text, make_refusal
from asyncmetrics.registry import REGISTRY
from asyncmetrics.testing.native import list_changed_buckets
from asyncmetrics.testing.series import (
    Series,
    SupportsSamples,
    make_series,
    read_natives,
    read_values,
    show_labels,
    show_value,
)

__all__ = ("Change", "MetricChanges", "SupportsCollect")

_MOST_CHANGES = 20  # in a message
_MOST_SERIES = 8  # of one metric in a message
_SAMPLES = ("_bucket", "_count", "_sum")

# What changes without the code under test.
_BACKGROUND = ("process_", "python_gc_", "asyncmetrics_")


class SupportsCollect(Protocol):
    """A registry: one of ours, a part of one, or one of prometheus_client."""

    def collect(self) -> Iterable[SupportsSamples]:
        """Yield every family."""
        ...


@final
class Change(NamedTuple):
    """A sample whose value is another one than before; one that was or is absent counts as 0."""

    name: str
    labels: dict[str, str]
    before: float
    after: float

    @property
    def delta(self) -> float:
        """By how much the value has grown; negative if it has shrunk."""
        return 0.0 if _is_same(self.before, self.after) else self.after - self.before

    def __str__(self) -> str:
        figures = f"from {show_value(self.before)} to {show_value(self.after)}"
        sign = "+" if self.delta > 0 else ""
        return f"{make_series(self.name, self.labels)}  {sign}{show_value(self.delta)} ({figures})"


@final
class MetricChanges:
    """By how much each sample of ``registry`` has changed since this object was made, or since `reset`.

    Metrics of a module go on counting from test to test. This compares two moments, so nothing has to be reset, and the
    tests can run in any order.

    Names are those of samples, as they are exposed: ``jobs_total``, ``fetch_seconds_count``, ``fetch_seconds_bucket``
    with the label ``le``. A native histogram has the name of the metric, ``fetch_seconds``, and its count is the value.
    The labels are all labels of the sample, those of the context included; a label with an empty value may be left out.
    A sample that does not exist counts as 0.

    Each call collects the whole registry, which calls custom collectors and the functions of gauges. It may also be a
    registry of prometheus_client. Raises `DefinitionError` for an object without a method ``collect``.

    >>> from asyncmetrics import CollectorRegistry, Counter
    >>> registry = CollectorRegistry()
    >>> jobs = Counter("jobs_total", "Jobs run.", ["kind"], registry=registry)
    >>> changes = MetricChanges(registry)
    >>> jobs.labels("mail").inc()
    >>> changes.assert_delta("jobs_total", 1, kind="mail")
    >>> changes.delta("jobs_total", kind="invoice")
    0.0
    """

    def __init__(self, registry: SupportsCollect = REGISTRY) -> None:
        if isinstance(registry, type) or not callable(getattr(registry, "collect", None)):
            raise make_refusal("registry", "a registry, an object with a method collect()", registry)
        self._registry = registry
        self._others: list[MetricChanges] = []
        self.reset()

    def of(self, registry: SupportsCollect) -> MetricChanges:
        """Return the changes of another registry since the first call with it: make that call before the code runs."""
        for other in (self, *self._others):
            if other._registry is registry:
                return other
        other = MetricChanges(registry)
        self._others.append(other)
        return other

    def reset(self) -> None:
        """Count changes from now on, those of the registries given to `of` as well."""
        families = list(self._registry.collect())
        self._before, self._natives = read_values(families), read_natives(families)
        for other in self._others:
            other.reset()

    def delta(self, name: str, /, **labels: object) -> float:
        """Return by how much the sample has changed: 0.0 if it does not exist."""
        return self._find(name, labels)[1].delta

    def assert_delta(self, name: str, expected: object, /, **labels: object) -> None:
        """Raise `AssertionError` unless the sample has changed by ``expected``, a number or a ``pytest.approx(…)``.

        The message lists what did change. Raises `DefinitionError` for an ``expected`` that no number can equal.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        if expected is None or isinstance(expected, (str, bytes, dict)):
            raise make_refusal("expected", "a number or pytest.approx(…)", expected)
        after, change = self._find(name, labels)
        if change.delta != expected:
            raise AssertionError("\n".join(self._explain(change, expected, after)))

    def list_changes(self) -> list[Change]:
        """Return every sample whose value is another one now, in the order of the exposition."""
        return list(_compare(self._before, read_values(self._registry.collect())))

    def read_buckets(self, name: str, /, **labels: object) -> dict[tuple[float, float], float]:
        """Return by how much the buckets of a native histogram have grown, by their lower and upper bounds.

        Buckets without a change are left out. ``name`` is that of the metric; the result is empty if it has no native
        histogram.
        """
        check_text("name", name, "fetch_seconds")
        series = make_series(name, labels)
        before, after = self._natives.get(series), read_natives(self._registry.collect()).get(series)
        return {} if after is None else list_changed_buckets(before, after)

    def _find(self, name: str, labels: dict[str, object]) -> tuple[dict[Series, float], Change]:
        check_text("name", name, "jobs_total")
        series = make_series(name, labels)
        after = read_values(self._registry.collect())
        return after, Change(name, dict(series.labels), self._before.get(series, 0.0), after.get(series, 0.0))

    def _explain(self, change: Change, expected: object, after: dict[Series, float]) -> Iterator[str]:
        series = make_series(change.name, change.labels)
        text = show_value(expected) if isinstance(expected, float) else show(expected)
        known = {**self._before, **after}
        if series in known:
            figures = f"from {show_value(change.before)} to {show_value(change.after)}"
            yield f"{series}: expected a change of {text}, got {show_value(change.delta)} ({figures})"
            if isinstance(expected, (int, float)) and isclose(change.delta, expected, abs_tol=1e-9):
                yield f"The numbers are floats: expect pytest.approx({text})."
        else:
            yield f"{series}: expected a change of {text}, but there is no such sample{_advise(series, known)}"
        yield from _list_relevant(change.name, list(_compare(self._before, after)))


def _is_same(before: float, after: float) -> bool:
    """Return whether two values are equal; infinity and NaN are, though their difference is not 0."""
    return before == after or (isnan(before) and isnan(after))


def _compare(before: dict[Series, float], after: dict[Series, float]) -> Iterator[Change]:
    for series in {**before, **after}:
        old, new = before.get(series, 0.0), after.get(series, 0.0)
        if not _is_same(old, new):
            yield Change(series.name, dict(series.labels), old, new)


def _advise(series: Series, known: Iterable[Series]) -> str:
    """Return what there is instead: samples of this name, or names like this one."""
    if "{" in series.name:
        return ': give its labels as keyword arguments, such as kind="a"'
    same = [one for one in known if one.name == series.name]
    if not same:
        names = sorted({one.name for one in known})
        longer = [name for name in names if name.startswith(f"{series.name}_")]
        own = [name for name in longer if name.removeprefix(series.name) in _SAMPLES]
        if len(own) > 1:
            return f": the samples of {series.name} are {', '.join(map(show, own))}"
        return f"; did you mean {longer[-1]!r}?" if len(longer) == 1 else suggest(series.name, longer or names)
    names = sorted({name for one in same for name, _ in one.labels})
    if names != [name for name, _ in series.labels]:
        return f": the labels of {series.name} are {', '.join(map(show, names))}" if names else ": it has no labels"
    shown = ", ".join(show_labels(one.labels) for one in same[:_MOST_SERIES])
    rest = f" and {len(same) - _MOST_SERIES} more" if len(same) > _MOST_SERIES else ""
    return f"; {series.name} has {shown}{rest}"


def _list_relevant(name: str, changes: list[Change]) -> Iterator[str]:
    """Yield the changes, those of the same name first, without buckets unless a bucket is asked for."""
    relevant = [
        change
        for change in changes
        if change.name == name or not (change.name.endswith("_bucket") or change.name.startswith(_BACKGROUND))
    ]
    relevant.sort(key=lambda change: (change.name != name, not _is_near(change.name, name)))
    yield "What did change:" if relevant else "Nothing did change."
    yield from (f"  {change}" for change in relevant[:_MOST_CHANGES])
    if len(relevant) > _MOST_CHANGES:
        yield f"  … and {len(relevant) - _MOST_CHANGES} more: list_changes() returns all"


def _is_near(name: str, wanted: str) -> bool:
    return name.partition("_")[0] == wanted.partition("_")[0]
