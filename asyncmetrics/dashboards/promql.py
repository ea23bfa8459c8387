r"""PromQL that is written from names: in quotes where they need them, and so that no name can change the query.

*Rules.*

* Write each name and value that comes from a source by `select`, `write_label` or `write_string`.
* Keep ``$``, ``[[``, ``{{`` and ``%`` out of these texts: Grafana, and the templates of Prometheus, put values of
  variables in their places. Inside quotes PromQL has the escape ``\xNN`` for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from asyncmetrics.dashboards.declared import Declared
from asyncmetrics.model.escaping import is_legacy_label_name, is_legacy_metric_name

__all__ = ("Dialect", "escape_text", "select", "select_metric", "write_label", "write_labels", "write_string")

_SPECIAL = frozenset('"\\$[]{}%')
# A query may read these as an operator, an aggregation or a number.
_WORDS = frozenset(
    {
        *("and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"),
        *("atan2", "inf", "nan", "start", "end", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"),
        *("topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio"),
    }
)


@final
@dataclass(frozen=True, slots=True)
class Dialect:
    """How the queries of a kind of dashboard name their window and filters.

    ``window`` is the range of rates. ``filters`` are the matchers by label; those of job and instance are for all.
    """

    window: str
    filters: dict[str, str]


def escape_text(text: str, special: frozenset[str] = _SPECIAL) -> str:
    """Return ``text`` with an escape of PromQL for each character that is special or cannot be printed."""
    return "".join(_escape(char) if char in special or not char.isprintable() else char for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return rf"\x{code:02x}" if code < 0x80 else rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"


def write_string(text: str) -> str:
    """Return the literal of a string."""
    return f'"{escape_text(text)}"'


def write_label(name: str) -> str:
    """Return a label's name as a query has it: in quotes unless it consists of ASCII letters, digits and ``_``."""
    return name if is_legacy_label_name(name) else write_string(name)


def write_labels(names: Iterable[str]) -> str:
    """Return names of labels, sorted, with commas between them."""
    return ", ".join(map(write_label, sorted(names)))


def select(name: str, matchers: Iterable[str]) -> str:
    """Return a selector of the series called ``name``; the matchers are in PromQL."""
    if is_legacy_metric_name(name) and name.lower() not in _WORDS:
        return f"{name}{{{', '.join(matchers)}}}"
    key = write_string(name) if not is_legacy_metric_name(name) else f"__name__={write_string(name)}"
    return f"{{{', '.join((key, *matchers))}}}"


def select_metric(metric: Declared, sample: str, dialect: Dialect, extra: Iterable[str] = ()) -> str:
    """Return a selector of samples of ``metric``, with the filters that fit it and ``extra`` matchers."""
    filters = (
        f"{label}{matcher}"
        for label, matcher in dialect.filters.items()
        if label in {"job", "instance"} or metric.has(label)
    )
    return select(sample, [*filters, *extra])
