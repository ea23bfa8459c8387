"""The table of all rules: their codes, which never change, and what they find. docs/lint.md explains each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from asyncmetrics.lint.label_rules import (
    check_label_camel_case,
    check_le,
    check_many_values,
    check_quantile,
    check_repeated_series,
    check_reserved_label,
    check_server_label,
    check_unbounded_name,
    check_unbounded_values,
)
from asyncmetrics.lint.name_rules import (
    Finder,
    check_abbreviation,
    check_base_unit,
    check_camel_case,
    check_colon,
    check_copied_help,
    check_counter,
    check_created_or_info,
    check_habit,
    check_help,
    check_help_of_name,
    check_other_type,
    check_own_type,
    check_sample_suffix,
    check_timestamp,
    check_total,
)
from asyncmetrics.lint.problem import Finding
from asyncmetrics.lint.subjects import Others, Subject

__all__ = ("FORMAT_CODE", "RULES", "Rule")

FORMAT_CODE = "AM120"
"""The code of what is wrong with the lines of a text, and not with one metric."""


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its ``code``, what it finds in a few words, whether promtool (3.5) has it too, and the function."""

    code: str
    title: str
    is_of_promtool: bool
    find: Finder


def _find_nothing(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find nothing: the rule judges the lines of a text, not its metrics."""
    del subject, others
    yield from ()


_PROMTOOL: tuple[tuple[str, str, Finder], ...] = (
    ("AM001", "no help text", check_help),
    ("AM002", "no base unit", check_base_unit),
    ("AM003", "a counter without _total", check_counter),
    ("AM004", "_total without a counter", check_total),
    ("AM005", "a suffix of samples in a name", check_sample_suffix),
    ("AM006", "the label le", check_le),
    ("AM007", "the label quantile", check_quantile),
    ("AM008", "the type in the name", check_own_type),
    ("AM009", "a colon", check_colon),
    ("AM010", "camelCase in a name", check_camel_case),
    ("AM011", "camelCase in a label", check_label_camel_case),
    ("AM012", "an abbreviated unit", check_abbreviation),
    ("AM013", "a series that occurs twice", check_repeated_series),
)

_OURS: tuple[tuple[str, str, Finder], ...] = (
    ("AM101", "a help text that repeats the name", check_help_of_name),
    ("AM102", "the help text of another metric", check_copied_help),
    ("AM103", "a percentage or another unit that is not a base unit", check_habit),
    ("AM104", "_created or _info", check_created_or_info),
    ("AM105", "another type in the name", check_other_type),
    ("AM106", "a time that is no gauge", check_timestamp),
    ("AM111", "the label job or instance", check_server_label),
    ("AM112", "a reserved label", check_reserved_label),
    ("AM113", "a label that looks unbounded", check_unbounded_name),
    ("AM114", "values that look unbounded", check_unbounded_values),
    ("AM115", "more than 1,000 values", check_many_values),
    (FORMAT_CODE, "a broken rule of the text format", _find_nothing),
)

RULES: dict[str, Rule] = {
    code: Rule(code, title, is_of_promtool, find)
    for is_of_promtool, rows in ((True, _PROMTOOL), (False, _OURS))
    for code, title, find in rows
}
"""Every rule by its code. Codes up to ``AM099`` are for rules that promtool has as well."""
