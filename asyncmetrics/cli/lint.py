"""``asyncmetrics lint``: find what is wrong with the names, labels and help texts of metrics."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import asdict

from asyncmetrics.cli.printing import show_json
from asyncmetrics.cli.sources import add_source, read_metrics
from asyncmetrics.errors import DefinitionError, SourceError, show_text
from asyncmetrics.lint import RULES, Problem, problems, read_ignored
from asyncmetrics.lint.settings import Ignored

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Find what is wrong with the names, labels and help texts of metrics: the rules of `promtool check metrics`, and what
Python programs get wrong besides. Each problem has a code, and one page explains all codes:
https://asyncmetrics.readthedocs.io/en/latest/lint.html

  asyncmetrics lint http://127.0.0.1:8000/metrics
  asyncmetrics lint shop.main:REGISTRY --ignore AM113
  curl -s http://127.0.0.1:8000/metrics | asyncmetrics lint - --format json

A pyproject.toml in this directory, or in one above it, can leave out problems too:

  [tool.asyncmetrics.lint]
  ignore = ["AM101", "AM113:shop_*"]

Exit status: 0 without a problem, 3 with problems, 1 if the metrics cannot be read or break the format, 2 for wrong
arguments.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source, the format, and which problems are left out."""
    add_source(parser)
    parser.add_argument(
        "--format",
        choices=tuple(_FORMATS),
        default="text",
        help="text: a line for each problem; json: a list; github: annotations of GitHub Actions",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        type=_parse_codes,
        metavar="CODES",
        help="leave out these problems: AM113, AM113:shop_* or *:shop_*, separated by commas; may be repeated",
    )
    parser.add_argument(
        "--promtool", action="store_true", help="apply only the rules that promtool has, AM001 to AM099"
    )


def _parse_codes(text: str) -> list[str]:
    codes = [code.strip() for code in text.split(",") if code.strip()]
    try:
        Ignored(codes)
    except DefinitionError as error:
        raise ArgumentTypeError(error.problem) from None
    return codes


def run(options: Namespace) -> int:
    """Print the problems."""
    ignored = [*_read_settings(), *(code for codes in options.ignore for code in codes)]
    found = problems(read_metrics(options.source, options), ignore=ignored)
    if options.promtool:
        found = [problem for problem in found if RULES[problem.code].is_of_promtool]
    sys.stdout.write(_FORMATS[options.format](found))
    return 3 if found else 0


def _read_settings() -> list[str]:
    """Return the codes of pyproject.toml; none, with a warning, where Python 3.10 has no package that reads it."""
    try:
        return read_ignored()
    except SourceError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        sys.stderr.write(f"asyncmetrics lint: warning: its ignore is not applied: {show_text(str(error))}\n")
        return []


def _format_text(found: list[Problem]) -> str:
    lines = (f"{one.metric}: {one.code} {one.text}; {one.advice}" for one in found)
    return "".join(f"{show_text(line)}\n" for line in lines)


def _format_json(found: list[Problem]) -> str:
    return show_json([asdict(one) for one in found])


def _format_github(found: list[Problem]) -> str:
    return "".join(
        f"::warning title={_escape_property(one.code)}::"
        f"{_escape_message(show_text(f'{one.metric}: {one.text}; {one.advice}'))}\n"
        for one in found
    )


def _escape_message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_message(text).replace(":", "%3A").replace(",", "%2C")


_FORMATS: dict[str, Callable[[list[Problem]], str]] = {
    "text": _format_text,
    "json": _format_json,
    "github": _format_github,
}
