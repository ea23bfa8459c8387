"""The sources of a collector, which a collection asks: the collector itself, or the functions of a gauge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard, TypeVar, cast, final

from asyncmetrics.asking import Source, is_async_function
from asyncmetrics.children.callbacks import Callback
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop, pause
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric

__all__ = (
    "MAX_FAMILIES",
    "CallbackCollector",
    "Collector",
    "CollectorResult",
    "CollectorSource",
    "LiveCollector",
    "Registration",
    "RegistryCollector",
    "await_families",
    "get_collector_name",
    "has_callbacks",
    "limit_families",
)

T = TypeVar("T")

MAX_FAMILIES = 100_000
"""The number of families that one collector may yield: the limit ends a generator that never ends."""

CollectorResult: TypeAlias = Iterable[Metric] | Awaitable[Iterable[Metric]] | AsyncIterable[Metric]


class Collector(Protocol):
    """An object that yields metric families at every scrape.

    `collect` may be a function, a generator, a coroutine function or an async generator. Several threads may call it at
    once. It must not change a family after it has yielded it. A collector may also have

    * ``describe()``, which returns the families that it will yield, without samples; the registry checks their names at
      registration, and never calls `collect` for that;
    * ``blocking = False``, which promises that a sync `collect` never blocks: a scrape on an event loop then calls it
      there and not in a separate thread.
    """

    def collect(self) -> CollectorResult:
        """Yield the families of this moment."""
        ...


@final
class Registration(NamedTuple):
    """What the registry knows of a collector: its names, none if it describes none, and its home loop."""

    names: frozenset[str]
    home: HomeLoop | None


class CallbackCollector(ABC):
    """A metric: a collection asks its functions first, if it has some, and then makes its family."""

    __slots__ = ()

    @abstractmethod
    def collect(self) -> Iterable[Metric] | Awaitable[Iterable[Metric]]:
        """Ask the functions and return the family, for other callers than a collection."""

    @abstractmethod
    def list_callbacks(self) -> Sequence[Callback]:
        """Return the functions to ask."""

    @abstractmethod
    def make_family(self) -> Metric:
        """Return the family with the present numbers."""

    @property
    @abstractmethod
    def has_own_collect(self) -> bool:
        """Whether a program has overridden ``collect``: a collection then calls that, as for any collector."""


class LiveCollector(ABC):
    """A collector that has live families for a collection, which renders them in steps, and plain ones for programs."""

    @abstractmethod
    def collect(self) -> Iterable[Metric]:
        """Yield plain families."""

    @abstractmethod
    def collect_live(self) -> Iterable[Metric]:
        """Return the same families, live."""

    @property
    @abstractmethod
    def has_own_collect(self) -> bool:
        """Whether a program has overridden ``collect``: a collection then calls that, as for any collector."""


def has_callbacks(collector: object) -> TypeGuard[CallbackCollector]:
    """Return whether a collection asks the functions of ``collector`` and not its ``collect``."""
    return isinstance(collector, CallbackCollector) and not collector.has_own_collect


@final
class RegistryCollector:
    """An object with a method ``collect`` that a program exposes as a registry, as the collector of a collection.

    Two of them are equal if they are for the same registry and the same ``names``: a scrape then does not call what an
    earlier scrape still waits for. With ``names`` they are passed to the registry's own ``restricted_registry``.
    """

    def __init__(self, registry: Any, names: frozenset[str] | None = None) -> None:
        self.registry = registry
        self.names = names

    def collect(self) -> CollectorResult:
        """Call ``collect`` of the registry, or of its part."""
        registry = self.registry if self.names is None else self.registry.restricted_registry(self.names)
        result: CollectorResult = registry.collect()
        return result

    @property
    def is_async(self) -> bool:
        """Whether ``collect`` of the registry is declared async."""
        return self.names is None and is_async_function(self.registry.collect)

    @property
    def blocking(self) -> object:
        """Whether ``collect`` may block; a registry may promise that it does not."""
        return getattr(self.registry, "blocking", True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegistryCollector) and other.registry is self.registry and other.names == self.names

    def __hash__(self) -> int:
        return hash((id(self.registry), self.names))


def get_collector_name(collector: object) -> str:
    """Return what messages and the label ``collector`` call a collector: the metric, or its class."""
    descriptor = getattr(collector, "descriptor", None)  # one of the library's own metrics
    if isinstance(descriptor, Descriptor):
        return descriptor.name
    return type(collector.registry if isinstance(collector, RegistryCollector) else collector).__name__


@final
class CollectorSource(Source[list[Metric]]):
    """A collector with its home loop."""

    __slots__ = ("_collector", "_home")

    def __init__(self, collector: Collector, home: HomeLoop | None) -> None:
        self._collector = collector
        self._home = home

    @property
    def key(self) -> object:
        """The collector."""
        return self._collector

    @property
    def home(self) -> HomeLoop | None:
        """The loop that it was registered on."""
        return self._home

    @property
    def is_immediate(self) -> bool:
        """Whether the collector promises that a sync ``collect`` never waits for anything (``blocking = False``)."""
        try:
            return not getattr(self._collector, "blocking", True) and not self.is_async
        except Exception as error:  # noqa: BLE001  # ``blocking`` may be a property, and raise
            pass_interruption(error)
            return False

    @property
    def name(self) -> str:
        """The metric, or the class of the collector."""
        return get_collector_name(self._collector)

    @property
    def is_async(self) -> bool:
        """Whether ``collect`` is declared async."""
        collector = self._collector
        return collector.is_async if isinstance(collector, RegistryCollector) else is_async_function(collector.collect)

    def call(self) -> object:
        """Call ``collect``, or ``collect_live`` of a `LiveCollector`."""
        collector: object = self._collector
        if isinstance(collector, LiveCollector) and not collector.has_own_collect:
            return collector.collect_live()
        return self._collector.collect()

    def read(self, result: object) -> list[Metric]:
        """Return all families."""
        return limit_families(cast("Iterable[Metric]", result))

    async def wait(self, result: object) -> list[Metric]:
        """Return all families, awaited."""
        return await await_families(cast("CollectorResult", result))


def limit_families(families: Iterable[Metric]) -> list[Metric]:
    """Return all families. Raises ValueError if there are more than `MAX_FAMILIES`."""
    first = list(islice(families, MAX_FAMILIES + 1))
    if len(first) > MAX_FAMILIES:
        raise ValueError(f"expected at most {MAX_FAMILIES} families of one collector, got more")
    return first


async def await_families(result: CollectorResult) -> list[Metric]:
    """Return the families of ``result``; await it on the running event loop if it is async."""
    if isinstance(result, AsyncIterable):
        return await _await_each(result)
    return limit_families(await result if isinstance(result, Awaitable) else result)


async def _await_each(families: AsyncIterable[Metric]) -> list[Metric]:
    first: list[Metric] = []
    try:
        async for family in families:
            first.append(family)
            if len(first) > MAX_FAMILIES:
                break
            await pause()  # the generator may never wait for anything
    finally:
        if isinstance(families, AsyncGenerator):
            await families.aclose()
    return limit_families(first)
