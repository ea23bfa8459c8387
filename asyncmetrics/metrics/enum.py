"""Enums: which one of several states something is in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, final

from asyncmetrics.children.interfaces import EnumChild
from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("Enum",)


class _Resolving(EnumChild):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> EnumChild: ...

    def state(self, state: str) -> None:
        """Change to ``state``; see `EnumChild.state`."""
        self._resolve().state(state)


class _ContextEnum(ContextView, _Resolving):
    __slots__ = ()


@final
class Enum(MetricBase[EnumChild], _Resolving):
    """Which one of several states something is in; the first one at the start.

    ``states`` are the names of the states, each becoming a series. For the other arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Enum
        >>> registry = CollectorRegistry()
        >>> worker = Enum("worker_state", "What the worker does.", states=["idle", "busy"], registry=registry)
        >>> worker.state("busy")
        >>> registry.get_sample_value("worker_state", {"worker_state": "busy"})
        1.0
    """

    _kind: ClassVar[DeclaredKind] = "stateset"
    _operations: ClassVar[tuple[str, ...]] = ("state",)
    _view: ClassVar[type[ContextView]] = _ContextEnum

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        *,
        states: Iterable[str] | None = None,
        context_labels: Iterable[str] = (),
        max_children: int | None = 100_000,
        ttl: float | None = None,
        exist_ok: bool = False,
    ) -> None:
        given = tuple(states or ())
        if not given or len(set(given)) < len(given) or not all(isinstance(state, str) for state in given):
            raise DefinitionError(name, f"expected states= to be one or more different names, got {list(given)!r}")
        options: dict[str, Any] = {
            "context_labels": context_labels,
            "max_children": max_children,
            "ttl": ttl,
            "exist_ok": exist_ok,
        }
        super().__init__(name, documentation, labelnames, namespace, subsystem, unit, registry, states=given, **options)
