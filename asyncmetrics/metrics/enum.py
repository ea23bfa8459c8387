"""Enums: the present state of something, one of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.interfaces import EnumChild
from asyncmetrics.metrics._base import MetricBase, Shape
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.checks import list_texts, make_refusal
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Enum",)


class _EnumOperations(Resolver[EnumChild], EnumChild):
    __slots__ = ()

    def state(self, state: str) -> None:
        """Change to ``state``; see `EnumChild.state`."""
        self._resolve().state(state)


class _ContextEnum(ContextChild[EnumChild], _EnumOperations):
    __slots__ = ()


class Enum(
    MetricBase[EnumChild, NoReturn, Iterable[str], NoReturn, NoReturn, NoReturn, NoReturn, NoReturn], _EnumOperations
):
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
        names = list_texts("states", () if states is None else states, "different names", name)
        if not names or len(set(names)) < len(names):
            given = names if states is not None else states
            raise make_refusal("states", "a list of one or more different names", given, owner=name)
        return Shape(states=names)
