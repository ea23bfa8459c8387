"""From text in the Prometheus formats 0.0.4 and 1.0.0 to families.

https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.open_family import OpenFamily, check_family_name
from asyncmetrics.formats.reading.sample_lines import NAME, PROMETHEUS, read_sample, unquote
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample

__all__ = ("parse_prometheus",)

_METADATA = re.compile(rf"[ \t]*#[ \t]+(HELP|TYPE)[ \t]+({NAME})(?:[ \t](.*))?")
_KEYWORD = re.compile(r"[ \t]*#[ \t]+(HELP|TYPE)(?![^ \t])")
_ESCAPE = re.compile(r"\\([\\n])")

# The types that a text can declare, and what the names of their samples add to the name of the family. In this format a
# counter's family has the name of its samples, with _total.
_SUFFIXES = {
    kind.text_type: ("", *kind.value_suffixes) if kind.text_suffix else kind.value_suffixes
    for kind in KINDS.values()
    if kind.text_type in {kind.name, "untyped"}
}


def parse_prometheus(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format 0.0.4 or 1.0.0.

    Timestamps become seconds. The name of a counter's family loses its ``_total``. Samples without TYPE and HELP
    become families of the type ``unknown``. Raises `ParseError`.
    """
    family: OpenFamily | None = None
    for number, line in enumerate(text.split("\n"), 1):
        name, addition = _read_line(line, number)
        if addition is None:
            continue
        if family is None or not _is_member(name, family, isinstance(addition, Sample)):
            if family is not None:
                yield _build_metric(family)
            family = OpenFamily(name)
        if isinstance(addition, Sample):
            family.samples.append(addition)
        elif problem := family.add_metadata(*addition):
            raise ParseError(problem, number, line)
    if family is not None:
        yield _build_metric(family)


def _is_member(name: str, family: OpenFamily, is_sample: bool) -> bool:
    if not is_sample:
        return name == family.name
    return name in {family.name + suffix for suffix in _SUFFIXES[family.metadata.get("TYPE", "untyped")]}


def _read_line(line: str, number: int) -> tuple[str, Sample | tuple[str, str] | None]:
    """Return the name in a line, and its sample or its metadata, or None for a blank line or a comment."""
    if not line.strip(" \t"):
        return "", None
    if not line.lstrip(" \t").startswith("#"):
        sample = read_sample(line, number, PROMETHEUS)
        return check_family_name(sample.name, number, line), sample
    match = _METADATA.fullmatch(line)
    if match is None:
        if _KEYWORD.match(line):
            raise ParseError("expected '# HELP name text' or '# TYPE name type'", number, line)
        return "", None
    keyword, name, rest = match[1], check_family_name(unquote(match[2]), number, line), match[3] or ""
    if keyword == "HELP":
        return name, (keyword, _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else "\\", rest))
    kind = rest.strip(" \t")
    if kind not in _SUFFIXES:
        raise ParseError(f"expected one of the types {tuple(_SUFFIXES)}, got {kind!r}", number, line)
    return name, (keyword, kind)


def _build_metric(family: OpenFamily) -> Metric:
    kind = family.metadata.get("TYPE", "untyped")
    is_shortened = kind == "counter" and family.name != "_total"  # a family has to keep a name
    return family.build_metric(family.name.removesuffix("_total") if is_shortened else family.name, kind)
