"""What all kinds of metrics share: names and labels, children, registration, collection.

*Theory of operation.*

1. The constructor checks the definition and opens a child table in the registry's storage. Before it, the name is free;
   after it, the name belongs to this metric in its registry.
2. A metric without any labels then creates its only child and takes over the child's methods as its own attributes.
   From now on ``metric.inc`` is ``child.inc``, so that using the metric costs what using the child costs.
3. A metric with labels creates a child at the first ``labels()`` with its label values. Later calls find the same child
   in the table.

`asyncmetrics.metrics._resolvers` has the exceptions: metrics with context labels, and classes that programs derive.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

from asyncmetrics.children.callbacks import Callback
from asyncmetrics.children.interfaces import Labelled, name_methods
from asyncmetrics.children.table import ChildTable, select_keys
from asyncmetrics.context import read_labels
from asyncmetrics.context.names import declare_labels
from asyncmetrics.errors import LabelError, show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics._metric_type import MetricType
from asyncmetrics.metrics._mistakes import KINDS_OF_OPTIONS, check_labels, check_limits
from asyncmetrics.metrics._resolvers import (
    ContextChild,
    Resolver,
    Views,
    bind_operations,
    find_own_operations,
)
from asyncmetrics.metrics.created import is_created_enabled
from asyncmetrics.model.checks import check_flag, check_text
from asyncmetrics.model.descriptor import Descriptor, ExemplarProvider, GaugeMode
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS, DeclaredKind
from asyncmetrics.model.label_errors import make_label_error, make_unchosen_error
from asyncmetrics.model.names import build_name, check_label_names, check_metric_name, to_label_text
from asyncmetrics.model.native import NativeOptions
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.drivers import PendingFamilies, PendingSource
from asyncmetrics.registry.plain import make_plain
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.registry.sources import CallbackCollector

__all__ = ("MetricBase", "Shape")

M = TypeVar("M")
C = TypeVar("C", bound=Labelled)
# The types of the options that one kind alone has. A kind binds those that it lacks to NoReturn: no value has that
# type, so type checkers refuse the option. (typing.Never is the better name, from Python 3.11 on.)
B = TypeVar("B")
S = TypeVar("S")
G = TypeVar("G")
W = TypeVar("W")
N = TypeVar("N")
L = TypeVar("L")
E = TypeVar("E")


class Shape(NamedTuple):
    """The part of a `Descriptor` that the options of one kind decide."""

    buckets: tuple[float, ...] = ()
    states: tuple[str, ...] = ()
    mode: GaugeMode = "all"
    per_worker: bool = False
    native: NativeOptions | None = None
    exemplars: ExemplarProvider | None = None


# The default of the options: None is a value that a program may have passed by mistake.
_NOT_PASSED: Any = object()


def _make_picker(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """Return a function that returns the values of ``names`` in a mapping, in this order."""
    if len(names) > 1:
        return itemgetter(*names)  # one call of C code: a fifth of the time of tuple(map(named.__getitem__, names))
    if not names:
        return lambda named: ()  # noqa: ARG005
    (name,) = names  # an itemgetter of one name returns no tuple
    return lambda named: (named[name],)


@name_methods
class MetricBase(Resolver[C], CallbackCollector, Generic[C, B, S, G, W, N, L, E], metaclass=MetricType):
    """A metric: a definition, and a child for each combination of label values.

    `labels` takes the values of ``labelnames``; the values of ``context_labels`` are read from the context at each use.
    The full name is ``namespace_subsystem_name_unit``. A metric with ``registry=None`` registers nowhere. When there
    are ``max_children`` label sets (None: no limit), all new ones share one more child whose every label is
    ``__overflow__``; each use of it is counted in ``asyncmetrics_overflowed_label_sets_total``. With ``omit_empty``, a
    label whose value is empty is not exposed (Prometheus takes both for the same). A child that has not
    changed for ``ttl`` seconds is no longer exposed (setting a gauge to its present value is no change). With
    ``exist_ok``, a metric of this name that is registered already is returned
    if its kind, unit, labels, buckets, states, ``per_worker``, native histogram and, if given, ``exemplars`` agree.

    ``buckets``, ``states`` and ``multiprocess_mode`` belong to `Histogram`, `Enum` and `Gauge`; ``per_worker`` to
    `Counter`, `Summary` and `Histogram`. The other kinds raise `TypeError` for them. ``per_worker=True`` exposes the
    numbers of each worker apart, with the label ``worker``, if several workers share their metrics; otherwise their sum
    is exposed. ``exemplars``, of `Counter` and `Histogram`, is where exemplars come from: ``"trace"``,
    ``"traceparent"`` or a function (`asyncmetrics.context.exemplars`), which is asked for one per bucket and scrape.

    Raises `DefinitionError` for invalid names and options, `DuplicateMetricError` for a name that is taken.
    """

    _kind: ClassVar[DeclaredKind]
    _operations: ClassVar[tuple[str, ...]] = ()
    _own_operations: tuple[str, ...] = ()  # of the class
    _context_child: ClassVar[type[ContextChild[Any]]]
    _check_name = staticmethod(check_metric_name)
    _check_label_names = staticmethod(check_label_names)
    _is_created_enabled = staticmethod(is_created_enabled)
    _make_registry = staticmethod(CollectorRegistry)  # for a metric that registers nowhere
    _library_class: ClassVar[type[MetricBase[Any, Any, Any, Any, Any, Any, Any, Any]]]
    _library_methods: ClassVar[Mapping[str, object]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_kind" in vars(cls):
            cls._library_class, cls._library_methods = cls, {name: getattr(cls, name) for name in cls._operations}
        cls._own_operations = find_own_operations(cls, cls._library_methods)

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
        buckets: B = _NOT_PASSED,
        states: S = _NOT_PASSED,
        multiprocess_mode: G = _NOT_PASSED,
        per_worker: W = _NOT_PASSED,
        native: N = _NOT_PASSED,
        max_buckets: L = _NOT_PASSED,
        zero_threshold: L = _NOT_PASSED,
        max_zero_threshold: L = _NOT_PASSED,
        min_reset_seconds: L = _NOT_PASSED,
        exemplars: E = _NOT_PASSED,
        context_labels: Iterable[str] = (),
        omit_empty: bool = False,
        max_children: int | None = 100_000,  # 38 MB of counters, 60 MB of histograms with the default buckets
        ttl: float | None = None,
        exist_ok: bool = False,  # read by the metaclass
    ) -> None:
        options = self._pick_options(locals())
        family = build_name(self._kind, name, namespace, subsystem, unit, self._check_name)
        owner = family + KINDS[self._kind].text_suffix
        shape = self._make_shape(owner, **options)
        names, context = self._check_labels(owner, family, labelnames, context_labels)
        check_text("documentation", documentation, "Orders taken.", owner)
        check_limits(owner, max_children, ttl)
        check_flag("exist_ok", exist_ok, owner)
        check_flag("omit_empty", omit_empty, owner)
        if registry is not None:
            check_full_registry(registry)
        self.descriptor = Descriptor(
            self._kind, family, documentation, names, context, unit or "", omit_empty=omit_empty, **shape._asdict()
        )
        self._open(registry, max_children, ttl)

    def _check_labels(
        self, owner: str, family: str, labelnames: Iterable[str], context_labels: Iterable[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        kind = KINDS[self._kind]
        own_label = kind.get_own_label(family, kind.own_suffix)
        return check_labels(owner, labelnames, context_labels, own_label, self._check_label_names)

    def _open(self, registry: CollectorRegistry | None, max_children: int | None, ttl: float | None) -> None:
        """Open the child table and register the metric."""
        self._registry = registry if registry is not None else self._make_registry()
        self._self_metrics = get_self_metrics(self._registry)
        self._children: ChildTable[Any] = self._registry.storage.open(
            self.descriptor, self._self_metrics, max_children=max_children, ttl=ttl
        )
        self._table: dict[tuple[object, ...], C] = {}  # the children, for look-ups only; none where `Views` has them
        names = self.descriptor.labelnames
        self._pick, self._label_count = _make_picker(names), len(names)
        self._views = None if type(self) is self._library_class else Views(self, keeps=ttl is None)
        if registry is not None:
            registry.register(self)
        self.is_fixed = not self.descriptor.contextnames
        self._choose_labels()
        self._use_table(self._children)
        self._children.on_replace(self._use_table)

    def _choose_labels(self) -> None:
        """Replace `labels` by the method for context labels, or by the one that finds views at once."""
        if self.descriptor.contextnames:
            declare_labels(self.descriptor.contextnames)
            self.labels = self._labels_in_context  # type: ignore[method-assign,assignment]  # it does what a child does
        elif self._views is not None and type(self).labels is MetricBase.labels:
            self.labels = self._views.labels  # type: ignore[method-assign]

    def _use_table(self, children: ChildTable[Any]) -> None:
        """Find children in this table from now on."""
        self._children = children
        self._bind()
        if self._views is None:
            self._table = children.by_values  # type: ignore[assignment]

    def _bind(self) -> None:
        """Take the methods of the only child, if there are no labels."""
        if not self.descriptor.all_labelnames:
            bind_operations(self, self._children.find_only())

    @classmethod
    def _pick_options(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options among ``arguments`` that the caller passed. Raises `TypeError` for another kind's."""
        passed = {option: arguments[option] for option in KINDS_OF_OPTIONS if arguments[option] is not _NOT_PASSED}
        for option in passed.keys() - (cls._make_shape.__kwdefaults__ or {}).keys():
            message = f"{cls.__name__}() got an unexpected keyword argument {option!r}"
            raise TypeError(message)
        return passed

    def _make_shape(self, name: str) -> Shape:  # noqa: ARG002  # the errors of the kinds that have an option use it
        """Return the part of the descriptor that the option decides.

        A kind with an option overrides this method and adds the option as a keyword-only argument, with its default.
        """
        return Shape()

    def labels(self, *values: object, **named: object) -> C:
        """Return the child with these label values, in order or by name; create it if it is new.

        A value that is not text is converted by ``str``. Raises `LabelError` that names the missing or unknown labels.
        """
        try:  # one look-up finds a known child whose values are text: benchmarks/hot_path.py
            if not named:
                return self._table[values]
            if len(named) == self._label_count and not values:
                return self._table[self._pick(named)]
        except (KeyError, TypeError) as error:  # new, or not text, or not even hashable, or another name
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                pass_interruption(error)
        if named:
            values = self._to_positional(values, named)
        return self._find(values)

    def _find(self, values: tuple[object, ...]) -> C:
        return cast(C, (self._find_child if self._views is None else self._views.find)(values))

    def _find_child(self, values: tuple[object, ...]) -> Any:
        return self._children.find(values)

    def _complete(self, view: Any) -> None:
        """Do to a new view of a child what a class that programs derive from needs."""

    def find(self, values: tuple[str, ...]) -> C:
        """Return what ``labels(*values)`` returns, for texts and for a metric without context labels.

        It takes a third less time if the child is known: benchmarks/middleware.py.
        """
        child = self._table.get(values)
        return self.labels(*values) if child is None else child

    def remove(self, *labelvalues: object) -> None:
        """Remove the child with these label values; the values of context labels come last.

        References to the child keep working but are no longer exposed.
        """
        self._require_label_names()
        self._children.remove(self._children.make_key(labelvalues))

    def remove_by_labels(self, labels: Mapping[str, object]) -> None:
        """Remove every child that has these values, whatever its other labels are; an empty mapping removes none."""
        names = self._require_label_names()
        if not isinstance(labels, Mapping):
            message = f"{self.descriptor.exposed_name}: expected a mapping of label names to values, got {show(labels)}"
            raise TypeError(message)
        unknown = sorted(str(name) for name in labels if name not in names)
        if unknown:
            raise make_label_error(self.descriptor, names, (), dict.fromkeys((*names, *unknown)))
        for key in select_keys(self._children.list_keys(), names, labels):
            self._children.remove(key)

    def clear(self) -> None:
        """Remove every child; a metric without labels keeps its only child."""
        if self.descriptor.all_labelnames:
            self._children.clear()

    def _require_label_names(self) -> tuple[str, ...]:
        names = self.descriptor.all_labelnames
        if not names:
            raise LabelError(self.descriptor.exposed_name, "has no labels, so there is no child to remove")
        return names

    def label_values(self) -> list[tuple[str, ...]]:
        """Return the label values of every child of this process; the values of context labels come last."""
        return list(self._children.by_values)

    @property
    def blocking(self) -> bool:
        """Whether collecting may block: it calls code of the application, such as the functions of a gauge."""
        return self.has_own_collect or not all(callback.is_immediate for callback in self.list_callbacks())

    @property
    def has_own_collect(self) -> bool:
        """Whether a program has overridden `collect`."""
        return getattr(self.collect, "__func__", None) is not MetricBase.collect

    def collect(self) -> Iterable[Metric] | Awaitable[Iterable[Metric]]:
        """Return the family of this metric, or an awaitable of it if a gauge function is async."""
        pending = [PendingSource(callback) for callback in self._children.list_callbacks()]
        outcomes = [(one.source, one.get_outcome()) for one in pending]
        if any(outcome is None for _, outcome in outcomes):
            return PendingFamilies(pending, self._take_outcomes)
        return self._take_outcomes(outcomes)

    def _take_outcomes(self, outcomes: Iterable[tuple[Any, Any]]) -> Iterable[Metric]:
        for callback, outcome in outcomes:
            problem = callback.take(outcome)
            if problem is not None:
                self._self_metrics.count_collector_error(self.descriptor.name, problem)
        return [make_plain(self.make_family())]

    def list_callbacks(self) -> Sequence[Callback]:
        """Return the functions of a gauge, which a collection asks before it makes the family."""
        return self._children.list_callbacks()

    def describe(self) -> Iterable[Metric]:
        """Return the family of this metric without samples."""
        descriptor = self.descriptor
        return [Metric(descriptor.name, descriptor.documentation, descriptor.kind, descriptor.unit)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.descriptor.exposed_name!r})"

    def make_family(self) -> LiveFamily:
        """Return the family with the present numbers, without those of functions that have failed."""
        children = self._children
        created = self._is_created_enabled()
        return LiveFamily(
            self.descriptor, children.read, now=time.time(), created=created, encodings=children.encodings
        )

    def _to_positional(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[object, ...]:
        names = self.descriptor.labelnames
        if not values and len(named) == len(names):
            try:
                return self._pick(named)
            except KeyError as error:
                pass_interruption(error)
        raise make_label_error(self.descriptor, names, values, named)

    def _labels_in_context(self, *values: object, **named: object) -> ContextChild[C]:
        names = self.descriptor.labelnames
        if named:
            values = self._to_positional(values, named)
        if len(values) != len(names):
            raise make_label_error(self.descriptor, names, values)
        child = self._context_child(self, tuple(map(to_label_text, values)))
        return child if self._views is None else cast(ContextChild[C], self._views.make(child))

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment."""
        names = self.descriptor.contextnames
        try:
            return read_labels(names)
        except Exception as error:  # noqa: BLE001  # a callable bound far up the stack must not break the measured code
            pass_interruption(error)
            self._self_metrics.count_internal_error("context_labels")
            return ("",) * len(names)

    def require_labels(self) -> None:
        """Raise `LabelError` if this metric has labels: the caller must choose a child first."""
        if self.descriptor.labelnames:
            raise make_unchosen_error(self.descriptor)

    def in_context(self, context: tuple[str, ...]) -> Any:
        """Return the child for what `read_context` has returned; this metric itself if it is fixed."""
        if self.is_fixed:
            return self
        self.require_labels()
        return self._find(context)

    def count_dropped(self) -> None:
        """Count a measurement that is dropped: an exception left the block before its labels were chosen."""
        self._self_metrics.count_dropped_observation(self.descriptor.name, "an exception came before its labels")

    def _resolve(self) -> C:
        self.require_labels()
        child: C = self._children.find(self.read_context())
        return child
