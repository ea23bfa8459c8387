"""Infos: facts as labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

from asyncmetrics.children.interfaces import InfoChild
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Info",)


class _Resolving(InfoChild):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> InfoChild: ...

    def info(self, val: Mapping[str, str]) -> None:
        """Replace the facts by ``val``; see `InfoChild.info`."""
        self._resolve().info(val)


class _ContextInfo(ContextView, _Resolving):
    __slots__ = ()


@final
class Info(MetricBase[InfoChild], _Resolving):
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
    _view: ClassVar[type[ContextView]] = _ContextInfo
