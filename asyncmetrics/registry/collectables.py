"""What can be exposed: a registry of this library, or any other object with a method ``collect``.

*Rules.*

1. Ask the collectors of a registry of this library one by one (`CollectorRegistry` and `RestrictedRegistry`), unless a
   program has overridden its ``collect``: then that decides what is exposed.
2. Treat any other object as the only collector of a collection: its ``collect`` may be a function, a generator or
   async, may block, and may fail.
3. Count what happens to an object without self-metrics in those of the default registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeGuard

from asyncmetrics.asking import HOME_SECONDS
from asyncmetrics.errors import CollectorError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import check_choice
from asyncmetrics.model.family import Metric
from asyncmetrics.registry.checking import LeftOut
from asyncmetrics.registry.collection import Collection
from asyncmetrics.registry.drivers import collect_all
from asyncmetrics.registry.refusals import is_of_prometheus_client, refuse_registry
from asyncmetrics.registry.registry import REGISTRY, CollectorRegistry, RestrictedRegistry
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.registry.sources import (
    Collector,
    CollectorResult,
    Registration,
    RegistryCollector,
    get_collector_name,
)
from asyncmetrics.storage.leads import AlwaysLeader, Lead

__all__ = (
    "Collectable",
    "begin_collection",
    "check_registry",
    "collect_or_raise",
    "collect_within",
    "find_full_registry",
    "find_lead",
    "find_self_metrics",
    "select_part",
)

_OWN_CLASSES = (CollectorRegistry, RestrictedRegistry)


class Collectable(Protocol):
    """A registry, a restricted one, or any other object that yields families, such as a filter of a registry."""

    def collect(self) -> CollectorResult:
        """Yield every family once; may be a function, a generator, a coroutine function or an async generator."""
        ...


def check_registry(registry: object) -> None:
    """Raise `DefinitionError` unless ``registry`` can be exposed: unless it has a method ``collect``.

    A registry of prometheus_client has one, and is refused: its families are not those of this library.
    """
    if isinstance(registry, type) or is_of_prometheus_client(registry):
        raise refuse_registry(registry)
    try:
        is_collectable = callable(registry.collect)  # type: ignore[attr-defined]  # which is what is checked
    except Exception as error:  # noqa: BLE001  # a property may raise: then a scrape fails
        pass_interruption(error)
        is_collectable = not isinstance(error, AttributeError)
    if not is_collectable:
        raise refuse_registry(registry)


def begin_collection(registry: Collectable, on_error: str = "skip") -> Collection:
    """Begin a collection of ``registry`` in which the caller asks the collectors, as the expositions do.

    ``on_error`` is ``"skip"`` or ``"fail"``, as for `CollectorRegistry.collect_async`.
    """
    if _is_own(registry):
        return registry._begin(on_error)
    check_choice("on_error", on_error, ("skip", "fail"))
    self_metrics = find_self_metrics(registry)

    def handle(collector: Collector, error: BaseException) -> None:
        name = get_collector_name(collector)
        if on_error == "fail":
            raise CollectorError(name, str(error)) from error
        self_metrics.count_collector_error(name, error)

    return _begin_foreign(registry, handle)


def collect_within(registry: Collectable, seconds: float = HOME_SECONDS) -> Iterator[Metric]:
    """Yield every family of ``registry`` once; wait for home loops for no longer than ``seconds`` in all.

    The families are for an exposition: those of metrics are live.
    """
    yield from collect_all(begin_collection(registry), seconds)


def collect_or_raise(registry: Collectable) -> Iterator[Metric]:
    """Yield every family of ``registry`` once, for a function that the program has called with this registry.

    Raises what the method ``collect`` of a program's own registry raises: without its families there is nothing to
    write or push.
    """
    if _is_own(registry):
        yield from collect_all(registry._begin())
        return
    self_metrics = find_self_metrics(registry)

    def handle(collector: Collector, error: BaseException) -> None:
        if not isinstance(error, LeftOut):
            raise error
        self_metrics.count_collector_error(get_collector_name(collector), error)

    yield from collect_all(_begin_foreign(registry, handle))


def select_part(registry: Collectable, names: frozenset[str]) -> Collectable:
    """Return ``registry``, or a part of it in which only the collectors that have samples of ``names`` are asked.

    The part may have more samples than these: the caller filters them. A ``restricted_registry`` that the class of a
    program's own registry inherits from `CollectorRegistry` is not used if that class overrides ``collect``: it would
    go round the method that decides what is exposed.
    """
    if _is_own(registry):
        return registry.restricted_registry(names) if isinstance(registry, CollectorRegistry) else registry
    own = getattr(type(registry), "restricted_registry", None)
    return registry if own in (None, CollectorRegistry.restricted_registry) else RegistryCollector(registry, names)


def find_full_registry(registry: Collectable) -> CollectorRegistry:
    """Return the registry in which metrics about ``registry`` register: itself, the one it restricts, or `REGISTRY`."""
    match registry:
        case CollectorRegistry():
            return registry
        case RestrictedRegistry():
            return registry.registry
        case _:
            return REGISTRY


def find_lead(registry: Collectable, name: str) -> Lead:
    """Return the lead of ``name`` among the workers that share ``registry``; an object of another kind has none."""
    return find_full_registry(registry).lead(name) if isinstance(registry, _OWN_CLASSES) else AlwaysLeader()


def find_self_metrics(registry: Collectable) -> SelfMetrics:
    """Return the self-metrics in which the exposition of ``registry`` counts its events.

    A class that a program derives may have a constructor that does not call ours: then those of the default registry.
    """
    own: SelfMetrics | None = getattr(registry, "_self_metrics", None) if isinstance(registry, _OWN_CLASSES) else None
    return REGISTRY._self_metrics if own is None else own


def _is_own(registry: object) -> TypeGuard[CollectorRegistry | RestrictedRegistry]:
    """Return whether ``registry`` is one of this library whose method ``collect`` is the library's too."""
    own = (CollectorRegistry.collect, RestrictedRegistry.collect)
    return isinstance(registry, _OWN_CLASSES) and getattr(registry.collect, "__func__", None) in own


def _begin_foreign(registry: Collectable, handle: Callable[[Collector, BaseException], None]) -> Collection:
    collector = registry if isinstance(registry, RegistryCollector) else RegistryCollector(registry)
    return Collection({collector: Registration(frozenset(), None)}, handle, _NOTHING)


class _Nothing:
    """The last collector of a collection without self-metrics."""

    blocking = False

    def collect(self) -> Iterable[Metric]:
        return ()

    def prepare(self) -> Iterator[None]:
        return iter(())


_NOTHING = _Nothing()
