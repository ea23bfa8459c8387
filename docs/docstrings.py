"""Translate docstrings to Markdown for the API reference: code blocks and examples follow reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?<=\n\n)>>> .*?(?=\n\n|\Z)", re.DOTALL)
_TRANSLATIONS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^::$", re.MULTILINE), ""),  # alone on a line, before an indented block
    (re.compile(r"::(?=\n\n)"), ":"),
    (_EXAMPLE, lambda match: re.sub(r"^", "    ", match[0], flags=re.MULTILINE)),
    (re.compile(r"(?<=\n\n)(    .*?)(?=\n\n\S|\Z)", re.DOTALL), lambda match: _fence(match[1])),
)


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
            obj.docstring.value = text
