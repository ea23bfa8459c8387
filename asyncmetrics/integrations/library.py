"""The base of the integrations with client libraries: which objects are measured, by which metrics and hooks.

*Theory of operation.* An integration patches its library once, for all objects; a wrapper asks `Integration.find` by
which metrics a call of its object is measured.

1. `Integration.instrument` remembers the metrics of one object, or of its parts: the transports of an HTTP client.
2. `Integration.measure_all` sets the metrics of all other objects.
3. The hooks are installed with the first of the two, and removed when nothing is measured any more. An object that is
   instrumented by itself, in a library that is measured, is measured once.
   The hooks stay if the last object is collected instead, and pass calls on.
4. If another tool holds a wrapper of ours by then, it stays: `find` returns None, and it passes calls on.
"""

from __future__ import annotations

import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, Generic, TypeAlias, TypeVar

from asyncmetrics.integrations.client_options import check_client_options
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.middleware.options import complete_options
from asyncmetrics.patching import Patch, Wrap
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.timing import Measure
from asyncmetrics.wrapping import wrap_callable

__all__ = ("End", "Integration", "guarded", "watch", "watch_async")

M = TypeVar("M")
T = TypeVar("T")

End: TypeAlias = Callable[[Any, "BaseException | None"], object]
"""Called at the end of a call with its result and its exception, one of which is None."""

_log = logging.getLogger("asyncmetrics")


class Integration(ABC, Generic[M]):
    """The integration with one library; ``M`` are the metrics of an object.

    ``library`` is its name in messages and in ``asyncmetrics_instrumentation_info``, ``defaults`` are its options.
    """

    def __init__(self, library: str, defaults: Mapping[str, Any], patches: Iterable[Patch] = ()) -> None:
        self.library = library
        self._defaults = defaults
        self._patches = tuple(patches)
        self._everywhere: M | None = None
        self._own: dict[int, M] = {}
        self._holders: dict[int, object] = {}  # weak references to the parts, or the parts themselves
        self._undo: ExitStack | None = None
        self._lock = threading.RLock()
        self._registry: CollectorRegistry = REGISTRY

    @abstractmethod
    def make_metrics(self, options: Mapping[str, Any]) -> M:
        """Return the metrics for these options, which are complete."""

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the objects whose calls are measured if ``target`` is instrumented: by default itself."""
        return (target,)

    def hook(self, undo: ExitStack) -> None:
        """Install the hooks; add the steps that remove them to ``undo``. By default the patches are applied."""
        for patch in self._patches:
            patch.apply()
            undo.callback(patch.undo)

    def adopt(self, part: Any, metrics: M) -> None:
        """Begin to measure a part that exists, such as a pool with connections. By default there is nothing to do."""

    def release(self, part: Any, metrics: M) -> None:
        """Stop measuring a part by these metrics. By default there is nothing to do."""

    def release_all(self, metrics: M) -> None:
        """Stop measuring all parts that these metrics of `measure_all` measured. By default there is nothing to do."""

    def find(self, part: object) -> M | None:
        """Return the metrics by which calls of ``part`` are measured; None if they are not."""
        return self._own.get(id(part), self._everywhere)

    def instrument(self, target: T, **options: Any) -> T:
        """Measure ``target`` and return it; a second call changes nothing.

        Raises `TypeError` for an unknown option, and `DefinitionError` for a wrong value of an option.
        """
        complete = self.complete(options)
        with self._lock:
            parts = list(self.list_parts(target))
            new = [part for part in parts if id(part) not in self._own]
            if not new:
                if options and parts:
                    _log.warning(
                        "instrument(%s): this object is instrumented already; the options of the first call stay, and "
                        "these are ignored: %s.",
                        type(target).__name__,
                        ", ".join(options),
                    )
                return target
            metrics = self.make_metrics(complete)
            self._registry = complete["registry"]
            with ExitStack() as undo:  # all parts, or none
                undo.callback(self._uninstall)
                self._install()
                for part in new:
                    undo.callback(self.forget, part)
                    self.include(part, metrics)
                undo.pop_all()
        return target

    def include(self, part: object, metrics: M) -> None:
        """Measure one more part by the metrics of an object that is instrumented."""
        with self._lock:
            self._holders[id(part)] = self._refer(part)
            self._own[id(part)] = metrics
            self.adopt(part, metrics)

    def find_own(self, part: object) -> M | None:
        """Return the metrics of a part that is instrumented by itself; None if it is not."""
        return self._own.get(id(part))

    def uninstrument(self, target: T) -> T:
        """Undo `instrument`: stop measuring ``target``, and return it. Its metrics keep their values."""
        with self._lock:
            for part in self.list_parts(target):
                self.forget(part)
        return target

    def forget(self, part: object) -> None:
        """Undo `instrument` for one part: it is released, or closed."""
        with self._lock:
            metrics = self._own.pop(id(part), None)
            self._holders.pop(id(part), None)
            try:
                if metrics is not None:
                    self.release(part, metrics)
            finally:
                self._uninstall()

    def measure_all(self, options: Mapping[str, Any]) -> Callable[[], None]:
        """Measure all objects that are not instrumented by themselves; return the step that undoes it."""
        metrics = self.make_metrics(self.complete({k: v for k, v in options.items() if k in self._defaults}))
        with self._lock:
            self._install()
            self._registry = options["registry"]
            self._everywhere = metrics
        return self._stop_measuring_all

    def complete(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the options with the defaults for those that are missing. Raises as `instrument` does."""
        complete = complete_options("instrument", options, self._defaults)
        check_client_options(complete)
        return complete

    def measured(self, choose: Callable[..., Measure | None]) -> Wrap:
        """Return the `Wrap` of a method. ``choose`` takes what the method takes, and returns the measure of the call.

        If it returns None, the call is not measured. If it raises, neither, and the error is counted.
        """

        def choose_safely(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Measure:
            try:
                return choose(*args, **kwargs) or _NOTHING
            except Exception as error:  # noqa: BLE001  # nothing of ours may break a call of the application
                pass_interruption(error)
                self.count_failure()
                return _NOTHING

        return lambda function: wrap_callable(function, None, choose_safely)

    def count_failure(self, *, is_logged: bool = True) -> None:
        """Count the exception that is being handled as an error of this integration, and log the first one."""
        get_self_metrics(self._registry).count_internal_error(f"integrations.{self.library}", is_logged=is_logged)

    def _refer(self, part: object) -> object:
        """Return a weak reference that forgets ``part`` when it is collected, or ``part`` if it allows none."""
        key = id(part)

        def forget(_: object) -> None:
            self._own.pop(key, None)
            self._holders.pop(key, None)

        try:
            return weakref.ref(part, forget)
        except TypeError:
            return part

    def _install(self) -> None:
        if self._undo is None:
            with ExitStack() as undo:  # all hooks, or none
                self.hook(undo)
                self._undo = undo.pop_all()

    def _uninstall(self) -> None:
        if self._undo is not None and self._everywhere is None and not self._own:
            undo, self._undo = self._undo, None
            undo.close()

    def _stop_measuring_all(self) -> None:
        with self._lock:
            metrics, self._everywhere = self._everywhere, None
            if metrics is not None:
                self.release_all(metrics)
            self._uninstall()


def guarded(act: Callable[..., T]) -> Callable[..., T | None]:
    """Decorate a method of an `Integration` that runs beside a call of the application, which it must not break.

    If the method raises, the error is counted, and None is returned.
    """

    @wraps(act)
    def call(self: Integration[Any], *args: Any, **kwargs: Any) -> T | None:
        try:
            return act(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # it is counted
            pass_interruption(error)
            self.count_failure()
            return None

    return call


def watch(begin: Callable[..., End | None]) -> Wrap:
    """Return the `Wrap` of a method: ``begin`` takes what the method takes, and returns what to call at its end.

    If it returns None, nothing is called. Neither function may raise. It suits pools: for each request of an HTTP
    client or command of Redis, a function made for that call costs too much.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            end = begin(*args, **kwargs)
            if end is None:
                return function(*args, **kwargs)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                end(None, error)
                raise
            end(result, None)
            return result

        return watched

    return wrap


def watch_async(begin: Callable[..., End | None]) -> Wrap:
    """Return what `watch` returns, for a method whose result is awaited."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            end = begin(*args, **kwargs)
            if end is None:
                return await function(*args, **kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                end(None, error)
                raise
            end(result, None)
            return result

        return watched

    return wrap


def _do_nothing(_seconds: float) -> None:
    """End a call that is not measured."""


_NOTHING: Measure = (_do_nothing, None, None)
