"""One collection: what to ask, sync or async, and putting together what comes back.

*Theory of operation.* A `Collection` names the collectors to ask and takes their answers one family at a time, so that
whoever drives it decides where a collector runs, how long it may take, and how much is done at once.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from itertools import islice
from typing import Protocol, TypeAlias, final

from asyncmetrics.errors import DefinitionError, is_cancellation, show
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import UNDERSCORES, escape_name
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry.self_metrics import SelfMetrics

__all__ = (
    "MAX_FAMILIES",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorResult",
    "Families",
    "Outcome",
    "ask_collector",
    "ask_families",
    "awaited",
    "begin_collection",
    "check_registry",
    "claimed_names",
    "close_awaitable",
    "finite",
    "is_fault",
)

MAX_FAMILIES = 100_000
"""How many families one collector may yield at a time: one that never ends has to end somewhere."""

CollectorResult: TypeAlias = Iterable[Metric] | Awaitable[Iterable[Metric]] | AsyncIterable[Metric]
Outcome: TypeAlias = list[Metric] | BaseException
"""What a collector came back with: its families, or why there are none."""

Failed: TypeAlias = Callable[["Collector", BaseException], None]


class Collector(Protocol):
    """Something that yields metric families when asked.

    `collect` may be a function, a generator, a coroutine function or an async generator. It is called at every scrape,
    maybe from several threads at once, and owns nothing of what it has yielded. It may also have

    * ``describe()``, which returns families without samples: what it will yield, to be checked at registration;
    * ``blocking = False``, which says that a sync `collect` never waits for anything: a scrape that is served by an
      event loop then calls it there, and not in a thread of its own.
    """

    def collect(self) -> CollectorResult:
        """Yield the families of this moment."""
        ...


class Collectable(Protocol):
    """A registry, or a part of one: what can be collected from synchronously and on an event loop."""

    def collect(self) -> Iterable[Metric]:
        """Yield every family once."""
        ...

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once, awaiting the collectors that are async."""
        ...

    @property
    def _self_metrics(self) -> SelfMetrics: ...

    def _begin(self, on_error: str = "skip") -> Collection: ...


def check_registry(registry: object) -> None:
    """Raise `DefinitionError` unless ``registry`` is one of ours, or a part of one."""
    if not isinstance(getattr(registry, "_self_metrics", None), SelfMetrics):
        raise DefinitionError(
            "registry", f"expected a CollectorRegistry of asyncmetrics, got {show(registry)}{_hint(registry)}"
        )


def begin_collection(registry: Collectable, on_error: str = "skip") -> Collection:
    """Begin a collection of ``registry`` in which the caller asks the collectors, as the expositions do.

    ``on_error`` is ``"skip"`` or ``"fail"``; see `CollectorRegistry.collect_async`.
    """
    return registry._begin(on_error)


def claimed_names(family: Metric) -> frozenset[str]:
    """Return what ``family`` calls itself and its samples, as a server that allows the fewest characters sees it."""
    suffixes = KINDS[family.type].suffixes if family.type in KINDS else ()  # a collector may have overwritten it
    names = (family.name, *(family.name + suffix for suffix in suffixes))
    return frozenset(escape_name(name, UNDERSCORES) for name in names)


def finite(families: Iterable[Metric]) -> list[Metric]:
    """Return all families, or raise ValueError where there are more than `MAX_FAMILIES`."""
    found = list(islice(families, MAX_FAMILIES + 1))
    if len(found) > MAX_FAMILIES:
        raise ValueError(f"expected at most {MAX_FAMILIES} families of one collector, got more")
    return found


def is_fault(error: BaseException) -> bool:
    """Return whether ``error`` is a fault of the code that raised it, and no request to that code to stop.

    A `SystemExit` is a fault: a collector is not to end the program that is being scraped.
    """
    return not (isinstance(error, (KeyboardInterrupt, GeneratorExit)) or is_cancellation(error))


def close_awaitable(result: object) -> None:
    """Close what nobody will await (any more), if it is something to await."""
    close = getattr(result, "close", None)
    if isinstance(result, Awaitable) and callable(close):
        close()


async def awaited(result: CollectorResult, pause: Callable[[], Awaitable[object]] | None = None) -> list[Metric]:
    """Return what a collector has yielded, awaiting it on the event loop that is running where it is async.

    ``pause`` is awaited after each family of an async generator, which may otherwise never give the loop its turn.
    """
    if isinstance(result, AsyncIterable):
        return await _listed(result, pause)
    return finite(await result if isinstance(result, Awaitable) else result)


async def _listed(families: AsyncIterable[Metric], pause: Callable[[], Awaitable[object]] | None) -> list[Metric]:
    found = []
    try:
        async for family in families:
            found.append(family)
            if len(found) > MAX_FAMILIES:
                break
            if pause is not None:
                await pause()
    finally:
        if isinstance(families, AsyncGenerator):
            await families.aclose()
    return finite(found)


def ask_families(collector: Collector) -> list[Metric]:
    """Ask in this thread; what is async runs in a private loop on a thread of its own, whatever loop runs in this."""
    result = collector.collect()
    if not isinstance(result, (AsyncIterable, Awaitable)):
        return finite(result)
    families: list[Metric] = []
    errors: list[BaseException] = []

    import asyncio  # 22 ms, and only a collector that is async needs it

    def work() -> None:
        try:
            families.extend(asyncio.run(awaited(result)))
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(work,), name="asyncmetrics-collect")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return families


def ask_collector(collector: Collector) -> Outcome:
    """Ask in this thread, and return the families or why there are none.

    Nothing is awaited here, so even what says that a task is cancelled is only something that the collector raised.
    """
    try:
        return ask_families(collector)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # one collector must not cost the others their scrape
        return error


class LastCollector(Collector, Protocol):
    """What a registry tells of itself."""

    def prepare(self) -> Iterator[None]:
        """Do what `collect` takes long for, a moment's work at each step."""
        ...


@final
class Collection:
    """A collection under way: ask every one of ``collectors``, hand over what comes back, then take the `families`.

    ``last`` is asked at the end, when everything that could fail has. ``names`` are the samples that are wanted.
    """

    def __init__(
        self, collectors: Iterable[Collector], failed: Failed, last: LastCollector, names: frozenset[str] | None = None
    ) -> None:
        self.collectors = list(collectors)
        self._failed = failed
        self._last = last
        self._names = names
        self._families = Families()

    def add(self, collector: Collector, family: Metric) -> None:
        """Take a family that ``collector`` has yielded."""
        problem = self._families.add(family)
        if problem:
            self.fail(collector, ValueError(problem))

    def fail(self, collector: Collector, error: BaseException) -> None:
        """Take note that ``collector`` failed; raises `CollectorError` where the caller wanted to hear of it."""
        self._failed(collector, error)

    def take(self, collector: Collector, outcome: Outcome) -> Iterator[None]:
        """Take what ``collector`` came back with, a family at each step."""
        if isinstance(outcome, BaseException):
            self.fail(collector, outcome)
            return
        for family in outcome:
            self.add(collector, family)
            yield

    def ask(self, collector: Collector) -> None:
        """Ask ``collector`` in this thread and take what it yields."""
        for _ in self.take(collector, ask_collector(collector)):
            pass

    async def ask_async(self, collector: Collector) -> None:
        """Ask ``collector`` on the event loop that is running and take what it yields."""
        outcome: Outcome
        try:
            outcome = await awaited(collector.collect())
        except BaseException as error:
            if not is_fault(error):
                raise
            outcome = error
        for _ in self.take(collector, outcome):
            pass

    def prepare(self) -> Iterator[None]:
        """Do what `families` takes long for, a moment's work at each step; it does what is left of it."""
        return self._last.prepare()

    def families(self) -> list[Metric]:
        """Return every family once, in the order in which they came."""
        self.ask(self._last)
        return self._families.all() if self._names is None else self._families.restricted(self._names)


@final
class Families:
    """The families of one collection, each name once, in the order in which they came."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._unions: dict[str, _Union] = {}
        self._claims: dict[str, str] = {}

    def add(self, family: Metric) -> str | None:
        """Add a family, or the samples it has besides those of its name; return what is wrong if it cannot be."""
        if not isinstance(family, Metric):
            return f"expected a metric family, got {show(family)}{_hint(family)}"
        key = escape_name(family.name, UNDERSCORES)
        before = self._families.get(key)
        if before is not None and (before.name, before.type) == (family.name, family.type):
            return self._join(key, before, family)
        names = claimed_names(family)
        taken = sorted(name for name in names if name in self._claims)
        if taken:
            return f"{family.type} {family.name!r} is left out: {taken} belongs to {self._claims[taken[0]]}"
        self._claims.update(dict.fromkeys(names, f"{family.type} {family.name!r}"))
        self._families[key] = family
        return None

    def _join(self, key: str, before: Metric, family: Metric) -> str | None:
        try:
            union = self._unions.get(key)
            if union is None:
                union = _Union(before)
            union.add(family)
        except Exception as error:  # noqa: BLE001  # samples may be anything
            return f"{family.type} {family.name!r} is left out, as its samples cannot be compared: {show(error)}"
        self._unions[key] = union
        self._families[key] = union.family
        return None

    def restricted(self, names: frozenset[str]) -> list[Metric]:
        """Return what is left of the families when only the samples (or families) called ``names`` are wanted."""
        return [part for part in (family.restricted(names) for family in self._families.values()) if part]

    def all(self) -> list[Metric]:
        """Return the families."""
        return list(self._families.values())


def _hint(family: object) -> str:
    if not type(family).__module__.startswith("prometheus_client."):
        return ""
    return ": wrap its collector in asyncmetrics.bridges.prometheus_client.PrometheusClientCollector"


@final
class _Union:
    """A family put together from several of one name: where two have the same series, the first one stands."""

    def __init__(self, first: Metric) -> None:
        self.family = Metric(first.name, first.documentation, first.type, first.unit)
        self._seen: set[object] = set()
        self.add(first)

    def add(self, family: Metric) -> None:
        """Add the samples whose series are new, in time that the samples before have no part in."""
        fresh: dict[object, Sample] = {}
        for sample in family.samples:
            series = (sample.name, *sorted(sample.labels.items()))
            if series not in self._seen:
                fresh.setdefault(series, sample)
        self._seen.update(fresh)
        self.family.samples += fresh.values()
