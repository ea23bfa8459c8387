"""Enums: the present state of something, one of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn, final

from asyncmetrics.children.interfaces import EnumChild
from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics._base import ContextChild, MetricBase, Resolver, Shape
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Enum",)


class _EnumOperations(Resolver[EnumChild], EnumChild):
    __slots__ = ()

    def state(self, state: str) -> None:
        """Change to ``state``; see `EnumChild.state`."""
        self._resolve().state(state)


class _ContextEnum(ContextChild[EnumChild], _EnumOperations):
    __slots__ = ()


@final
class Enum(MetricBase[EnumChild, NoReturn, Iterable[str], NoReturn, NoReturn], _EnumOperations):
    """The present state of something, one of several; at the start it is the first one.

    ``states`` are the names of the states; each is exposed as a series. For the other arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Enum
        >>> registry = CollectorRegistry()
        >>> worker = Enum("worker_state", "What the worker does.", states=["idle", "busy"], registry=registry)
        >>> worker.state("busy")
        >>> registry.get_sample_value("worker_state", {"worker_state": "busy"})
        1.0
    """

    _kind: ClassVar[DeclaredKind] = "stateset"
    _operations: ClassVar[tuple[str, ...]] = ("state",)
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextEnum

    def _make_shape(self, name: str, *, states: Iterable[str] | None = None) -> Shape:
        names = tuple(states or ())
        if not names or len(set(names)) < len(names) or not all(isinstance(state, str) for state in names):
            raise DefinitionError(name, f"expected states= to be one or more different names, got {list(names)!r}")
        return Shape(states=names)
