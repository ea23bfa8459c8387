"""The kinds of metric families: one table, which all other layers read.

To add a kind that custom collectors can yield, add a row to `KINDS`. To add one that programs can declare, also add

1. its name to `DeclaredKind`;
2. an interface in ``children/interfaces.py``;
3. a child class in ``storage/memory/plain.py`` and ``storage/shared/children.py``, with its entries in the tables
   ``PLAIN_CHILDREN`` and ``_PLAIN``, and its methods in ``_METHODS`` of ``storage/memory/locked.py``;
4. a rule in ``storage/shared/scrape/merge_rules.py``, unless a rule there merges it already;
5. a metric class in ``metrics/``, and its name in ``metrics/__init__.py`` and ``asyncmetrics/__init__.py``;
6. its operations in `asyncmetrics.testing.StorageContract`, and a declaration in ``tests/model/test_kinds.py``, which
   fails if a child class or the rule is missing.

The suffixes are those of OpenMetrics 1.0 ("Metric Types"), in the order in which a child's samples are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from asyncmetrics.model.caching import cache_short_texts
from asyncmetrics.model.escaping import UNDERSCORES, escape_name

__all__ = ("KINDS", "NUMERIC_LABELS", "DeclaredKind", "Merge", "MetricKind", "is_never_negative", "list_family_names")

DeclaredKind: TypeAlias = Literal["counter", "gauge", "summary", "histogram", "info", "stateset"]
"""The kinds of the metrics that a program can declare. Custom collectors can yield families of all `KINDS`."""

Merge: TypeAlias = Literal["add_value", "add_rows", "by_mode", "each_fact", "each_state"]
"""How shared storage merges the numbers of several workers: a key of its ``MERGE_RULES``."""

NUMERIC_LABELS = frozenset({"le", "quantile"})
"""The own labels (see `MetricKind`) whose values are numbers."""

_NEVER_NEGATIVE = frozenset({"_total", "_bucket", "_count", "_sum", "_gcount"})


@final
@dataclass(frozen=True, slots=True)
class MetricKind:
    """One kind of metric families. Each attribute is true of all families of the kind.

    For formats:

    * ``name``: the type in OpenMetrics;
    * ``suffixes``: what the names of samples add to the name of the family;
    * ``text_type``: the type in the text format 0.0.4, which adds ``text_suffix`` to the name of the family;
    * ``own_label``: the label in which the samples of one child with the suffix ``own_suffix`` differ. ``<name>``
      stands for the name of the family;
    * ``totals``: the suffixes of count and sum of a histogram, which have either both samples or none;
    * ``whole``: the suffixes whose values are whole numbers;
    * ``exemplars``: the suffixes whose samples may have an exemplar;
    * ``has_unit``: whether OpenMetrics allows a unit;
    * ``has_value``: whether a child of a declared metric holds one number, in its attribute ``value``.

    For shared storage, which declared metrics alone use:

    * ``cells``: how many numbers a series takes, its mark of presence included and its buckets left out;
    * ``merge``: how the series of several workers become one;
    * ``is_state``: whether the numbers describe the worker's present state, so that they end with the worker.
    """

    name: str
    suffixes: tuple[str, ...]
    text_type: str
    text_suffix: str = ""
    own_label: str = ""
    own_suffix: str = ""
    totals: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()
    exemplars: frozenset[str] = frozenset()
    has_unit: bool = True
    has_value: bool = False
    cells: int = 0
    merge: Merge = "add_value"
    is_state: bool = False

    @property
    def has_created(self) -> bool:
        """Whether a child may have a ``_created`` sample."""
        return "_created" in self.suffixes

    @property
    def value_suffixes(self) -> tuple[str, ...]:
        """The suffixes of the samples that hold values: all but ``_created``."""
        return tuple(suffix for suffix in self.suffixes if suffix != "_created")

    def get_own_label(self, family: str, suffix: str) -> str:
        """Return the label in which the samples of one child with ``suffix`` differ, or ``""`` if it has only one."""
        if suffix != self.own_suffix:
            return ""
        return family if self.own_label == "<name>" else self.own_label


KINDS: dict[str, MetricKind] = {
    kind.name: kind
    for kind in (
        MetricKind(
            "counter", ("_total", "_created"), "counter", "_total",
            exemplars=frozenset({"_total"}), has_value=True, cells=2, merge="add_value",
        ),
        MetricKind("gauge", ("",), "gauge", has_value=True, cells=2, merge="by_mode", is_state=True),
        MetricKind(
            "summary", ("", "_count", "_sum", "_created"), "summary",
            own_label="quantile", whole=frozenset({"_count"}), cells=3, merge="add_rows",
        ),
        MetricKind(
            "histogram", ("_bucket", "_count", "_sum", "_created"), "histogram",
            own_label="le", own_suffix="_bucket", totals=("_count", "_sum"), whole=frozenset({"_bucket", "_count"}),
            exemplars=frozenset({"_bucket"}), cells=2, merge="add_rows",
        ),
        MetricKind(
            "gaugehistogram", ("_bucket", "_gcount", "_gsum"), "histogram",
            own_label="le", own_suffix="_bucket", totals=("_gcount", "_gsum"), whole=frozenset({"_bucket", "_gcount"}),
            exemplars=frozenset({"_bucket"}),
        ),
        MetricKind("unknown", ("",), "untyped"),
        MetricKind("info", ("_info",), "gauge", "_info", has_unit=False, cells=2, merge="each_fact", is_state=True),
        MetricKind(
            "stateset", ("",), "gauge", own_label="<name>", has_unit=False, cells=2, merge="each_state", is_state=True
        ),
    )
}  # fmt: skip
"""Every kind by its name, in the order of prometheus_client's ``METRIC_TYPES``."""


def is_never_negative(suffix: str) -> bool:
    """Return whether samples with ``suffix`` can be neither negative nor NaN, in families of any kind."""
    return suffix in _NEVER_NEGATIVE


@cache_short_texts
def list_family_names(name: str, kind: str) -> frozenset[str]:
    """Return the names of a family and of its samples, as a server that allows the fewest characters sees them.

    Two families of one exposition must not have any of these names in common.
    """
    suffixes = KINDS[kind].suffixes if kind in KINDS else ()
    return frozenset(escape_name(name + suffix, UNDERSCORES) for suffix in ("", *suffixes))
