"""``asyncmetrics check``: hold an exposition to every rule of its format."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator

from asyncmetrics.bridges.scraping import OPENMETRICS_FIRST, TEXT_FIRST, Exposition
from asyncmetrics.cli.sources import add_source, is_url, read_exposition, read_metrics
from asyncmetrics.errors import ParseError, ScrapeError, show, show_text
from asyncmetrics.formats.negotiation import CONTENT_TYPE_LATEST
from asyncmetrics.formats.reading.strict_text import TextProblem, find_text_problems
from asyncmetrics.formats.reading.text import TextLines
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ALLOW_UTF_8
from asyncmetrics.model.family import Metric
from asyncmetrics.registry.collectables import collect_or_raise

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Hold an exposition to every rule of its format, also those that a Prometheus server does not check. A URL is asked for
both formats, the text format and OpenMetrics, and a registry is written in both. Each broken rule is printed with the
number of its line.

  asyncmetrics check http://127.0.0.1:8000/metrics
  asyncmetrics check metrics.txt

Exit status: 0 if everything is valid, 1 if a rule is broken or the metrics cannot be read, 2 for wrong arguments.
"""

_OPENMETRICS = "application/openmetrics-text"
_MOST_PROBLEMS = 50


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source."""
    add_source(parser)


def run(options: Namespace) -> int:
    """Print what is wrong, or how much there is."""
    are_valid = [_check(exposition) for exposition in _list_expositions(options.source, options)]
    return 0 if all(are_valid) else 1


def _list_expositions(source: str, options: Namespace) -> Iterator[Exposition]:
    if is_url(source):
        yield _check_type(source, read_exposition(source, options, TEXT_FIRST))
        other = _check_type(source, read_exposition(source, options, OPENMETRICS_FIRST))
        if other.is_openmetrics:
            yield other
        else:
            sys.stdout.write("OpenMetrics: the server does not have it\n")
        return
    found = read_metrics(source, options)
    if isinstance(found, Exposition):
        yield found
        return
    families = list(collect_or_raise(found))
    yield _encode(CONTENT_TYPE_LATEST, encode_text, families)
    yield _encode(_OPENMETRICS, encode_openmetrics, families)


def _check_type(url: str, exposition: Exposition) -> Exposition:
    kind = exposition.content_type.partition(";")[0].strip().lower()
    if kind not in {"text/plain", _OPENMETRICS}:
        raise ScrapeError(url, f"expected metrics as text/plain or {_OPENMETRICS}, got {show(exposition.content_type)}")
    return exposition


def _encode(content_type: str, encode: Callable[..., Iterator[bytes]], families: list[Metric]) -> Exposition:
    return Exposition(b"".join(encode(families, escaping=ALLOW_UTF_8)).decode(), content_type)


def _check(exposition: Exposition) -> bool:
    """Print the result for one format, and return whether it is valid."""
    name = "OpenMetrics" if exposition.is_openmetrics else "text format"
    try:
        broken, numbers = _count(exposition)
    except ParseError as error:
        sys.stdout.write(f"{name}: {show_text(str(error))}\n")
        return False
    for problem in broken[:_MOST_PROBLEMS]:
        line = f"line {problem.line_number}: {problem.problem}: {show(problem.line)}"
        sys.stdout.write(f"{name}: {show_text(line)}\n")
    if len(broken) > _MOST_PROBLEMS:
        sys.stdout.write(f"{name}: {len(broken) - _MOST_PROBLEMS} more problems\n")
    if not broken:
        sys.stdout.write(f"{name}: valid, {len(numbers)} metrics with {sum(numbers)} samples\n")
    return not broken


def _count(exposition: Exposition) -> tuple[list[TextProblem], list[int]]:
    """Return the broken rules, and the number of samples of each metric. Raises `ParseError`."""
    if exposition.is_openmetrics:
        return [], [len(family.samples) for family in exposition.parse()]
    lines = TextLines(exposition.text)
    return find_text_problems(lines), [len(family.samples) for family in lines.list_families()]
