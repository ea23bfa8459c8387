"""The Prometheus text format 0.0.4 (and 1.0.0) read into families."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.lines import NAME, PROMETHEUS, read_sample, unquote
from asyncmetrics.formats.reading.open_family import OpenFamily, check_family_name
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample

__all__ = ("parse_prometheus",)


_TEXT_METADATA = re.compile(rf"[ \t]*#[ \t]+(HELP|TYPE)[ \t]+({NAME})(?:[ \t](.*))?")


_TEXT_KEYWORD = re.compile(r"[ \t]*#[ \t]+(HELP|TYPE)(?![^ \t])")


_TEXT_ESCAPED = re.compile(r"\\([\\n])")


# The types that a text can declare, and what their sample names add to the family's name: a counter's family is called
# as its samples are, with _total.
_TEXT_TYPES = {
    kind.text_type: ("", *kind.value_suffixes) if kind.text_suffix else kind.value_suffixes
    for kind in KINDS.values()
    if kind.text_type in {kind.name, "untyped"}
}


def parse_prometheus(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format 0.0.4 or 1.0.0.

    Timestamps become seconds. A counter's family is called without its ``_total``. Samples without TYPE and HELP
    become families of the type ``unknown``. Raises `ParseError`.
    """
    current: OpenFamily | None = None
    for number, line in enumerate(text.split("\n"), 1):
        name, addition = _prometheus_line(line, number)
        if addition is None:
            continue
        if current is None or not _belongs(name, current, isinstance(addition, Sample)):
            if current is not None:
                yield _prometheus_metric(current)
            current = OpenFamily(name)
        if isinstance(addition, Sample):
            current.samples.append(addition)
        elif problem := current.add(*addition):
            raise ParseError(problem, number, line)
    if current is not None:
        yield _prometheus_metric(current)


def _belongs(name: str, family: OpenFamily, sample: bool) -> bool:
    if not sample:
        return name == family.name
    return name in {family.name + suffix for suffix in _TEXT_TYPES[family.metadata.get("TYPE", "untyped")]}


def _prometheus_line(line: str, number: int) -> tuple[str, Sample | tuple[str, str] | None]:
    """Return the name that a line is about, and its sample or its metadata; None for blank lines and comments."""
    if not line.strip(" \t"):
        return "", None
    if not line.lstrip(" \t").startswith("#"):
        sample = read_sample(line, number, PROMETHEUS)
        return check_family_name(sample.name, number, line), sample
    found = _TEXT_METADATA.fullmatch(line)
    if found is None:
        if _TEXT_KEYWORD.match(line):
            raise ParseError("expected '# HELP name text' or '# TYPE name type'", number, line)
        return "", None
    keyword, name, rest = found[1], check_family_name(unquote(found[2]), number, line), found[3] or ""
    if keyword == "HELP":
        return name, (keyword, _TEXT_ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else "\\", rest))
    kind = rest.strip(" \t")
    if kind not in _TEXT_TYPES:
        raise ParseError(f"expected a type out of {tuple(_TEXT_TYPES)}, got {kind!r}", number, line)
    return name, (keyword, kind)


def _prometheus_metric(family: OpenFamily) -> Metric:
    kind = family.metadata.get("TYPE", "untyped")
    shortened = kind == "counter" and family.name != "_total"
    return family.metric(family.name.removesuffix("_total") if shortened else family.name, kind)
