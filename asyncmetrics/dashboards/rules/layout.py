"""Write groups of rules as YAML, as an engineer would: comments above rules, expressions in blocks.

*Rule.* Text that a server has sent is in double quotes, with an escape for each character that is not printable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap

from asyncmetrics.dashboards.rules.rule import Rule, RuleGroup

__all__ = ("escape_template", "quote", "render_groups", "render_mapping", "render_scalar")

_WIDTH = 120
# Text that is the same without quotes. YAML reads other words as numbers, times, booleans or null.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[a-zA-Z][a-zA-Z0-9_-]*|/[a-zA-Z0-9_/-]*", re.IGNORECASE)
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def quote(text: str) -> str:
    """Return ``text`` between double quotes, which YAML, PromQL and Go read as the same text."""
    return f'"{"".join(map(_escape, text))}"'


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def escape_template(text: str) -> str:
    """Return ``text`` for an annotation or a label of an alert, which Prometheus reads as a template."""
    return text.replace("{{", '{{ "{{" }}')


def render_scalar(text: str) -> str:
    """Return ``text`` as a value of YAML, with quotes if it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    is_simple = text.isprintable() and '"' in text
    return "'" + text.replace("'", "''") + "'" if is_simple else quote(text)


def render_mapping(values: Mapping[str, str]) -> str:
    """Return names and texts in one line, such as ``{ severity: page }``."""
    return f"{{ {', '.join(f'{name}: {render_scalar(text)}' for name, text in values.items())} }}"


def render_groups(groups: Iterable[RuleGroup], comment: str) -> str:
    """Return a file of rules that begins with ``comment``. Without groups it has an empty list of them."""
    blocks = ["\n".join(_render_group(group)) for group in groups]
    body = "groups:\n" + "\n\n".join(blocks) if blocks else "groups: []"
    return "\n".join([*_render_comment(comment, ""), body, ""])


def _render_group(group: RuleGroup) -> Iterator[str]:
    yield from _render_comment(group.comment, "  ")
    yield f"  - name: {render_scalar(group.name)}"
    yield "    rules:"
    for number, rule in enumerate(group.rules):
        if number:
            yield ""
        yield from _render_comment(rule.comment, "      ")
        yield from _render_rule(rule)


def _render_rule(rule: Rule) -> Iterator[str]:
    yield f"      - {rule.kind}: {rule.name if ':' in rule.name else render_scalar(rule.name)}"
    lines = rule.expr.split("\n")
    is_plain = len(lines) == 1 and rule.expr[:1].isalpha() and not re.search(r": |:$| #", rule.expr)
    yield f"        expr: {rule.expr if is_plain else '|'}"
    yield from () if is_plain else (f"          {line}" for line in lines)
    if rule.wait:
        yield f"        for: {rule.wait}"
    if rule.labels:
        yield f"        labels: {render_mapping(rule.labels)}"
    if rule.annotations:
        yield "        annotations:"
        yield from (f"          {name}: {render_scalar(text)}" for name, text in rule.annotations.items())


def _render_comment(comment: str, indent: str) -> Iterator[str]:
    text = "".join(char if char.isprintable() or char == "\n" else _escape(char) for char in comment)
    for paragraph in filter(None, text.split("\n")):
        for line in wrap(paragraph, _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
            yield f"{indent}# {line}"
