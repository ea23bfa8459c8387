"""One collection: ask the collectors, sync or async, and merge the families that they return.

*Theory of operation.*

1. `begin_collection` returns a `Collection`. It has the list of collectors to ask, and no family yet except
   ``target_info``.
2. The caller asks each collector, in this thread, in another or on an event loop, and so decides how long one may take.
   It passes the outcome to `Collection.take`, which adds one family a step. The collection then has the families of
   that collector, or has counted its failure.
3. The caller runs the steps of `Collection.prepare`: the slow part of what remains.
4. `Collection.finish` asks the registry itself for the self-metrics, last, since the collectors may have failed until
   then. It returns every family once.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from itertools import islice
from typing import Protocol, TypeAlias, final

from asyncmetrics.errors import is_cancellation, show
from asyncmetrics.interruptions import is_interruption, pass_interruption
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS, list_family_names
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry.self_metrics import SelfMetrics

__all__ = (
    "MAX_FAMILIES",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorResult",
    "FailureHandler",
    "FamilySet",
    "Outcome",
    "ask_collector",
    "ask_families",
    "await_families",
    "begin_collection",
    "check_registry",
    "close_awaitable",
    "is_fault",
    "limit_families",
    "list_names",
)

_BRIDGE = "asyncmetrics.bridges.prometheus_client.PrometheusClientCollector"
MAX_FAMILIES = 100_000
"""The number of families that one collector may yield: the limit ends a generator that never ends."""

CollectorResult: TypeAlias = Iterable[Metric] | Awaitable[Iterable[Metric]] | AsyncIterable[Metric]
Outcome: TypeAlias = list[Metric] | BaseException
"""The families that a collector returned, or the exception that it raised."""

FailureHandler: TypeAlias = Callable[["Collector", BaseException], None]


class Collector(Protocol):
    """An object that yields metric families at every scrape.

    `collect` may be a function, a generator, a coroutine function or an async generator. Several threads may call it at
    once. It must not change a family after it has yielded it. A collector may also have

    * ``describe()``, which returns the families that it will yield, without samples; the registry checks their names at
      registration;
    * ``blocking = False``, which promises that a sync `collect` never blocks: a scrape on an event loop then calls it
      there and not in a separate thread.
    """

    def collect(self) -> CollectorResult:
        """Yield the families of this moment."""
        ...


class Collectable(Protocol):
    """A registry, or a restricted one: it can be collected in a thread and on an event loop."""

    def collect(self) -> Iterable[Metric]:
        """Yield every family once."""
        ...

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once; await the collectors that are async."""
        ...

    @property
    def _self_metrics(self) -> SelfMetrics: ...

    def _begin(self, on_error: str = "skip") -> Collection: ...


def check_registry(registry: object) -> None:
    """Raise `DefinitionError` unless ``registry`` is a registry of asyncmetrics, restricted or not."""
    if not isinstance(getattr(registry, "_self_metrics", None), SelfMetrics):
        raise make_refusal("registry", "a CollectorRegistry of asyncmetrics", registry, _advise(registry))


def _advise(registry: object) -> str:
    """Return what to write instead of ``registry``, which is no registry of this library, or an empty text."""
    if isinstance(registry, type):
        return "create one, CollectorRegistry(), or leave registry= out for the default one"
    if registry is None:
        return "leave registry= out for the default one"
    if not type(registry).__module__.startswith("prometheus_client."):
        return ""
    return (
        "change the import to 'from asyncmetrics import REGISTRY, CollectorRegistry'; "
        f"{_BRIDGE} exposes what is registered with prometheus_client"
    )


def begin_collection(registry: Collectable, on_error: str = "skip") -> Collection:
    """Begin a collection of ``registry`` in which the caller asks the collectors, as the expositions do.

    ``on_error`` is ``"skip"`` or ``"fail"``, as for `CollectorRegistry.collect_async`.
    """
    return registry._begin(on_error)


def list_names(family: Metric) -> frozenset[str]:
    """Return the names of ``family`` and of its samples, as a server that allows the fewest characters sees them."""
    return list_family_names(family.name, family.type if family.type in KINDS else "")  # a collector may overwrite it


def limit_families(families: Iterable[Metric]) -> list[Metric]:
    """Return all families. Raises ValueError if there are more than `MAX_FAMILIES`."""
    first = list(islice(families, MAX_FAMILIES + 1))
    if len(first) > MAX_FAMILIES:
        raise ValueError(f"expected at most {MAX_FAMILIES} families of one collector, got more")
    return first


def is_fault(error: BaseException) -> bool:
    """Return whether ``error`` is a fault of the code that raised it, and not a request to stop that code.

    A `SystemExit` is a fault, since a collector must not end the program that is scraped.
    """
    return not (isinstance(error, (KeyboardInterrupt, GeneratorExit)) or is_cancellation(error))


def close_awaitable(result: object) -> None:
    """Close ``result`` if it is an awaitable; without that, Python warns that a coroutine was never awaited."""
    close = getattr(result, "close", None)
    if isinstance(result, Awaitable) and callable(close):
        close()


async def await_families(result: CollectorResult, pause: Callable[[], Awaitable[object]] | None = None) -> list[Metric]:
    """Return the families of ``result``; await it on the running event loop if it is async.

    ``pause`` is awaited after each family of an async generator, which may otherwise never yield to the loop.
    """
    if isinstance(result, AsyncIterable):
        return await _await_each(result, pause)
    return limit_families(await result if isinstance(result, Awaitable) else result)


async def _await_each(families: AsyncIterable[Metric], pause: Callable[[], Awaitable[object]] | None) -> list[Metric]:
    first = []
    try:
        async for family in families:
            first.append(family)
            if len(first) > MAX_FAMILIES:
                break
            if pause is not None:
                await pause()
    finally:
        if isinstance(families, AsyncGenerator):
            await families.aclose()
    return limit_families(first)


def ask_families(collector: Collector) -> list[Metric]:
    """Return the families of ``collector``, asked in this thread; an async one gets its own thread and loop."""
    result = collector.collect()
    if not isinstance(result, (AsyncIterable, Awaitable)):
        return limit_families(result)
    families: list[Metric] = []
    errors: list[BaseException] = []

    import asyncio  # 22 ms, and only a collector that is async needs it

    def work() -> None:
        try:
            families.extend(asyncio.run(await_families(result)))
        except BaseException as error:  # noqa: BLE001  # the thread that waits raises it again
            errors.append(error)

    # asyncio.run() raises in a thread that runs a loop already. The copy of the context gives the collector the context
    # labels of the caller.
    thread = threading.Thread(target=copy_context().run, args=(work,), name="asyncmetrics-collect")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return families


def ask_collector(collector: Collector) -> Outcome:
    """Return the families of ``collector``, asked in this thread, or the exception that it raised.

    This function awaits nothing, so a `CancelledError` is the collector's own and not a cancellation of this task. An
    exception of a signal handler is for the program.
    """
    try:
        return ask_families(collector)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # one collector must not fail the scrape of the others
        pass_interruption(error)
        return error


class LastCollector(Collector, Protocol):
    """The collector that is asked last: the self-metrics of a registry."""

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time."""
        ...


@final
class Collection:
    """A collection in progress: ask all ``collectors``, `take` their outcomes, then `finish`.

    ``last`` is asked at the end, since it counts the failures of the others. ``names`` restricts the samples.
    """

    def __init__(
        self,
        collectors: Iterable[Collector],
        on_failure: FailureHandler,
        last: LastCollector,
        names: frozenset[str] | None = None,
    ) -> None:
        self.collectors = list(collectors)
        self._on_failure = on_failure
        self._last = last
        self._names = names
        self._families = FamilySet()

    def add(self, collector: Collector, family: Metric) -> None:
        """Add a family that ``collector`` has yielded."""
        problem = self._families.add(family)
        if problem:
            self.fail(collector, ValueError(problem))

    def fail(self, collector: Collector, error: BaseException) -> None:
        """Count a failure of ``collector``. Raises `CollectorError` in a collection with ``on_error="fail"``."""
        self._on_failure(collector, error)

    def take(self, collector: Collector, outcome: Outcome) -> Iterator[None]:
        """Add the families of ``collector``, one a step, or count its failure."""
        if isinstance(outcome, BaseException):
            self.fail(collector, outcome)
            return
        for family in outcome:
            self.add(collector, family)
            yield

    def ask(self, collector: Collector) -> None:
        """Ask ``collector`` in this thread and take the outcome."""
        for _ in self.take(collector, ask_collector(collector)):
            pass

    async def ask_async(self, collector: Collector) -> None:
        """Ask ``collector`` on the running event loop and take the outcome."""
        outcome: Outcome
        try:
            outcome = await await_families(collector.collect())
        except BaseException as error:
            if not is_fault(error) or is_interruption(error):
                raise
            outcome = error
        for _ in self.take(collector, outcome):
            pass

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `finish`, a short step at a time; `finish` does the steps that are left."""
        return self._last.prepare()

    def finish(self) -> list[Metric]:
        """Ask the last collector, and return every family once, in the order in which they were added."""
        self.ask(self._last)
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
        if not isinstance(family, Metric):
            return f"expected a metric family, got {show(family)}{_make_hint(family)}"
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


def _make_hint(family: object) -> str:
    if not type(family).__module__.startswith("prometheus_client."):
        return ""
    return f": wrap its collector in {_BRIDGE}"


@final
class _Union:
    """A family merged from several of one name: of two samples of one series, the first one counts."""

    def __init__(self, first: Metric) -> None:
        self.family = Metric(first.name, first.documentation, first.type, first.unit)
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
