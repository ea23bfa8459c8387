"""From text in the Prometheus formats 0.0.4 and 1.0.0 to families.

https://prometheus.io/docs/instrumenting/exposition_formats/.

*Rules.*

* Raise nothing but `ParseError`, whatever the text is.
* Accept what a Prometheus server (2.42) accepts, which asks for no order of lines, but not what its lexer accepts by
  accident: labels without commas, line feeds between quotes, a HELP without a blank after the name.

*Theory of operation.*

1. Each line is read by itself, and is kept with the name in it. The last HELP and the last TYPE of a name stay.
2. After the last line the types of all names are known. Each sample goes to the family that has its name, or its name
   without the suffix of a summary or a histogram. A sample without such a family makes one.
3. Each counter and its samples get the names that OpenMetrics has for them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import final

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.open_family import OpenFamily, check_family_name
from asyncmetrics.formats.reading.sample_lines import NAME, PROMETHEUS, read_sample, unquote
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample

__all__ = ("METADATA", "TextLines", "parse_prometheus")

METADATA = re.compile(rf"[ \t]*#[ \t]+(HELP|TYPE)[ \t]+({NAME})(?:[ \t](.*))?")
"""A line of metadata: its keyword, the name as it is written, and the text behind it."""
_KEYWORD = re.compile(r"[ \t]*#[ \t]+(HELP|TYPE)[ \t]")  # without a blank behind it, Prometheus takes it for a comment
_ESCAPE = re.compile(r"\\([\\n])")

# The types that a text can declare, and what the names of their samples add to the name of the family. In this format a
# counter's family has the name of its samples.
_SUFFIXES = {
    kind.text_type: ("",) if kind.text_suffix else kind.value_suffixes
    for kind in KINDS.values()
    if kind.text_type in {kind.name, "untyped"}
}
_SAMPLE_SUFFIXES = {suffix for suffixes in _SUFFIXES.values() for suffix in suffixes if suffix}


def parse_prometheus(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format 0.0.4 or 1.0.0, in the order in which they first occur.

    Lines of one family can stand anywhere in the text. Of several HELP or TYPE lines the last one stays. A HELP loses
    the white space around it. Timestamps become seconds. The name of a counter's family loses its ``_total``, and its
    samples get it if they have none. Samples without TYPE and HELP become families of the type ``unknown``. Raises
    `ParseError`, before the first family is yielded.
    """
    for family in TextLines(text).list_families():
        yield _build_metric(family)


@final
class TextLines:
    """The lines of a text: the metadata by name and keyword, and the lines with a name in their order.

    ``lines`` has the number, the name, and the sample of each line, or the keyword of a line of metadata. Raises
    `ParseError`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._metadata: dict[str, dict[str, str]] = {}
        self.lines: list[tuple[int, str, Sample | str]] = []
        for number, line in enumerate(text.split("\n"), 1):
            self._read_line(line, number)

    def _read_line(self, line: str, number: int) -> None:
        if not line.strip(" \t"):
            return
        if line.lstrip(" \t").startswith("#"):
            self._read_metadata(line, number)
        else:
            sample = read_sample(line, number, PROMETHEUS)
            self.lines.append((number, check_family_name(sample.name, number, line), sample))

    def _read_metadata(self, line: str, number: int) -> None:
        match = METADATA.fullmatch(line)
        if match is None:
            if _KEYWORD.match(line):
                raise ParseError("expected '# HELP name text' or '# TYPE name type'", number, line)
            return
        keyword, name = match[1], check_family_name(unquote(match[2]), number, line)
        text = _unescape_help(match[3] or "") if keyword == "HELP" else (match[3] or "").strip(" \t")
        if keyword == "TYPE" and text not in _SUFFIXES:
            raise ParseError(f"expected one of the types {tuple(_SUFFIXES)}, got {text!r}", number, line)
        self._metadata.setdefault(name, {})[keyword] = text
        self.lines.append((number, name, keyword))

    def list_families(self) -> list[OpenFamily]:
        """Return the families of all lines, in the order of their first lines."""
        families: dict[tuple[str, bool], OpenFamily] = {}
        for _, name, sample in self.lines:
            key = (name, True) if isinstance(sample, str) else self.find_family(name)
            if key not in families:
                families[key] = OpenFamily(key[0], self._metadata.get(key[0]) if key[1] else None)
            if not isinstance(sample, str):
                families[key].samples.append(sample)
        return list(families.values())

    def get_metadata(self, name: str) -> dict[str, str]:
        """Return the last HELP and TYPE of a family, those that the text has."""
        return self._metadata.get(name, {})

    def find_family(self, name: str) -> tuple[str, bool]:
        """Return the name of the family of a sample, and whether it has metadata."""
        if name in self._metadata:  # a histogram has no sample with its own name
            return name, "" in _SUFFIXES[self.get_type(name)]
        for suffix in _SAMPLE_SUFFIXES:
            family = name.removesuffix(suffix)
            if family != name and suffix in _SUFFIXES[self.get_type(family)]:
                return family, True
        return name, False

    def get_type(self, name: str) -> str:
        """Return the type of a family, ``untyped`` if the text declares none."""
        return self.get_metadata(name).get("TYPE", "untyped")


def _unescape_help(text: str) -> str:
    """Return the text of a HELP line; prometheus_client strips white space in the same way."""
    stripped = text.lstrip(string.whitespace).rstrip()
    return _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else "\\", stripped)


def _build_metric(family: OpenFamily) -> Metric:
    kind = family.metadata.get("TYPE", "untyped")
    if kind != "counter":
        return family.build_metric(family.name, kind)
    name = family.name.removesuffix("_total")
    if not name or name == family.name:  # a family has to keep a name
        name = family.name
        family.samples = [sample._replace(name=f"{name}_total") for sample in family.samples]
    return family.build_metric(name, kind)
