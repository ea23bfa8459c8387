"""A rule of Prometheus: what is recorded or alerted on, and the metrics and labels that its expression names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

__all__ = ("Rule", "RuleGroup", "alert", "list_metrics", "record", "rename")

# Text between quotes stays as it is: a name in it is the value of a label.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*(?::[a-zA-Z0-9_]+)*")
_LABELS = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]|\boffset \w+"
)
_WORDS = frozenset({"and", "or", "unless", "bool", "inf", "nan"})
_TEMPLATE_LABEL = re.compile(r"(?<=\$labels\.)[a-zA-Z_][a-zA-Z0-9_]*")


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule, or an alert.

    ``name`` is the metric that is recorded, or the name of the alert. ``wait`` is how long the expression must be true
    before the alert fires, such as ``5m``. ``comment`` stands above the rule.
    """

    kind: Literal["record", "alert"]
    name: str
    expr: str
    wait: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


@final
@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other; ``comment`` stands above the group."""

    name: str
    rules: tuple[Rule, ...]
    comment: str = ""


def record(name: str, expr: str, comment: str = "") -> Rule:
    """Return a recording rule."""
    return Rule("record", name, _dedent(expr), comment=comment)


def alert(name: str, severity: str, expr: str, summary: str, wait: str = "", comment: str = "") -> Rule:
    """Return an alert whose severity is ``page``, for what cannot wait until the morning, or ``ticket``."""
    return Rule("alert", name, _dedent(expr), wait, {"severity": severity}, {"summary": summary}, comment)


def list_metrics(expr: str) -> set[str]:
    """Return the names of the samples that an expression of our own reads."""
    bare = _LABELS.sub(" ", _STRING.sub('""', expr))
    found = re.finditer(rf"(?<![\w.])({_NAME.pattern})(?!\w)(\s*\()?", bare)
    return {match[1] for match in found if not match[2]} - _WORDS


def rename(rule: Rule, names: Mapping[str, str]) -> Rule:
    """Return the rule with other names of metrics and labels, in its name, expression and annotations."""
    annotations = {
        key: _TEMPLATE_LABEL.sub(lambda match: names.get(match[0], match[0]), text)
        for key, text in rule.annotations.items()
    }
    name = names.get(rule.name, rule.name)
    return replace(rule, name=name, expr=_change_names(rule.expr, names), annotations=annotations)


def _change_names(expr: str, names: Mapping[str, str]) -> str:
    def change_outside(text: str) -> str:
        return _NAME.sub(lambda match: names.get(match[0], match[0]), text)

    pieces, start = [], 0
    for string in _STRING.finditer(expr):
        pieces += [change_outside(expr[start : string.start()]), string[0]]
        start = string.end()
    return "".join([*pieces, change_outside(expr[start:])])


def _dedent(text: str) -> str:
    lines = text.strip("\n").split("\n")
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    return "\n".join(line[min(indents) :] for line in lines).rstrip()
