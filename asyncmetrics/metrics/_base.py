"""What all metric types share: names and labels, children, registration, collection.

*Theory of operation.* A metric without labels takes its only child's methods as its own at creation, so that using it
costs what using the child costs. A metric with context labels finds its child at each use; ``labels()`` then returns a
`ContextView`, which does the same later, so that it may be kept.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, final

from asyncmetrics.children.interfaces import Labelled
from asyncmetrics.children.table import ChildTable
from asyncmetrics.context import read_labels
from asyncmetrics.errors import DefinitionError, DuplicateMetricError, LabelError
from asyncmetrics.metrics.created import created_enabled
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.model.names import build_name, check_label_names, to_label_text
from asyncmetrics.registry import REGISTRY, CollectorRegistry, close_awaitable
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("ContextView", "MetricBase")

M = TypeVar("M")
C = TypeVar("C", bound=Labelled)


class _ExistOk(type):
    """Let a class with ``exist_ok=True`` return the equal metric that its registry has already."""

    def __call__(cls: type[M], *args: Any, **kwargs: Any) -> M:
        try:
            made: M = type.__call__(cls, *args, **kwargs)
        except DuplicateMetricError as error:
            if not kwargs.get("exist_ok"):
                raise
            existing, wanted = error.existing, error.rejected
            if not isinstance(existing, MetricBase) or not isinstance(wanted, MetricBase):
                raise
            if existing.descriptor == wanted.descriptor:
                return existing  # type: ignore[return-value]  # equal descriptors are of one kind
            problem = f"it differs: {existing.descriptor.difference(wanted.descriptor)}"
            raise DuplicateMetricError(error.duplicates, existing, wanted, problem) from None
        return made

    @property
    def __signature__(cls) -> inspect.Signature:
        """What `help` and `inspect.signature` show: the arguments that the class takes."""
        _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]  # of the class
        return inspect.Signature([parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD])


@final
class _Later(Awaitable[Iterable[Metric]]):
    """The family of a gauge some of whose functions are async; `close` gives up those that were not awaited."""

    def __init__(
        self, children: ChildTable[Any], pending: list[tuple[Any, Awaitable[float]]], family: Callable[[], Metric]
    ) -> None:
        self._children = children
        self._pending = pending
        self._family = family

    def __await__(self) -> Generator[Any, None, Iterable[Metric]]:
        return self._settled().__await__()

    async def _settled(self) -> Iterable[Metric]:
        try:
            for child, awaitable in self._pending:
                with self._children.guard(child):
                    child.set(await awaitable)
        finally:
            self.close()
        return [self._family()]

    def close(self) -> None:
        for _, awaitable in self._pending:
            close_awaitable(awaitable)


class MetricBase(Generic[C], metaclass=_ExistOk):
    """A metric: a definition, and a child for each combination of label values.

    ``labelnames`` are given to `labels`; ``context_labels`` are read from the context at each use. The full name is
    ``namespace_subsystem_name_unit``. ``registry=None`` registers nowhere. Past ``max_children`` label sets (None: no
    limit) new ones share one child whose every label is ``__overflow__``, counted in
    ``asyncmetrics_overflowed_label_sets_total``. A child whose numbers did not change for ``ttl`` seconds leaves the
    exposition at the next collection (a gauge set to the value that it has counts as unchanged). ``exist_ok`` returns
    the metric of that name that is there already, if kind, unit, labels, buckets and states agree.

    Raises `DefinitionError` for bad names and options, `DuplicateMetricError` for a name that is taken.
    """

    _kind: ClassVar[DeclaredKind]
    _reserved: ClassVar[frozenset[str]] = frozenset()
    _operations: ClassVar[tuple[str, ...]] = ()
    _view: ClassVar[type[ContextView]]

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
        context_labels: Iterable[str] = (),
        max_children: int | None = 100_000,
        ttl: float | None = None,
        exist_ok: bool = False,  # noqa: ARG002  # read by the metaclass
        **shape: Any,
    ) -> None:
        family = build_name(self._kind, name, namespace, subsystem, unit)
        reserved = self._reserved | ({family} if self._kind == "stateset" else frozenset())  # its states' own label
        names = check_label_names(family, labelnames, reserved)
        context = check_label_names(family, context_labels, reserved)
        check_label_names(family, (*names, *context))
        if max_children is not None and max_children < 1:
            raise DefinitionError(family, f"expected max_children of 1 or more, or None, got {max_children!r}")
        if ttl is not None and not ttl > 0:
            raise DefinitionError(family, f"expected a ttl of more than 0 seconds, or None, got {ttl!r}")
        self.descriptor = Descriptor(self._kind, family, str(documentation), names, context, unit, **shape)
        self._registry = registry if registry is not None else CollectorRegistry()
        self._self_metrics = get_self_metrics(self._registry)
        self._children: ChildTable[Any] = self._registry.storage.open(
            self.descriptor, self._self_metrics, max_children=max_children, ttl=ttl
        )
        self._table: dict[tuple[object, ...], C] = self._children.by_values  # type: ignore[assignment]  # for look-ups only
        if registry is not None:
            registry.register(self)
        if context:
            self.labels = self._labels_in_context  # type: ignore[method-assign]
        elif not names:
            child = self._children.find(())
            for operation in self._operations:
                setattr(self, operation, getattr(child, operation))

    def labels(self, *values: object, **named: object) -> C:
        """Return the child with these label values, in order or by name, making it if it is new.

        A value that is no text is written by ``str``. Raises `LabelError` naming what is missing or unknown.
        """
        if named:
            values = self._positional(values, named)
        try:
            return self._table[values]
        except (KeyError, TypeError):  # new, or not text, or not even hashable
            pass
        return self._children.find(values)  # type: ignore[no-any-return]

    def remove(self, *labelvalues: object) -> None:
        """Take the child with these label values (those of the context last) out of the exposition.

        Who still holds it may go on using it, unseen.
        """
        self._names_to_remove_by()
        self._children.remove(self._children.make_key(labelvalues))

    def remove_by_labels(self, labels: Mapping[str, object]) -> None:
        """Take every child out that has these values, whatever its other labels are; no labels at all take none out."""
        names = self._names_to_remove_by()
        if not isinstance(labels, Mapping):
            message = f"{self.descriptor.name}: expected a mapping of label names to values, got {labels!r}"
            raise TypeError(message)
        unknown = sorted(set(labels).difference(names))
        if unknown:
            raise LabelError(self.descriptor.name, f"has no labels {unknown}, only {list(names)}")
        wanted = [(names.index(name), to_label_text(value)) for name, value in labels.items()]
        for key in self._children.list_keys() if wanted else ():
            if all(key[index] == value for index, value in wanted):
                self._children.remove(key)

    def clear(self) -> None:
        """Take every child out; a metric without labels keeps its number."""
        if self.descriptor.all_labelnames:
            self._children.clear()

    def _names_to_remove_by(self) -> tuple[str, ...]:
        names = self.descriptor.all_labelnames
        if not names:
            raise LabelError(self.descriptor.name, "has no labels, so there is no child to remove")
        return names

    def label_values(self) -> list[tuple[str, ...]]:
        """Return the label values of every child that this process has, those of the context last."""
        return list(self._children.by_values)

    @property
    def blocking(self) -> bool:
        """Whether collecting may wait for something: for a gauge's functions, which are the application's."""
        return bool(self._children.functions)

    def collect(self) -> Iterable[Metric] | Awaitable[Iterable[Metric]]:
        """Return the family of this metric, or an awaitable of it while a gauge function is async."""
        pending = self._children.refresh()
        return _Later(self._children, pending, self._family) if pending else [self._family()]

    def describe(self) -> Iterable[Metric]:
        """Return the family of this metric without samples."""
        descriptor = self.descriptor
        return [Metric(descriptor.name, descriptor.documentation, descriptor.kind, descriptor.unit)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.descriptor.name!r})"

    def _family(self) -> LiveFamily:
        return LiveFamily(self.descriptor, self._children.read, now=time.time(), created=created_enabled())

    def _positional(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[object, ...]:
        names = self.descriptor.labelnames
        if not values and len(named) == len(names):
            try:
                return tuple(map(named.__getitem__, names))
            except KeyError:
                pass
        if values:
            raise LabelError(self.descriptor.name, f"give the labels {list(names)} in order or by name, not both")
        missing = [name for name in names if name not in named]
        unknown = [name for name in named if name not in names]
        raise LabelError(self.descriptor.name, f"has the labels {list(names)}: missing {missing}, unknown {unknown}")

    def _labels_in_context(self, *values: object, **named: object) -> Any:
        names = self.descriptor.labelnames
        if named:
            values = self._positional(values, named)
        if len(values) != len(names):
            raise LabelError(
                self.descriptor.name, f"has the labels {list(names)}, but the values {list(values)} were given"
            )
        return self._view(self, tuple(map(to_label_text, values)))

    def _context(self) -> tuple[str, ...]:
        names = self.descriptor.contextnames
        try:
            return read_labels(names)
        except Exception:  # noqa: BLE001  # what was bound, far up the stack, must not break what is measured here
            self._self_metrics.count_internal_error("context_labels")
            return ("",) * len(names)

    def require_labels(self) -> None:
        """Raise `LabelError` if this metric has labels: a child is to be chosen first."""
        names = self.descriptor.labelnames
        if names:
            raise LabelError(self.descriptor.name, f"has the labels {list(names)}: choose a child by labels() first")

    def _resolve(self) -> Any:
        self.require_labels()
        return self._children.find(self._context())


class ContextView(Labelled):
    """A metric with its explicit labels chosen and its context labels read at each use."""

    __slots__ = ("_metric", "_values")

    def __init__(self, metric: MetricBase[Any], values: tuple[str, ...]) -> None:
        self._metric = metric
        self._values = values

    def _resolve(self) -> Any:
        metric = self._metric
        return metric._children.find(self._values + metric._context())

    def __repr__(self) -> str:
        return f"{self._metric!r}.labels{self._values!r}"
