"""One collection: ask the collectors, sync or async, and merge the families that they return.

*Theory of operation.*

1. A registry makes a `Collection`. It has the list of collectors to ask, and no family yet except
   ``target_info``.
2. The caller asks the sources of each collector (`Collection.list_sources`), in this thread, in another or on an event
   loop, and so decides how long one may take. It passes the outcomes to `Collection.take`, which checks and adds the
   families in short steps. The collection then has the families of that collector, and has counted what failed.
3. The caller runs the steps of `Collection.prepare`: the slow part of what remains.
4. `Collection.finish` asks the registry itself for the self-metrics, last, since the collectors may have failed until
   then. It returns every family once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast, final

from asyncmetrics.asking import Outcome, Source, ask_now
from asyncmetrics.children.callbacks import Callback
from asyncmetrics.errors import is_cancellation, show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.family import LiveFamily, Metric, copy_family
from asyncmetrics.model.kinds import list_family_names
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry.checking import LeftOut, check_family, find_family_problem
from asyncmetrics.registry.sources import Collector, CollectorSource, Registration, has_callbacks

__all__ = (
    "Collection",
    "FailureHandler",
    "FamilySet",
    "is_fault",
    "list_names",
)

_Outcomes: TypeAlias = "Sequence[tuple[Source[Any], Outcome[Any]]]"
FailureHandler: TypeAlias = Callable[[Collector, BaseException], None]


def list_names(family: Metric) -> frozenset[str]:
    """Return the names of ``family`` and of its samples, as a server that allows the fewest characters sees them."""
    return list_family_names(family.name, family.type)


def is_fault(error: BaseException) -> bool:
    """Return whether ``error`` is a fault of the code that raised it, and not a request to stop that code.

    A `SystemExit` is a fault, since a collector must not end the program that is scraped.
    """
    return not (isinstance(error, (KeyboardInterrupt, GeneratorExit)) or is_cancellation(error))


class LastCollector(Collector, Protocol):
    """The collector that is asked last: the self-metrics of a registry."""

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time."""
        ...


@final
class Collection:
    """A collection in progress: ask all ``collectors``, `take` their outcomes, then `finish`.

    ``collectors`` has them with their registrations. ``last`` is asked at the end, since it counts the failures of the
    others. ``names`` restricts the samples.
    """

    def __init__(
        self,
        collectors: Mapping[Collector, Registration],
        on_failure: FailureHandler,
        last: LastCollector,
        names: frozenset[str] | None = None,
    ) -> None:
        self.collectors = list(collectors)
        self._registrations = collectors
        self._on_failure = on_failure
        self._last = last
        self._names = names
        self._families = FamilySet()

    def add(self, collector: Collector, family: Metric) -> None:
        """Add a family that ``collector`` has yielded."""
        problem = self._families.add(family)
        if problem:
            self.fail(collector, LeftOut(problem))

    def fail(self, collector: Collector, error: BaseException) -> None:
        """Count a failure of ``collector``. Raises `CollectorError` in a collection with ``on_error="fail"``."""
        self._on_failure(collector, error)

    def list_sources(self, collector: Collector) -> Sequence[Source[Any]]:
        """Return what to ask for ``collector``: the functions of a gauge, or the collector itself."""
        if has_callbacks(collector):
            return collector.list_callbacks()
        return (CollectorSource(collector, self._registrations[collector].home),)

    def take(self, collector: Collector, outcomes: _Outcomes) -> Generator[None, None, None]:
        """Add the families of ``collector`` in short steps, and count what has failed or cannot be exposed.

        ``outcomes`` are those of all its sources.
        """
        if has_callbacks(collector):
            for callback, outcome in outcomes:
                problem = cast(Callback, callback).take(outcome)
                if problem is not None:
                    self.fail(collector, problem)
                yield
            self.add(collector, collector.make_family())
            return
        ((_, outcome),) = outcomes
        if isinstance(outcome, BaseException):
            self.fail(collector, outcome)
            return
        for family in outcome:
            checked, rest = yield from check_family(family)
            if rest:
                self.fail(collector, LeftOut(rest))
            if checked is not None:
                self.add(collector, checked)
            yield

    def take_all(self, collector: Collector, outcomes: _Outcomes) -> None:
        """Do all steps of `take` at once."""
        for _ in self.take(collector, outcomes):
            pass

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `finish`, a short step at a time; `finish` does the steps that are left."""
        return self._last.prepare()

    def finish(self) -> list[Metric]:
        """Ask the last collector, and return every family once, in the order in which they were added."""
        source = CollectorSource(self._last, None)
        self.take_all(self._last, [(source, ask_now(source))])
        return self._families.list_all() if self._names is None else self._families.restrict(self._names)


@final
class FamilySet:
    """The families of one collection, each name once, in the order in which they were added."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._unions: dict[str, _Union] = {}
        self._claims: dict[str, str] = {}

    def add(self, family: Metric) -> str | None:
        """Add a family, or its new samples to the family of its name; return the problem if neither is possible."""
        problem = find_family_problem(family)
        if problem:
            return problem
        if isinstance(family, LiveFamily) and family.replaces and not self._remove_replaced(family):
            return None
        key = escape_name(family.name, UNDERSCORES)
        before = self._families.get(key)
        if before is not None and (before.name, before.type) == (family.name, family.type):
            return self._merge(key, before, family)
        names = list_names(family)
        taken = sorted(name for name in names if name in self._claims)
        if taken:
            return f"{family.type} {family.name!r} is not exposed: {taken} belongs to {self._claims[taken[0]]}"
        self._claims.update(dict.fromkeys(names, f"{family.type} {family.name!r}"))
        self._families[key] = family
        return None

    def _remove_replaced(self, family: LiveFamily) -> bool:
        """Remove the families that ``family`` replaces, and return whether to add it.

        It is not added if it only has another text or mode for a metric that is not in this collection.
        """
        replaced = {
            key: before
            for key, before in self._families.items()
            if isinstance(before, LiveFamily) and any(before.descriptor is one for one in family.replaces)
        }
        for key, before in replaced.items():
            del self._families[key]
            for name in list_names(before):
                self._claims.pop(name, None)
        family.has_created = family.descriptor.has_created and any(one.has_created for one in replaced.values())
        return bool(replaced) or family.descriptor not in family.replaces

    def _merge(self, key: str, before: Metric, family: Metric) -> str | None:
        try:
            union = self._unions.get(key)
            if union is None:
                union = _Union(before)
            union.add(family)
        except Exception as error:  # noqa: BLE001  # samples may be anything
            pass_interruption(error)
            return f"{family.type} {family.name!r} is not exposed: its samples cannot be compared: {show(error)}"
        self._unions[key] = union
        self._families[key] = union.family
        return None

    def restrict(self, names: frozenset[str]) -> list[Metric]:
        """Return the families with only the samples, or whole families, called one of ``names``."""
        parts = (family.restrict(names) for family in self._families.values())
        return [part for part in parts if part]

    def list_all(self) -> list[Metric]:
        """Return the families."""
        return list(self._families.values())


@final
class _Union:
    """A family merged from several of one name: of two samples of one series, the first one counts."""

    def __init__(self, first: Metric) -> None:
        self.family = copy_family(first, [])
        self._seen: set[object] = set()
        self.add(first)

    def add(self, family: Metric) -> None:
        """Add the samples whose series are new, in a time that does not grow with the samples before."""
        fresh: dict[object, Sample] = {}
        for sample in family.samples:
            series = (sample.name, *sorted(sample.labels.items()))
            if series not in self._seen:
                fresh.setdefault(series, sample)
        self._seen.update(fresh)
        self.family.samples += fresh.values()
