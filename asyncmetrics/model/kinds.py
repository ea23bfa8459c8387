"""The kinds of metric families: ONE table of what each kind is, read by every other layer.

To add a kind, add a row to `KINDS`. If programs shall declare metrics of it, also add a metric class in ``metrics/``, a
child class in ``storage/memory/plain.py`` and in ``storage/shared/children.py``, and a rule in
``storage/shared/scrape/merge_rules.py`` if no rule there merges it yet.

The suffixes are those of OpenMetrics 1.0 ("Metric Types"), in the order in which a child's samples are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

__all__ = ("KINDS", "NUMERIC_LABELS", "DeclaredKind", "Merge", "MetricKind", "is_never_negative")

DeclaredKind: TypeAlias = Literal["counter", "gauge", "summary", "histogram", "info", "stateset"]
"""The kinds of which a program can declare metrics; custom collectors may yield families of all `KINDS`."""

Merge: TypeAlias = Literal["add_value", "add_rows", "by_mode", "each_fact", "each_state"]
"""How the numbers of several workers become one family: a key of ``MERGE_RULES`` in shared storage."""

NUMERIC_LABELS = frozenset({"le", "quantile"})
"""The own labels whose values are numbers."""

_NEVER_NEGATIVE = frozenset({"_total", "_bucket", "_count", "_sum", "_gcount"})


@final
@dataclass(frozen=True, slots=True)
class MetricKind:
    """What is true of every family of one kind.

    ``name`` is the type in OpenMetrics, and ``text_type`` the type in the text format 0.0.4, where the family's name
    gets ``text_suffix``. ``suffixes`` are what sample names add to the family's name. The samples of one child with the
    suffix ``own_suffix`` differ in the label ``own_label`` (``<name>`` stands for the name of the family). ``totals``
    are the suffixes of count and sum, which go together. ``whole`` are the suffixes whose values are whole numbers,
    ``exemplars`` those that may have an exemplar. ``has_unit`` is whether the format allows a unit.

    ``cells`` is how many numbers shared storage keeps for a series besides one for each bucket; ``merge`` is how the
    series of several workers become one; ``is_state`` is whether a number says how things are now, so that it ends with
    its worker.
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
    cells: int = 0
    merge: Merge = "add_value"
    is_state: bool = False

    @property
    def has_created(self) -> bool:
        """Whether a child may expose when it was created."""
        return "_created" in self.suffixes

    @property
    def value_suffixes(self) -> tuple[str, ...]:
        """The suffixes of the samples that hold values: all but ``_created``."""
        return tuple(suffix for suffix in self.suffixes if suffix != "_created")

    def get_own_label(self, family: str, suffix: str) -> str:
        """Return the label in which the samples of one child with ``suffix`` differ, or ``""`` if there is one only."""
        if suffix != self.own_suffix:
            return ""
        return family if self.own_label == "<name>" else self.own_label


KINDS: dict[str, MetricKind] = {
    kind.name: kind
    for kind in (
        MetricKind(
            "counter", ("_total", "_created"), "counter", "_total",
            exemplars=frozenset({"_total"}), cells=2, merge="add_value",
        ),
        MetricKind("gauge", ("",), "gauge", cells=2, merge="by_mode", is_state=True),
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
    """Return whether samples with ``suffix`` can be neither negative nor NaN, whatever their kind."""
    return suffix in _NEVER_NEGATIVE
