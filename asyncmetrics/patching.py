"""Patches of other libraries: a method is replaced by a wrapper, now or when its module is imported.

`Patch` replaces a method for all objects of a class; `replace_method` and `replace_class` do so for one object.

*Rules.*

- Patch what exists. Leave methods that a subclass overrides alone.
- A wrapper has ``__wrapped__``, so that other tools and this module find what is below it.
- Undoing a patch leaves what was there before. Where another tool has put its wrapper around ours, ours stays inside
  and has to pass all calls on; applying the patch again uses it again.

*Theory of operation of the import hook.*

1. `on_import` puts a finder first into ``sys.meta_path``. For a module that no function waits for, it does one look-up.
2. For another module, it asks the other finders, and puts a loader around theirs. This loader restores theirs, lets it
   run the module, and calls the waiting functions.
3. When no function waits any more, the finder is removed. ``sys.meta_path`` is replaced, not changed: another thread
   may iterate over it.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec
from types import CellType, FunctionType, ModuleType
from typing import Any, TypeAlias, final

from asyncmetrics.interruptions import pass_interruption

__all__ = ("Patch", "Wrap", "on_import", "refer", "replace_class", "replace_method")

_log = logging.getLogger("asyncmetrics")

Wrap: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Returns the wrapper of a function."""

_MOST_FUNCTIONS = 100  # that are searched for a wrapper
_INNER_NAMES = ("__wrapped__", "__func__", "func")  # of wrappers, methods and partials


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

    def apply(self) -> None:
        """Replace the function, unless the wrapper is in place. Raises AttributeError if there is no such function."""
        current = inspect.getattr_static(self._owner, self._name)
        if self._wrapper is not None and _is_inside(self._wrapper, current):
            return
        self._original, self._is_own = current, self._name in vars(self._owner)
        kind = next((one for one in (classmethod, staticmethod) if isinstance(current, one)), None)
        wrapper = self._wrap(_find_plain(self._owner, current, kind))
        setattr(self._owner, self._name, kind(wrapper) if kind else wrapper)
        self._wrapper = inspect.getattr_static(self._owner, self._name)

    def undo(self) -> None:
        """Restore what was there, unless another tool has put its wrapper around ours."""
        current = inspect.getattr_static(self._owner, self._name, None)
        if current is not self._wrapper:
            return
        if self._is_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)
        self._wrapper = self._original = None


def _is_inside(wrapper: object, function: object) -> bool:
    """Return whether ``function`` is ``wrapper``, or calls it as far as its attributes and its closure show."""
    left, seen = [function], set[int]()
    while left and len(seen) < _MOST_FUNCTIONS:
        one: Any = left.pop()
        if one is wrapper:
            return True
        if id(one) not in seen:
            seen.add(id(one))
            left += [inner for name in _INNER_NAMES if (inner := getattr(one, name, None)) is not None]
            cells = getattr(one, "__closure__", None) or ()
            left += [inner for cell in cells if _is_function(inner := _read_cell(cell))]
    return False


def _is_function(value: object) -> bool:
    return callable(value) or isinstance(value, (classmethod, staticmethod))


def _read_cell(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


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


def replace_class(target: object, **members: object) -> Callable[[], None]:
    """Give ``target`` a class of its own, derived from its class, with ``members``; return the step that undoes it.

    Python looks ``__call__`` and descriptors up in the class, so attributes of ``target`` would have no effect, and an
    object with ``__slots__`` has none. The step holds ``target`` weakly, if it allows that.

    Raises `TypeError` for an object that cannot have another class, such as a function.
    """
    former: Any = type(target)
    names = {"__module__": former.__module__, "__qualname__": former.__qualname__, "__doc__": former.__doc__}
    own = type(former.__name__, (former,), {**names, "__slots__": (), **members})
    target.__class__ = own
    get = refer(target)

    def restore() -> None:
        found: Any = get()
        if found is not None and type(found) is own:
            found.__class__ = former

    return restore


def replace_method(target: Any, name: str, wrap: Wrap) -> Callable[[], None]:
    """Replace a method of one object; return the step that undoes it, unless another tool has replaced it again.

    ``wrap`` gets the bound method. The step holds ``target`` weakly, if it allows that.
    """
    is_own = name in vars(target)
    wrapper = wrap(getattr(target, name))
    setattr(target, name, wrapper)
    get, get_wrapper = refer(target), refer(wrapper)
    del target, wrapper

    def undo() -> None:
        target: Any = get()
        wrapper: Any = get_wrapper()
        if target is None or wrapper is None or vars(target).get(name) is not wrapper:
            return
        if is_own:
            setattr(target, name, wrapper.__wrapped__)
        else:
            delattr(target, name)

    return undo


def refer(target: object) -> Callable[[], object]:
    """Return a weak reference; for an object that allows none, a function that returns it."""
    try:
        return weakref.ref(target)
    except TypeError:
        return lambda: target


def on_import(name: str, act: Callable[[ModuleType], None]) -> Callable[[], None]:
    """Call ``act`` with the module ``name`` when it has been imported: now, if it is. Return the step that undoes it.

    An exception of ``act`` is logged, and does not fail the import.
    """
    _FINDER.wait(name, act)
    _await_import(name)
    module = sys.modules.get(name)
    if module is not None and not _is_initializing(module) and _FINDER.stop_waiting(name, act):
        _act(act, module)

    def undo() -> None:
        _FINDER.stop_waiting(name, act)

    return undo


def _await_import(name: str) -> None:
    """Wait until no other thread imports ``name``: such an import may have asked the finders before ours was there."""
    bootstrap = getattr(importlib, "_bootstrap", None)  # there is no public name
    wait = getattr(bootstrap, "_lock_unlock_module", None)
    if wait is not None:
        wait(name)


def _is_initializing(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _act(act: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        act(module)
    except Exception as error:  # noqa: BLE001  # an import must not fail because of us
        pass_interruption(error)
        _log.warning("a function that waited for the import of %s has failed", module.__name__, exc_info=error)


@final
class _Finder:
    """The finder in ``sys.meta_path``, for the modules that a function waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callable[[ModuleType], None]]] = {}
        self._lock = threading.RLock()

    def wait(self, name: str, act: Callable[[ModuleType], None]) -> None:
        with self._lock:
            self._waiting.setdefault(name, []).append(act)
            if self not in sys.meta_path:
                sys.meta_path = [self, *sys.meta_path]

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

    def take(self, name: str) -> list[Callable[[ModuleType], None]]:
        """Return the functions that wait for a module, which do not wait any more."""
        with self._lock:
            acts = self._waiting.pop(name, [])
            self._leave()
        return acts

    def _leave(self) -> None:
        if not self._waiting and self in sys.meta_path:
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders find for a module that is waited for; None for all others."""
        if fullname not in self._waiting:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):  # an older kind of loader runs no module by a spec
            loader: Any = _Loader(spec.loader)
            spec.loader = loader
        return spec


@final
class _Loader:
    """A loader around the loader of one module, whose import calls what waits for it. It has its other attributes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # `copy` asks for names before there is one
            raise AttributeError(name)
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the inner loader creates; None for an ordinary module."""
        create: Callable[[ModuleSpec], ModuleType | None] | None = getattr(self._inner, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module the loader that it would have without us, run it, and call what waits for it."""
        changed: Any = module
        if changed.__spec__ is not None and changed.__spec__.loader is self:
            changed.__spec__.loader = self._inner
        if getattr(changed, "__loader__", None) is self:
            changed.__loader__ = self._inner
        self._inner.exec_module(module)
        for act in _FINDER.take(module.__name__):
            _act(act, module)


_FINDER = _Finder()
