"""`problems`: read the metrics of a source, and apply the rules to each."""

from __future__ import annotations

from collections.abc import Iterable

from asyncmetrics.bridges.scraping import Exposition, Target
from asyncmetrics.formats.reading.strict_text import find_text_problems
from asyncmetrics.formats.reading.text import TextLines
from asyncmetrics.lint.problem import Problem
from asyncmetrics.lint.rules import FORMAT_CODE, RULES
from asyncmetrics.lint.settings import Ignored, read_ignored
from asyncmetrics.lint.subjects import Others, Subject, describe_exposition, describe_text
from asyncmetrics.registry import Collectable

__all__ = ("apply_rules", "problems")


def problems(source: Collectable | Exposition | str, *, ignore: Iterable[str] | None = None) -> list[Problem]:
    r"""Return what is wrong with the names, labels and help texts of metrics, sorted by metric and code.

    ``source`` is a registry, the text of an exposition, or a URL. A text whose last line is ``# EOF`` is in the format
    OpenMetrics. ``ignore`` has codes (``"AM113"``), or codes with names of metrics (``"AM113:shop_*"``); it replaces
    those of ``[tool.asyncmetrics.lint]`` in pyproject.toml, which apply by default.

    Raises `ParseError` for a text that no server accepts, `ScrapeError` for a URL that cannot be read,
    `DefinitionError` for a code that no rule has, and `SourceError` for a wrong pyproject.toml.

    >>> [(problem.metric, problem.code) for problem in problems("requests 1\n", ignore=())]
    [('requests', 'AM001')]
    """
    ignored = Ignored(read_ignored() if ignore is None else ignore)
    found: list[Problem] = []
    if isinstance(source, str):
        source = _read(source)
    if isinstance(source, Exposition) and not source.is_openmetrics:
        lines = TextLines(source.text)
        subjects = describe_text(lines)
        found += _judge_lines(lines)
    else:
        subjects = describe_exposition(source)
    others = Others(subjects)
    found += [problem for subject in subjects for problem in apply_rules(subject, others)]
    return sorted(problem for problem in found if not ignored.covers(problem))


def _read(text: str) -> Exposition:
    if text.lower().startswith(("http://", "https://")):
        return Target(text).scrape()
    return Exposition.from_text(text)


def _judge_lines(lines: TextLines) -> list[Problem]:
    advice = "mend the line: some readers refuse the whole text for it"
    return [
        Problem(problem.metric, FORMAT_CODE, f"line {problem.line_number}: {problem.problem}", advice)
        for problem in find_text_problems(lines)
    ]


def apply_rules(subject: Subject, others: Others) -> Iterable[Problem]:
    """Yield what each rule finds about one metric."""
    for rule in RULES.values():
        for finding in rule.find(subject, others):
            yield Problem(subject.name, rule.code, finding.text, finding.advice, finding.label)
