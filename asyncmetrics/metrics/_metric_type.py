"""The type of the metric classes: what calling such a class, and changing it, does."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.metrics._mistakes import KINDS_OF_OPTIONS, ExplainingType, describe_difference, explain_duplicate
from asyncmetrics.metrics._resolvers import rebind_operations

__all__ = ("MetricType",)

M = TypeVar("M")
_PACKAGE = f"{__name__.partition('.')[0]}."


class MetricType(ExplainingType):
    """Serves ``exist_ok=True``, shows each class's own arguments, and heeds a method that is replaced in a class."""

    def __call__(cls: type[M], *args: Any, **kwargs: Any) -> M:  # noqa: N805  # of a metaclass
        """Return a new metric or, with ``exist_ok=True``, the equal metric that the registry already has."""
        try:
            metric: M = ExplainingType.__call__(cls, *args, **kwargs)
        except DuplicateMetricError as error:
            existing: Any = error.existing
            wanted: Any = error.rejected
            if not isinstance(type(existing), MetricType) or not isinstance(type(wanted), MetricType):
                raise
            if kwargs.get("exist_ok") and not describe_difference(existing.descriptor, wanted.descriptor):
                return cast(M, existing)  # equal descriptors are of one kind
            raise explain_duplicate(error, existing.descriptor, wanted.descriptor) from None
        return metric

    def __setattr__(cls, name: str, value: object) -> None:  # noqa: N805  # as above
        """Set an attribute of the class; a method that replaces an operation is used by all metrics of the class."""
        type.__setattr__(cls, name, value)
        if name in getattr(cls, "_operations", ()):
            rebind_operations(cls)

    def __delattr__(cls, name: str) -> None:  # noqa: N805  # as above
        """Undo what `__setattr__` has done."""
        type.__delattr__(cls, name)
        if name in getattr(cls, "_operations", ()):
            rebind_operations(cls)

    @property
    def __signature__(cls) -> inspect.Signature:  # noqa: N805  # as above
        """What `help` and `inspect.signature` show: the arguments that this class takes, with their defaults."""
        metric = cast(Any, cls)
        if not metric.__init__.__module__.startswith(_PACKAGE):  # a derived class with arguments of its own
            _, *own = inspect.signature(metric.__init__).parameters.values()
            return inspect.Signature(own)
        library_class = getattr(metric, "_library_class", metric)  # the base class has none
        _, *shared = inspect.signature(library_class.__init__).parameters.values()
        options = inspect.signature(metric._make_shape).parameters
        own = [parameter for parameter in options.values() if parameter.kind is parameter.KEYWORD_ONLY]
        positional = [parameter for parameter in shared if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        rest = [parameter for parameter in shared if parameter.kind is parameter.KEYWORD_ONLY]
        return inspect.Signature([*positional, *own, *(item for item in rest if item.name not in KINDS_OF_OPTIONS)])
