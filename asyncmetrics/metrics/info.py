"""Infos: facts as labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.facts import NO_FACTS
from asyncmetrics.children.interfaces import InfoChild
from asyncmetrics.metrics._base import MetricBase
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Info",)


class _InfoOperations(Resolver[InfoChild], InfoChild):
    __slots__ = ()

    def info(self, val: Mapping[str, str] = NO_FACTS, **named: NoReturn) -> None:
        """Replace the facts by ``val``; see `InfoChild.info`."""
        self._resolve().info(val, **named)


class _ContextInfo(ContextChild[InfoChild], _InfoOperations):
    __slots__ = ()


class Info(
    MetricBase[InfoChild, NoReturn, NoReturn, NoReturn, NoReturn, NoReturn, NoReturn, NoReturn], _InfoOperations
):
    """Facts that seldom change, as labels of a sample that is always 1: a version, a build, a region.

    For the arguments see `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Info
        >>> registry = CollectorRegistry()
        >>> build = Info("build", "What is running.", registry=registry)
        >>> build.info({"version": "1.2.3"})
        >>> registry.get_sample_value("build_info", {"version": "1.2.3"})
        1.0
    """

    _kind: ClassVar[DeclaredKind] = "info"
    _operations: ClassVar[tuple[str, ...]] = ("info",)
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextInfo
