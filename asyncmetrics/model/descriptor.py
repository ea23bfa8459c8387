"""What is fixed when a metric is declared: the value that storages, registries and formats key everything on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, final

from asyncmetrics.model.kinds import KINDS, DeclaredKind

__all__ = ("GAUGE_MODES", "Descriptor", "GaugeMode", "Row", "format_bound")

GaugeMode: TypeAlias = Literal[
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"
]
GAUGE_MODES: tuple[GaugeMode, ...] = (
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent",
)  # fmt: skip


def format_bound(bound: float) -> str:
    """Write a bucket's bound as a canonical number, such as ``1.0``, ``1e+06`` or ``+Inf``.

    OpenMetrics 1.0, "Canonical Numbers". The form is that of Go's ``%g`` with ``.0`` on whole numbers, so that the
    ``le`` of every client agree.
    """
    text = repr(float(bound))
    if text in {"inf", "-inf"}:
        return "+Inf" if bound > 0 else "-Inf"
    whole, _, fraction = text.partition(".")
    digits = whole.lstrip("-")
    if len(digits) < 7 or "e" in text:
        return text
    mantissa = f"{digits[0]}.{digits[1:]}{fraction}".rstrip("0").rstrip(".")
    return f"{'-' if bound < 0 else ''}{mantissa}e+{len(digits) - 1:02d}"


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One sample of every child: its name, and the label that tells it from its sisters (``le``, or a state)."""

    name: str
    label: tuple[str, str] | None = None


@final
@dataclass(frozen=True, slots=True)
class Descriptor:
    """A metric's definition; two are equal when kind, name, unit, labels, buckets and states agree.

    ``name`` is the family name, without ``_total``. ``labelnames`` are those given to ``labels()``, and
    ``contextnames`` those read from the context; a child's values come in that order. ``buckets`` are a histogram's
    upper bounds, ``+Inf`` last. ``mode`` says how a gauge is merged over several workers.
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

    @property
    def all_labelnames(self) -> tuple[str, ...]:
        """The names of a child's label values, in order."""
        return self.labelnames + self.contextnames

    @property
    def has_created(self) -> bool:
        """Whether this kind may expose when a child was created."""
        return KINDS[self.kind].has_created

    def difference(self, other: Descriptor) -> str:
        """Tell in what ``other`` differs from this definition."""
        pairs = (
            (item.name, getattr(self, item.name), getattr(other, item.name)) for item in fields(self) if item.compare
        )
        return "; ".join(f"its {name} is {mine!r}, not {theirs!r}" for name, mine, theirs in pairs if mine != theirs)

    def rows(self) -> tuple[Row, ...]:
        """Return the samples of one child in the order in which its numbers come.

        A histogram with a negative bound has neither ``_count`` nor ``_sum`` (OpenMetrics 1.0, "Histogram").
        """
        if self.kind == "stateset":
            return tuple(Row(self.name, (self.name, state)) for state in self.states)
        if self.kind != "histogram":
            kind = KINDS[self.kind]  # a summary of ours has no quantiles
            suffixes = (suffix for suffix in kind.value_suffixes if suffix != kind.own_suffix or not kind.own_label)
            return tuple(Row(self.name + suffix) for suffix in suffixes)
        buckets = tuple(Row(f"{self.name}_bucket", ("le", format_bound(bound))) for bound in self.buckets)
        totals = () if self.buckets[0] < 0 else (Row(f"{self.name}_count"), Row(f"{self.name}_sum"))
        return buckets + totals
