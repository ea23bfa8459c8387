"""Translate docstrings to Markdown for the API reference: code blocks and examples follow reStructuredText.

A name in single backticks, such as `Counter` or `CollectorRegistry.register`, becomes a link if the reference has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?<=\n\n)>>> .*?(?=\n\n|\Z)", re.DOTALL)
_TRANSLATIONS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^::$", re.MULTILINE), ""),  # alone on a line, before an indented block
    (re.compile(r"::(?=\n\n)"), ":"),
    (_EXAMPLE, lambda match: re.sub(r"^", "    ", match[0], flags=re.MULTILINE)),
    (re.compile(r"(?<=\n\n)(    .*?)(?=\n\n\S|\Z)", re.DOTALL), lambda match: _fence(match[1])),
)

_NAME = re.compile(r"(?<!`)`([A-Za-z_]+)((?:\.\w+)?)`(?!`)")
_ROOT = Path(__file__).parents[1]


def _find_names() -> dict[str, str]:
    """Return where the reference has each name: the classes and functions of its pages, and the exceptions."""
    names = {}
    for page in sorted((_ROOT / "docs/reference").glob("*.md")):
        for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            names[path.rpartition(".")[2]] = path
    errors = (_ROOT / "asyncmetrics/errors.py").read_text(encoding="utf-8")
    names |= {name: f"asyncmetrics.errors.{name}" for name in re.findall(r"^class (\w+)\(", errors, re.MULTILINE)}
    kinds = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
    return names | {f"{kind}Child": f"asyncmetrics.{kind}" for kind in kinds}


_NAMES = _find_names()


def _link(match: re.Match[str]) -> str:
    """Return a name as a link, or unchanged; the site's builder ignores a link to a method that is not shown."""
    name, method = match.groups()
    if name not in _NAMES:
        return match[0]
    return f'<autoref optional identifier="{_NAMES[name]}{method}"><code>{name}{method}</code></autoref>'


def _fence(block: str) -> str:
    language = "pycon" if block.lstrip().startswith(">>>") else "text" if "──" in block else "python"
    return f"```{language}\n{re.sub(r'^    ', '', block, flags=re.MULTILINE).rstrip()}\n```"


class Markdown(griffe.Extension):
    """Translate every docstring."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Translate the docstring of an object that griffe has found."""
        if obj.docstring is not None:
            text = obj.docstring.value
            for pattern, replacement in _TRANSLATIONS:
                text = pattern.sub(replacement, text)
            parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)  # odd ones are code
            parts[::2] = [_NAME.sub(_link, part) for part in parts[::2]]
            obj.docstring.value = "".join(parts)
