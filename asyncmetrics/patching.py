"""Patches of other libraries: a method is replaced by a wrapper, now or when its module is imported.

*Rules.*

- Patch what exists. Leave methods that a subclass overrides alone.
- A wrapper has ``__wrapped__``, so that other tools and this module find what is below it.
- Undoing a patch leaves what was there before. Where another tool has put its wrapper around ours, ours stays inside
  and has to pass all calls on; applying the patch again uses it again.

*Theory of operation of the import hook.*

1. `on_import` puts a finder first into ``sys.meta_path``. For a module that nobody waits for, it does one look-up.
2. For another one, it asks the other finders, and lets the loader call the waiting functions after the module has run.
3. When nobody waits any more, the finder is removed.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, TypeAlias, final

from asyncmetrics.interruptions import ignoring, pass_interruption

__all__ = ("Patch", "Wrap", "on_import")

_log = logging.getLogger("asyncmetrics")

Wrap: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Returns the wrapper of a function."""

_DEEPEST = 50  # wrappers around one function


@final
class Patch:
    """One function of a class or module, ``owner``, that `apply` replaces by what ``wrap`` returns for it.

    ``wrap`` gets a plain function, also where a class method, a static method or a wrapper object is replaced.
    """

    def __init__(self, owner: type | ModuleType, name: str, wrap: Wrap) -> None:
        self._owner = owner
        self._name = name
        self._wrap = wrap
        self._wrapper: Any = None  # what was set last; it may be below another tool's wrapper
        self._original: Any = None
        self._is_own = False  # whether the owner itself had the function, and not a base
        self._seen: Any = None  # what was there when `undo` could not remove the wrapper

    def apply(self) -> None:
        """Replace the function, unless the wrapper is in place. Raises AttributeError if there is no such function."""
        current = inspect.getattr_static(self._owner, self._name)
        if self._wrapper is not None and (current is self._seen or self._wrapper in _list_wrapped(current)):
            return
        self._original, self._is_own = current, self._name in vars(self._owner)
        kind = next((one for one in (classmethod, staticmethod) if isinstance(current, one)), None)
        wrapper = self._wrap(_find_plain(self._owner, current, kind))
        setattr(self._owner, self._name, kind(wrapper) if kind else wrapper)
        self._wrapper, self._seen = inspect.getattr_static(self._owner, self._name), None

    def undo(self) -> None:
        """Restore what was there, unless another tool has put its wrapper around ours."""
        current = inspect.getattr_static(self._owner, self._name, None)
        if current is not self._wrapper:
            self._seen = current
            return
        if self._is_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)
        self._wrapper = self._original = None


def _list_wrapped(function: Any) -> Iterator[object]:
    """Yield a function and those below it."""
    for _ in range(_DEEPEST):
        yield function
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return


def _find_plain(owner: type | ModuleType, current: Any, kind: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the plain function in ``current``; for another tool's object, one that calls it as it would be called.

    Such an object finds the instance when it is bound to it: called with the instance as an argument, it has none. It
    may name the class of what it wraps as its own, so `isinstance` takes it for a function.
    """
    inner: Any = current.__func__ if kind and type(current) is kind else current
    if type(inner) is FunctionType:
        return inner

    def bind(args: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if isinstance(owner, ModuleType):
            return current, args
        if kind is staticmethod:
            return current.__get__(None, owner), args
        first = args[0]
        return (current.__get__(None, first) if kind else current.__get__(first, type(first))), args[1:]

    if inspect.iscoroutinefunction(inner):

        @wraps(inner)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            function, rest = bind(args)
            return await function(*rest, **kwargs)

        return call_async

    @wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        function, rest = bind(args)
        return function(*rest, **kwargs)

    return call


def on_import(name: str, act: Callable[[ModuleType], None]) -> Callable[[], None]:
    """Call ``act`` with the module ``name`` when it has been imported: now, if it is. Return the step that undoes it.

    An exception of ``act`` is logged, and does not fail the import.
    """
    _FINDER.wait(name, act)
    if name in sys.modules:
        with ignoring(Exception):  # an import that fails calls nothing
            importlib.import_module(name)  # waits for the thread that imports it now
        module = sys.modules.get(name)
        if module is not None and not _is_initializing(module) and _FINDER.stop_waiting(name, act):
            _act(act, module)
    return lambda: _stop_waiting(name, act)


def _stop_waiting(name: str, act: Callable[[ModuleType], None]) -> None:
    _FINDER.stop_waiting(name, act)


def _is_initializing(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _act(act: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        act(module)
    except Exception as error:  # noqa: BLE001  # an import must not fail because of us
        pass_interruption(error)
        _log.warning("what waited for the import of %s has failed", module.__name__, exc_info=error)


@final
class _Finder:
    """The finder in ``sys.meta_path``, for the modules that somebody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callable[[ModuleType], None]]] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, act: Callable[[ModuleType], None]) -> None:
        with self._lock:
            self._waiting.setdefault(name, []).append(act)
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def stop_waiting(self, name: str, act: Callable[[ModuleType], None]) -> bool:
        """Forget ``act``; return whether it waited until now."""
        with self._lock:
            acts = self._waiting.get(name, [])
            has_waited = act in acts
            if has_waited:
                acts.remove(act)
            if not acts:
                self._waiting.pop(name, None)
            self._leave()
        return has_waited

    def _take(self, name: str) -> list[Callable[[ModuleType], None]]:
        with self._lock:
            acts = self._waiting.pop(name, [])
            self._leave()
        return acts

    def _leave(self) -> None:
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders find for a module that is waited for; None for all others."""
        if fullname not in self._waiting:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            self._watch(spec.loader, fullname)
        return spec

    def _watch(self, loader: Any, name: str) -> None:
        """Let ``loader`` call what waits for ``name`` after it has run the module, once."""
        if isinstance(loader, type):  # that of built-in modules: what is set there counts for all of them
            return
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            if module.__name__ == name:
                vars(loader).pop("exec_module", None)
                for act in self._take(name):
                    _act(act, module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader written in C: no library that is measured has one
            _log.warning("%s is imported by a loader that cannot be watched: %r", name, loader)


_FINDER = _Finder()
