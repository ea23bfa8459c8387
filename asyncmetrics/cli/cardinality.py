"""``asyncmetrics cardinality``: count the series by metric and label."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from dataclasses import asdict

from asyncmetrics.cli.printing import show_json
from asyncmetrics.cli.sources import add_source, read_metrics
from asyncmetrics.errors import show_text
from asyncmetrics.lint.cardinality import Cardinality, LabelCardinality, MetricCardinality, count_series
from asyncmetrics.lint.subjects import describe_exposition

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Count the series of an exposition: by metric with its labels, and by label with its values. Each series costs memory in
the program and in the Prometheus server. The advice says how many series a metric would have without a label.

  asyncmetrics cardinality http://127.0.0.1:8000/metrics
  asyncmetrics cardinality shop.main:REGISTRY --top 20 --format json

Exit status: 0, 1 if the metrics cannot be read, 2 for wrong arguments.
"""

_TOP_VALUES = 3
_LONGEST = 60  # characters of a value or a name in a row


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source, the format and the number of rows."""
    add_source(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json has all metrics and labels")
    parser.add_argument(
        "--top", type=_parse_number, default=10, metavar="N", help="show the N largest metrics and labels (default: 10)"
    )


def _parse_number(text: str) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not number:
        raise ArgumentTypeError(f"expected a whole number from 1 on, such as 10, got {text!r}")
    return number


def run(options: Namespace) -> int:
    """Print the numbers."""
    found = count_series(describe_exposition(read_metrics(options.source, options)))
    if options.format == "json":
        sys.stdout.write(show_json(asdict(found)))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _list_lines(found, options.top)))
    return 0


def _list_lines(found: Cardinality, top: int) -> Iterator[str]:
    yield f"{found.series} series of {len(found.metrics)} metrics, with {len(found.labels)} labels"
    shown = [metric for metric in found.metrics if metric.series][:top]
    if shown:
        yield from ("", f"{'series':>9} {'share':>6}  metric")
    for metric in shown:
        share = metric.series / found.series
        yield f"{metric.series:>9} {share:>6.1%}  {_shorten(metric.name)} ({metric.kind}){_list_labels(metric)}"
        if metric.advice:
            yield f"{'':>18}  {show_text(metric.advice)}"
    if found.labels:
        yield from ("", f"{'values':>9} {'saves':>6}  label, with the values of most series")
    for label in found.labels[:top]:
        yield f"{label.values:>9} {label.saves:>6}  {_shorten(label.name)}: {_list_values(label)}"
    if found.labels:
        yield from ("", "saves: the series that there would be less without the label")


def _list_labels(metric: MetricCardinality) -> str:
    return "".join(f", {_shorten(label.name)}: {label.values}" for label in metric.labels)


def _list_values(label: LabelCardinality) -> str:
    values = (f'"{_shorten(value)}" ({count})' for value, count in label.top[:_TOP_VALUES])
    return ", ".join((*values, *(("…",) if label.values > _TOP_VALUES else ())))


def _shorten(text: str) -> str:
    return show_text(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
