"""The definition of a metric: what a declaration fixes, and what storages, registries and formats read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Literal, TypeAlias, final, get_args

from asyncmetrics.errors import show
from asyncmetrics.model.kinds import KINDS, DeclaredKind
from asyncmetrics.model.native import DEFAULT_SCHEMA, NativeOptions

__all__ = ("GAUGE_MODES", "Descriptor", "ExemplarProvider", "GaugeMode", "Row", "format_bound")

ExemplarProvider: TypeAlias = Callable[[], "Mapping[str, str] | None"]
"""Returns the labels of an exemplar for what runs at the moment, such as a trace id, or None."""

GaugeMode: TypeAlias = Literal[
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"
]
GAUGE_MODES: tuple[GaugeMode, ...] = get_args(GaugeMode)

_ARGUMENTS = {"contextnames": "context_labels"}  # the fields of a descriptor that the constructor calls otherwise


def _show(value: object) -> str:
    return show(list(value) if isinstance(value, tuple) else value)


def format_bound(bound: float) -> str:
    """Return a bucket's bound as text, such as ``1.0``, ``1e+06`` or ``+Inf``, as prometheus_client writes it.

    That is Go's ``%g`` with ``.0`` after whole numbers, and Python's repr for negative bounds.
    """
    text = repr(float(bound))
    if text in {"inf", "-inf"}:
        return "+Inf" if bound > 0 else "-Inf"
    whole, _, fraction = text.partition(".")
    if bound < 0 or len(whole) < 7 or "e" in text:  # %g of Go takes an exponent from 1e+06 on, repr from 1e+16 on
        return text
    return f"{f'{whole[0]}.{whole[1:]}{fraction}'.rstrip('0.')}e+{len(whole) - 1:02d}"


def _list_native_arguments(options: NativeOptions | None) -> dict[str, object]:
    """Return the options of a native histogram as the arguments of the constructor, which calls the schema native."""
    if options is None:
        return {"native": False}
    named: dict[str, object] = options._asdict()
    schema = named.pop("schema")
    return {"native": True if schema == DEFAULT_SCHEMA else schema, **named}


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One sample of every child: its name, and the label (``le`` or a state) in which the child's samples differ."""

    name: str
    label: tuple[str, str] | None = None


@final
@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a declaration of a metric fixes. Two are equal if all of it but the documentation and the mode are equal.

    ``name`` is the name of the family, without ``_total``. ``labelnames`` are the labels whose values are given to
    ``labels()``, and ``contextnames`` those whose values are read from the context. The values of a child come in this
    order. ``buckets`` are the upper bounds of a histogram, ``+Inf`` last. ``mode`` is how the values of a gauge in
    several workers are merged. ``per_worker`` is whether the numbers of each worker are exposed apart, with its label.
    ``omit_empty`` is whether labels whose value is empty are left out. ``native`` has the options of a native
    histogram, whose ``buckets`` are those of the classic one beside it, only ``+Inf`` if there is none.
    ``exemplars`` is asked for the exemplar of an observation that has none.
    """

    kind: DeclaredKind
    name: str
    documentation: str = field(compare=False)
    labelnames: tuple[str, ...] = ()
    contextnames: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    states: tuple[str, ...] = ()
    mode: GaugeMode = field(default="all", compare=False)
    per_worker: bool = False
    omit_empty: bool = False
    native: NativeOptions | None = None
    exemplars: ExemplarProvider | None = field(default=None, compare=False)

    @property
    def is_native_only(self) -> bool:
        """Whether this is a native histogram without a classic one beside it."""
        return self.native is not None and self.buckets == (inf,)

    @property
    def all_labelnames(self) -> tuple[str, ...]:
        """The names of all labels, in the order of a child's values."""
        return self.labelnames + self.contextnames

    @property
    def shape(self) -> tuple[object, ...]:
        """All but the documentation: the series of two definitions can be merged if their shapes are equal."""
        names = (self.kind, self.name, self.labelnames, self.contextnames, self.unit)
        return (*names, self.buckets, self.states, self.mode, self.per_worker, self.omit_empty, self.native)

    @property
    def has_created(self) -> bool:
        """Whether ``_created`` samples may be exposed: true of counters, summaries and histograms."""
        return KINDS[self.kind].has_created

    @property
    def exposed_name(self) -> str:
        """The name that a program and a query know, as in ``# TYPE orders_total counter`` of the text format."""
        return self.name + KINDS[self.kind].text_suffix

    def name_series(self, values: tuple[str, ...]) -> str:
        """Return the name with its first labels, such as ``orders_total{kind='retail'}``, for an error message."""
        labels = ",".join(f"{name}={value!r}" for name, value in zip(self.all_labelnames, values, strict=False))
        return f"{self.exposed_name}{labels and f'{{{labels}}}'}"

    def describe_difference(self, other: Descriptor) -> str:
        """Return a text such as ``unit='bytes' and not unit=''``, for an error message, in the constructor's words."""
        if self.kind != other.kind:
            return "it is of another kind"
        mine, theirs = self._list_arguments(), other._list_arguments()
        differences = [
            f"{name}={_show(value)} and not {_show(theirs[name])}"
            for name, value in mine.items()
            if name in theirs and value != theirs[name]
        ]
        return f"it has {', '.join(differences)}"

    def _list_arguments(self) -> dict[str, object]:
        """Return what two equal descriptors have in common, as the arguments of the constructor."""
        compared = (item.name for item in fields(self) if item.compare)
        found: dict[str, object] = {_ARGUMENTS.get(name, name): getattr(self, name) for name in compared}
        if self.is_native_only:
            found["buckets"] = ()
        return found | _list_native_arguments(self.native)

    def list_rows(self) -> tuple[Row, ...]:
        """Return the samples of one child, in the order of the numbers of `Point.read_numbers`.

        A histogram with a negative bound has no ``_sum``, which could fall (OpenMetrics 1.0, "Histogram").
        """
        kind = KINDS[self.kind]
        # A summary has none: no metric of this library computes quantiles.
        values = {"le": tuple(map(format_bound, self.buckets)), "<name>": self.states}.get(kind.own_label, ())
        rows: list[Row] = []
        for suffix in kind.value_suffixes:
            own = kind.get_own_label(self.name, suffix)
            if own:
                rows += (Row(self.name + suffix, (own, value)) for value in values)
            elif suffix != "_sum" or not self.buckets or self.buckets[0] >= 0:
                rows.append(Row(self.name + suffix))
        return tuple(rows)
