"""The grammar of StatsD's lines, and of its dialects: DogStatsD, Librato, InfluxDB and SignalFx.

::

    name:value|type[|@rate][|#tag:value,tag:value]

The value may be several ones (``1:2:3``, DogStatsD 1.1); a line may hold several samples (``name:1|c:2|c``). Tags of
the other dialects are a part of the name: ``name#tag=value`` (Librato), ``name,tag=value`` (InfluxDB) and
``name[tag=value]`` (SignalFx). DogStatsD's fields for the container (``c:``), the time (``T``), the origin (``e:``) and
the cardinality (``card:``) mean nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from asyncmetrics.bridges.statsd_server.outcomes import Refused
from asyncmetrics.bridges.statsd_server.rules import LineKind, escape_name

__all__ = ("Series", "split_samples")

_SMALLEST_RATE = 1e-4  # each line below it would count for more than 10,000
_IGNORED_FIELDS = ("c:", "T", "e:", "card:")
_MOST_TAGS = 32
_MOST_SAMPLES = 32  # of a line, which is taken in one step
_KINDS: dict[str, tuple[LineKind, float]] = {
    "c": ("counter", 1.0),
    "g": ("gauge", 1.0),
    "ms": ("observer", 0.001),  # Prometheus has seconds
    "h": ("observer", 1.0),
    "d": ("observer", 1.0),
    "s": ("set", 1.0),
}

_Tags: TypeAlias = dict[str, str]


@final
@dataclass(frozen=True, slots=True)
class Series:
    """What a line says but for its value: which series it changes, and how."""

    name: str
    kind: LineKind
    factor: float
    rate: float
    tags: _Tags

    @classmethod
    def parse(cls, head: bytes, tail: bytes) -> Series:
        """Return what ``head``, which is before the value, and ``tail``, which is behind it, say. Raises `Refused`."""
        try:
            name, tags = _parse_name(head.decode())
            type_, *fields = tail.decode().split("|")
        except UnicodeDecodeError:
            raise Refused("malformed") from None
        if not name:
            raise Refused("malformed")
        if type_ not in _KINDS:
            raise Refused("type")
        rate = 1.0
        for field in fields:
            if field.startswith("#"):
                if tags:
                    raise Refused("tags")
                tags = _parse_tags(field[1:].split(","), ":")
            elif field.startswith("@"):
                rate = _parse_rate(field[1:])
            elif not field.startswith(_IGNORED_FIELDS):
                raise Refused("malformed")
        return cls(name, *_KINDS[type_], rate, tags)


def split_samples(head: bytes, value: bytes, tail: bytes) -> list[tuple[bytes, bytes]]:
    """Return the value and the tail of each sample, of which a line may have several: ``name:1|c:2|c``."""
    if b":" not in tail or b"|#" in tail:
        return [(value, tail)]
    type_, *fields = tail.split(b"|")
    if b":" not in type_ and not any(field[:1] == b"@" and b":" in field for field in fields):
        return [(value, tail)]  # the colon is in a field of DogStatsD
    parts = [(value, bar, rest) for value, bar, rest in (s.partition(b"|") for s in (value + b"|" + tail).split(b":"))]
    if not head or len(parts) > _MOST_SAMPLES or not all(bar for _, bar, _ in parts):
        raise Refused("malformed")
    return [(value, rest) for value, _, rest in parts]


def _parse_name(text: str) -> tuple[str, _Tags]:
    before, bracket, rest = text.partition("[")
    inside, end, after = rest.partition("]")
    if bracket and end:
        return before + after, _parse_tags(inside.split(","), "=")
    for position, character in enumerate(text):
        if character in "#,":
            return text[:position], _parse_tags(text[position + 1 :].split(","), "=")
    return text, {}


def _parse_tags(tags: list[str], separator: str) -> _Tags:
    """Return the tags; those without a name or a value are left out, as statsd_exporter does."""
    if len(tags) > _MOST_TAGS:
        raise Refused("tags")
    pairs = (tag.removeprefix("#").partition(separator) for tag in tags)
    return {escape_name(name): value for name, _, value in pairs if name and value}


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise Refused("rate") from None
    if not _SMALLEST_RATE <= rate <= 1.0:
        raise Refused("rate")
    return rate
