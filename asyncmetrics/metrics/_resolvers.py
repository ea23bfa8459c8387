"""Metrics and their stand-ins that find the child at each use, because a context label or a subclass is involved.

*Theory of operation.* ``labels()`` of a metric of the library returns a child of the storage. There are two exceptions:

1. A metric with context labels returns a `ContextChild`, which has the explicit label values and reads the context at
   each use.
2. A metric whose class a program has derived returns a `View`: an object of that class, so that it has the methods of
   the class. An operation that the class does not override is the method of the child itself, and costs the same. One
   that it overrides reaches the child by ``super()``, through `Resolver._resolve`.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, NoReturn, Protocol, TypeVar, final

from asyncmetrics.children.interfaces import Labelled
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.errors import LabelError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.descriptor import Descriptor

__all__ = (
    "ContextChild",
    "Resolver",
    "View",
    "Views",
    "bind_operations",
    "find_own_operations",
    "rebind_operations",
)

C = TypeVar("C", bound=Labelled)
C_co = TypeVar("C_co", bound=Labelled, covariant=True)
_SPARE_VIEWS = 64
_UNBOUND = frozenset({"set_function"})  # a child that shared storage replaces ignores it as a method taken before


class _Owner(Protocol):
    """The metric whose children these are."""

    descriptor: Descriptor
    _children: ChildTable[Any]

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment."""
        ...

    def _find(self, values: tuple[object, ...]) -> Any: ...

    def _find_child(self, values: tuple[object, ...]) -> Any: ...

    def _to_positional(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[object, ...]: ...

    def _complete(self, view: Any) -> None: ...


class Resolver(ABC, Generic[C_co]):
    """A metric, `ContextChild` or `View`: its operations call `_resolve` first."""

    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> C_co:
        """Return the child for the labels of this moment."""


class ContextChild(Resolver[C], Labelled):
    """A metric with its explicit labels chosen; it reads the context labels, and finds the child, at each use."""

    __slots__ = ("_metric", "_values")

    def __init__(self, metric: _Owner, values: tuple[str, ...]) -> None:
        self._metric = metric
        self._values = values

    is_fixed = False

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment."""
        return self._metric.read_context()

    def in_context(self, context: tuple[str, ...]) -> C:
        """Return the child for what `read_context` has returned."""
        child: C = self._metric._children.find(self._values + context)
        return child

    def _resolve(self) -> C:
        return self.in_context(self.read_context())

    def __repr__(self) -> str:
        return self._metric.descriptor.name_series(self._values)


class View(Labelled):
    """A child of a metric whose class a program has derived: an object of this class, with its labels chosen.

    An attribute that the class does not have is that of the metric: what its constructor has stored.
    """

    _metric: _Owner
    _target: Any  # a child, or a `ContextChild`

    def __getattr__(self, name: str) -> Any:
        if name in {"_metric", "_target"}:
            raise AttributeError(name)
        return getattr(self._metric, name)

    def _resolve(self) -> Any:
        target = self._target
        return target if target.is_fixed else target._resolve()

    def _bind(self) -> None:
        if self._target.is_fixed:
            bind_operations(self, self._target)
            for name in _UNBOUND:
                vars(self).pop(name, None)

    def labels(self, *values: object, **named: object) -> NoReturn:
        """Raise `LabelError`, since the labels are set."""
        Labelled.labels(self._target, *values, **named)
        raise AssertionError  # the line above raises

    def require_labels(self) -> None:
        """Return, since the labels are set."""

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment."""
        context: tuple[str, ...] = self._target.read_context()
        return context

    def in_context(self, context: tuple[str, ...]) -> Any:
        """Return the child for what `read_context` has returned."""
        return self if self.is_fixed else self._metric._find(self._target._values + context)

    def remove(self, *_: object) -> NoReturn:
        """Raise `LabelError`: only the metric has children."""
        raise LabelError(
            repr(self), "the labels are already set, so there is no child to remove: call it of the metric"
        )

    remove_by_labels = clear = label_values = remove

    def __repr__(self) -> str:
        return repr(self._target)


def find_own_operations(cls: type, methods: Mapping[str, object]) -> tuple[str, ...]:
    """Return the operations of ``methods``, which are the library's, that ``cls`` does not override."""
    overridden = {name for name, method in methods.items() if getattr(cls, name) is not method}
    if "observe" in overridden:
        overridden |= {"recorder", "closed_recorder"}  # a timer has to observe by the method of the class
    return tuple(name for name in methods if name not in overridden)


def bind_operations(metric: Any, child: Any) -> None:
    """Give ``metric`` the methods of ``child`` as its own attributes, except those that its class overrides."""
    attributes = vars(metric)
    for name in metric._operations:
        attributes.pop(name, None)
    for name in metric._own_operations:
        attributes[name] = getattr(child, name)


def rebind_operations(cls: Any) -> None:
    """Let the metrics of ``cls`` use the methods that it has now: a test has replaced one in the class."""
    cls._own_operations = find_own_operations(cls, cls._library_methods)
    for derived in cls.__subclasses__():
        rebind_operations(derived)
    for metric in gc.get_objects():
        if type(metric) is cls:
            metric._bind()


@final
class Views:
    """The views of one metric: one for each of its children, as long as the child is in its table.

    A metric with a time to live keeps none: a child that something refers to does not leave its table.
    """

    def __init__(self, metric: _Owner, *, keeps: bool) -> None:
        self._metric = metric
        self._type = _find_view_type(type(metric))
        self._keeps = keeps
        self._views: dict[tuple[Any, ...], Any] = {}

    def labels(self, *values: object, **named: object) -> Any:
        """Return the view of the child with these label values; see `MetricBase.labels`."""
        if named:
            values = self._metric._to_positional(values, named)
        try:
            view = self._views[values]
            if view._target is self._metric._children.by_values[values]:  # type: ignore[index]  # raises for others
                return view
        except (KeyError, TypeError) as error:  # as in `MetricBase.labels`
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                pass_interruption(error)
        return self.find(values)

    def find(self, values: tuple[object, ...]) -> Any:
        """Return the view of the child that `ChildTable.find` returns for ``values``."""
        child: Child = self._metric._find_child(values)
        view = self._views.get(child.labelvalues)
        if view is None or view._target is not child:
            view = self.make(child)
            if self._keeps:
                self._make_room()
                known = self._views.setdefault(child.labelvalues, view)  # another thread may have been faster
                if known._target is child:
                    return known
                self._views[child.labelvalues] = view
        return view

    def make(self, target: Labelled) -> Any:
        """Return a new view of a child or of a `ContextChild`."""
        view = object.__new__(self._type)
        view._metric, view._target, view.is_fixed = self._metric, target, target.is_fixed
        view._bind()
        self._metric._complete(view)
        return view

    def _make_room(self) -> None:
        """Forget the views of removed children, before they outnumber the others."""
        children = self._metric._children.by_values
        if len(self._views) > 2 * len(children) + _SPARE_VIEWS:
            for values, view in list(self._views.items()):
                if view._target is not children.get(values):
                    self._views.pop(values, None)


_VIEW_TYPE = "_view_type"


def _find_view_type(cls: Any) -> Any:
    """Return the class of the views of ``cls``, which is made once."""
    found = vars(cls).get(_VIEW_TYPE)
    if found is None:
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        found = type(cls)(cls.__name__, (View, cls), names)
        type.__setattr__(cls, _VIEW_TYPE, found)
    return found
