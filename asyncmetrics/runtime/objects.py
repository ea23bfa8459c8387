"""Single objects of a program that are measured: executors, limiters, queues, semaphores and streams.

*Theory of operation.*

1. `Instruments.instrument` calls ``begin``, which adds the object to the `Members` of its metrics, gives it a class of
   its own, and returns the step that undoes both. The object and its options are remembered.
2. `Instruments.uninstrument` calls this step. All references to the object are weak, so an object that is collected
   by the garbage collector is forgotten, and its series disappear.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypedDict, TypeVar, cast, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.middleware.options import complete_options
from asyncmetrics.model.checks import check_text, make_refusal
from asyncmetrics.model.names import check_namespace
from asyncmetrics.patching import replace_class
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.self_metrics import SelfMetrics, get_self_metrics

__all__ = ("OBJECT_DEFAULTS", "Begin", "Instruments", "MetricSets", "ObjectOptions", "derive_class")

_log = logging.getLogger("asyncmetrics")

T = TypeVar("T")


class ObjectOptions(TypedDict, total=False):
    """The keyword arguments of `instrument` for an executor, a limiter, a queue, a semaphore or a stream."""

    name: str
    """Its name in the label ``pool`` or ``queue``: its class and a number otherwise, such as ``Queue-1``."""

    registry: CollectorRegistry
    """The registry of the metrics."""

    namespace: str
    """A prefix of the names of all metrics."""


OBJECT_DEFAULTS: ObjectOptions = {"name": "", "registry": REGISTRY, "namespace": ""}

Begin: TypeAlias = Callable[[Any, ObjectOptions], Callable[[Any], object]]
"""Begins to measure an object, with complete options; returns the step that undoes it, which takes the object."""


class _Entry(NamedTuple):
    holder: object  # a weak reference, or the object itself if it allows none
    end: Callable[[Any], object]
    options: Mapping[str, Any]


@final
class Instruments:
    """What `instrument` and `uninstrument` do with the objects of some classes.

    ``find_shared`` returns the object that is measured in the place of another one: the state that the two ends of a
    stream share. ``forget`` is called with the id of an object that is measured no more, perhaps by the garbage
    collector.
    """

    def __init__(
        self,
        begin: Begin,
        find_shared: Callable[[Any], Any] = lambda target: target,
        forget: Callable[[int], object] = lambda key: None,  # noqa: ARG005
    ) -> None:
        self._begin = begin
        self._find_shared = find_shared
        self._forget = forget
        self._entries: dict[int, _Entry] = {}
        self._lock = threading.RLock()  # the garbage collector may interrupt its own thread

    def instrument(self, target: T, **options: Any) -> T:
        """Measure ``target`` and return it; a second call changes nothing.

        Raises `TypeError` for an unknown option, and `DefinitionError` for a wrong value of an option.
        """
        complete = complete_options("instrument", options, cast(dict[str, Any], OBJECT_DEFAULTS))
        _check(complete)
        shared = self._find_shared(target)
        with self._lock:
            entry = self._entries.get(id(shared))
            if entry is None:
                end = self._begin(shared, cast(ObjectOptions, complete))
                self._entries[id(shared)] = _Entry(self._refer(shared), end, complete)
            elif ignored := [name for name in options if complete[name] != entry.options[name]]:
                _log.warning(
                    "instrument(%s): this object is instrumented already; the options of the first call stay, and "
                    "these are ignored: %s.",
                    type(target).__name__,
                    ", ".join(ignored),
                )
        return target

    def uninstrument(self, target: T) -> T:
        """Stop measuring ``target``, and return it; its series disappear."""
        shared = self._find_shared(target)
        with self._lock:
            entry = self._entries.pop(id(shared), None)
            if entry is not None:
                self._forget(id(shared))
                entry.end(shared)
        return target

    def is_measuring(self, target: object) -> bool:
        """Return whether ``target`` is instrumented."""
        return id(self._find_shared(target)) in self._entries

    def _refer(self, target: object) -> object:
        key = id(target)

        def forget(_: object, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
            if not is_finalizing():  # else the modules are being taken apart
                self._entries.pop(key, None)
                self._forget(key)

        try:
            return weakref.ref(target, forget)
        except TypeError:
            return target


def _check(options: Mapping[str, Any]) -> None:
    check_text("name", options["name"], "jobs")
    check_full_registry(options["registry"])
    check_namespace(options["namespace"])


class _Exposed(Protocol):
    def remove(self, target: Any, /) -> None: ...


def derive_class(target: Any, exposed: _Exposed, members: Mapping[str, Any]) -> Callable[[Any], None]:
    """Give ``target`` a class with ``members``; return the step that undoes it and removes it from ``exposed``.

    Raises `DefinitionError` if the object cannot have such a class. Then it is not exposed either.
    """
    try:
        restore = replace_class(target, **members)
    except Exception as error:
        exposed.remove(target)
        pass_interruption(error)
        raise make_refusal("instrument(target)", "an object whose class can be derived from", target) from error

    def end(one: Any) -> None:
        restore()
        exposed.remove(one)

    return end


class _Declared(Protocol):
    def declare(self) -> None: ...


S = TypeVar("S", bound=_Declared)


@final
class MetricSets(Generic[S]):
    """The one set of metrics of each registry and namespace; ``make`` makes it, which declares the metrics."""

    def __init__(self, make: Callable[[CollectorRegistry, str], S]) -> None:
        self._make = make
        # Weak, since the functions of the gauges hold the set, and the registry holds the gauges.
        # By the self-metrics of the registry, as in asyncmetrics/metrics/pools.py.
        self._sets: weakref.WeakKeyDictionary[SelfMetrics, dict[str, weakref.ref[S]]]
        self._sets = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()

    def get(self, registry: CollectorRegistry, namespace: str) -> S:
        """Return the set. Raises `DuplicateMetricError` if the registry has one of the metrics with other labels."""
        with self._lock:
            known = self._sets.setdefault(get_self_metrics(registry), {})
            found = known[namespace]() if namespace in known else None
            if found is None:
                found = self._make(registry, namespace)
                known[namespace] = weakref.ref(found)
            else:
                found.declare()  # a program may have unregistered the metrics
            return found
