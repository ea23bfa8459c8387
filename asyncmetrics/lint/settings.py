"""Which problems are left out: the argument ``ignore``, and ``[tool.asyncmetrics.lint]`` in pyproject.toml."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any, final

from asyncmetrics.errors import DefinitionError, SourceError, show, suggest
from asyncmetrics.lint.problem import Problem
from asyncmetrics.lint.rules import RULES
from asyncmetrics.model.checks import list_texts

__all__ = ("Ignored", "read_ignored")

_EVERY_CODE = "*"
# Where nothing reads TOML: whether a file seems to have the table, and not only a dependency "asyncmetrics-prometheus".
_TABLE = re.compile(r"^[^#\"']*\basyncmetrics[\"']?\s*[].=]", re.MULTILINE)


@final
class Ignored:
    """Problems that are left out: ``entries`` are codes, or codes with the metrics that they are left out for.

    ``AM113`` leaves out all problems of that code, ``AM113:shop_*`` those of the metrics with such names, and
    ``*:shop_*`` all problems of these metrics. Raises `DefinitionError` for a code that no rule has.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        listed = list(entries) if isinstance(entries, (set, frozenset)) else entries  # their order means nothing here
        texts = list_texts("ignore", listed, "codes such as 'AM113'")
        self._entries = [_split(entry.strip()) for entry in texts]

    def covers(self, problem: Problem) -> bool:
        """Return whether ``problem`` is left out."""
        return any(
            code in {problem.code, _EVERY_CODE} and fnmatchcase(problem.metric, metrics)
            for code, metrics in self._entries
        )


def _split(entry: str) -> tuple[str, str]:
    code, colon, metrics = entry.partition(":")
    if code != _EVERY_CODE and code not in RULES:
        expected = "expected the code of a rule, such as 'AM113' or 'AM113:shop_*'"
        raise DefinitionError("ignore", f"{expected}, got {entry!r}{suggest(code.upper(), RULES)}")
    if not metrics and (colon or code == _EVERY_CODE):
        raise DefinitionError("ignore", f"expected names of metrics behind the colon of {entry!r}, such as 'shop_*'")
    return code, metrics or "*"


def read_ignored(directory: str | Path | None = None) -> list[str]:
    """Return ``ignore`` of the table ``[tool.asyncmetrics.lint]``, or an empty list.

    The file is the first pyproject.toml in ``directory``, the current one by default, or in the folders above it.
    Raises `SourceError` for a file that is no TOML, or a table with anything else. On Python 3.10 the file is read by
    the package tomli; a file with such a table is an error there if tomli is not installed (its cause is the
    ImportError), and one without it is not read.
    """
    start = Path(directory or ".").absolute()
    path = next((file for folder in (start, *start.parents) if (file := folder / "pyproject.toml").is_file()), None)
    if path is None:
        return []
    table = _read_table(path)
    unknown = sorted(table.keys() - {"ignore"})
    if unknown:
        advice = suggest(unknown[0], ("ignore",))
        raise SourceError(str(path), f"[tool.asyncmetrics.lint] has no setting {unknown[0]!r}{advice}")
    ignored = table.get("ignore", [])
    if not isinstance(ignored, list) or not all(isinstance(entry, str) for entry in ignored):
        expected = "[tool.asyncmetrics.lint]: expected ignore to be a list of codes, such as ['AM113']"
        raise SourceError(str(path), f"{expected}, got {show(ignored)}")
    return ignored


def _read_table(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(str(path), str(error)) from error
    if "asyncmetrics" not in text:  # other tools may read what this library cannot
        return {}
    try:
        table: dict[str, Any] = _find_toml(path).loads(text)
    except SourceError:
        if _TABLE.search(text):
            raise
        return {}
    except ValueError as error:
        raise SourceError(str(path), f"it is not TOML: {error}") from error
    for name in ("tool", "asyncmetrics", "lint"):
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise SourceError(str(path), f"expected a table [tool.asyncmetrics.lint], got {show(table)}")
    return table


def _find_toml(path: Path) -> Any:
    try:
        return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        problem = "on Python 3.10 this file is read by the package tomli: pip install tomli"
        raise SourceError(str(path), problem) from error
