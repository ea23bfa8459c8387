"""Paths: the name and the labels of a series as one text, for systems that have no label sets of their own.

*Rules.*

* Escape so that the text can be read back: two different names or label sets never have one path.
* A `Escaper` keeps the characters that are safe, and writes each byte of every other one (in UTF-8) as its mark and two
  hexadecimal digits. The mark itself is never safe. An empty text becomes the mark alone.
* Sort labels by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import final

from asyncmetrics.bridges.push.series import Layout, SeriesRow
from asyncmetrics.model.checks import check_text, make_refusal

__all__ = ("Escaper", "PathStyle", "check_prefix", "make_order", "make_path")

# Texts that an escaper keeps: a few MiB. Those beyond the first ones are in small dicts, as the growth of a larger one
# would hold an event loop for 2 ms.
_FIRST_KNOWN = 20_000
_SHARDS = 16
_KNOWN_IN_SHARD = 2_000


@final
class Escaper(dict[str, str]):
    """Maps texts to their escaped forms; ``safe`` is the inside of a character class of a regular expression."""

    def __init__(self, mark: str, safe: str) -> None:
        super().__init__()
        self._mark = mark
        self._escape = re.compile(f"[^{safe}]", re.ASCII).sub
        self._more: list[dict[str, str]] = [{} for _ in range(_SHARDS)]

    def __missing__(self, text: str) -> str:
        more = self._more[hash(text) % _SHARDS]
        written = more.get(text)
        if written is None:
            written = self._escape(self._escape_character, text) or self._mark
            if len(self) < _FIRST_KNOWN:
                self[text] = written
            elif len(more) < _KNOWN_IN_SHARD:
                more[text] = written
        return written

    def _escape_character(self, match: re.Match[str]) -> str:
        return self.write_bytes(match[0])

    def write_bytes(self, text: str) -> str:
        """Return ``text`` with each of its bytes escaped, safe or not."""
        return "".join(f"{self._mark}{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


@final
@dataclass(frozen=True, slots=True)
class PathStyle:
    """How a path is written: ``first`` stands before the first label, ``between`` before each later one.

    ``reserved`` is a label name that the system uses itself: its first character is escaped.
    """

    names: Escaper
    values: Escaper
    first: str
    equals: str
    between: str
    reserved: str = ""

    def write_label_name(self, name: str) -> str:
        """Return the written name of a label."""
        if name and name == self.reserved:
            return self.names.write_bytes(name[0]) + name[1:]
        return self.names[name]


def make_path(style: PathStyle, layout: Layout, row: SeriesRow) -> tuple[str, str]:
    """Return the name and the labels of a row as templates, with ``%s`` for each value in the order of `make_order`."""
    labels = {name: style.values[value].replace("%", "%%") for name, value in layout.constants}
    labels.update(dict.fromkeys(layout.names, "%s"))
    if row.label is not None:
        labels[row.label[0]] = style.values[row.label[1]].replace("%", "%%")
    written = [
        f"{style.write_label_name(name).replace('%', '%%')}{style.equals}{value}"
        for name, value in sorted(labels.items())
    ]
    name = style.names[row.name].replace("%", "%%")
    return name, f"{style.first}{style.between.join(written)}" if written else ""


def make_order(names: tuple[str, ...], values: Mapping[str, str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Return a function that returns label values escaped by ``values``, in the order of a path."""
    order = sorted(range(len(names)), key=names.__getitem__)
    if not order:
        return lambda _: ()
    if len(order) == 1:
        return lambda given: (values[given[0]],)
    pick = itemgetter(*order)
    return lambda given: tuple([values[value] for value in pick(given)])


def check_prefix(prefix: str) -> str:
    """Return what stands before each name: ``""``, or ``prefix`` and a dot. Raises `DefinitionError`."""
    check_text("prefix", prefix, "shop.production")
    if prefix and not re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", prefix, re.ASCII):
        legal = ".".join(re.findall(r"[\w-]+", prefix, re.ASCII))
        expected = "parts of letters, digits, '_' and '-', separated by dots, such as 'shop.production'"
        raise make_refusal("prefix", expected, prefix, legal and f"write {legal!r}")
    return f"{prefix}." if prefix else ""
