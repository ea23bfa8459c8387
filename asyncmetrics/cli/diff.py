"""``asyncmetrics diff``: compare two expositions."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from asyncmetrics.cli.printing import show_json
from asyncmetrics.cli.sources import add_source, explain_parse_error, read_metrics
from asyncmetrics.errors import MetricsError, ParseError, SourceError, show_text
from asyncmetrics.lint.differences import Difference, find_differences
from asyncmetrics.lint.subjects import Subject, describe_exposition

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Compare two sources: which metrics, types, help texts, labels and series differ, sorted by metric. Values differ all
the time, so they are compared only with --values. Names and types are those of the text format.

  asyncmetrics diff before.txt http://127.0.0.1:8000/metrics
  asyncmetrics diff http://old:8000/metrics http://new:8000/metrics --series no

A line begins with - for what only the first source has, with + for what only the second one has, and with ! for what
both have and what differs. Options of the request apply to both sources.

Exit status as that of diff: 0 if nothing differs, 1 if something does, 2 if a source cannot be read.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add both sources, and what is compared."""
    add_source(parser, "first", "second")
    parser.add_argument("--values", action="store_true", help="compare the values of series too")
    parser.add_argument(
        "--series",
        choices=("yes", "no"),
        default="yes",
        help="compare the series, or only metrics, types, help texts and the names of labels (default: yes)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text: a line for each difference; json: a list"
    )


def run(options: Namespace) -> int:
    """Print the differences."""
    try:
        if options.first == options.second == "-":
            raise SourceError("-", "only one of the sources can be standard input")
        first, second = (_read(source, options) for source in (options.first, options.second))
    except MetricsError as error:
        sys.stderr.write(f"asyncmetrics diff: {show_text(' '.join(str(error).split()))}\n")
        return 2
    found = [
        difference
        for difference in find_differences(first, second, values=options.values)
        if options.series == "yes" or difference.what not in {"series", "value"}
    ]
    is_json = options.format == "json"
    sys.stdout.write(
        show_json([one._asdict() for one in found]) if is_json else "".join(f"{_format(one)}\n" for one in found)
    )
    return 1 if found else 0


def _read(source: str, options: Namespace) -> list[Subject]:
    try:
        return describe_exposition(read_metrics(source, options))
    except ParseError as error:
        raise explain_parse_error(source, error) from error


def _format(difference: Difference) -> str:
    name, what, first, second = difference
    if what in {"metric", "series"}:
        text = name if what == "series" else f"{name}: {first or second}"
        return show_text(f"{'+' if first is None else '-'} {text}")
    return show_text(f"! {name}: {what} {_show(first)} -> {_show(second)}")


def _show(text: str | None) -> str:
    return text or "(none)"
