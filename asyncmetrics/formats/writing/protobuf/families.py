"""The messages of an exposition.

*Theory of operation.* The size of a message stands before it, so a family is encoded in steps, and its pieces are held
until it ends. It is one message however large it is: Prometheus would read several messages of one name as one family,
but readers that keep families by name, such as older versions of Telegraf, would lose all but the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.formats.protobuf import encode_integer, encode_text, encode_varint
from asyncmetrics.formats.writing.chunks import join_bytes
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import get_help, has_unit, list_samples
from asyncmetrics.formats.writing.omissions import PROTOBUF, OmissionHandler, Omissions
from asyncmetrics.formats.writing.protobuf.custom import CustomFamily
from asyncmetrics.formats.writing.protobuf.live import encode_live_family
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.family import LiveFamily, Metric, copy_family
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import clean_text
from asyncmetrics.model.samples import Sample

__all__ = ("encode_protobuf",)

_STEP_SAMPLES = 64
_STEP_BYTES = 16 * 1024  # the work of half a millisecond, as in `chunks`

_COUNTER, _UNTYPED = 0, 3
_TYPES = {
    "counter": _COUNTER,
    "gauge": 1,
    "info": 1,
    "stateset": 1,
    "summary": 2,
    "unknown": _UNTYPED,
    "histogram": 4,
    "gaugehistogram": 5,
}


def encode_protobuf(
    families: Iterable[Metric], *, escaping: str = UNDERSCORES, on_omitted: OmissionHandler | None = None
) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks.

    A sample that cannot be written is left out and reported to ``on_omitted`` (see `OmissionHandler`).
    """
    return join_bytes(_encode_families(families, escaping, Omissions(PROTOBUF, on_omitted)))


def _encode_families(families: Iterable[Metric], escaping: str, omissions: Omissions) -> Iterator[bytes | None]:
    claims = Claims(escaping, omissions)
    for family in claims.iterate_families(families):
        if not claims.claim(family, _list_claims(family)):
            continue
        if family.partial:
            yield from _encode_part(family, escaping, claims, omissions)
            continue
        name = escape_name(family.name, escaping)
        suffix = KINDS[family.type].text_suffix
        unit = family.unit if has_unit(family, name) else ""
        header = _encode_header(name + suffix, family, _TYPES[family.type], unit)
        if isinstance(family, LiveFamily):
            yield from _frame_message(header, encode_live_family(family, escaping))
            continue
        custom = CustomFamily(family, escaping, claims, omissions)
        yield from _frame_message(header, custom.encode())
        for suffix, metrics in custom.bare.items():
            number = _COUNTER if custom.is_counter(suffix) else _UNTYPED
            yield from _frame_message(_encode_header(name + suffix, family, number, ""), metrics)


def _encode_part(family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> Iterator[bytes | None]:
    """Encode the samples of a family that `Metric.restrict` has cut, each name as a family without a type.

    A message of a summary or a histogram always has all numbers.
    """
    samples: dict[str, list[Sample]] = {}
    every = family.iter_samples() if isinstance(family, LiveFamily) else list_samples(family)
    for number, sample in enumerate(every, 1):
        samples.setdefault(sample.name, []).append(sample)
        if not number % _STEP_SAMPLES:
            yield None
    for name, own in samples.items():
        part = copy_family(family, own)
        part.name, part.type, part.unit = name, "unknown", ""
        suffix = name.removeprefix(family.name)
        is_own = suffix in KINDS[family.type].suffixes
        written = escape_name(family.name, escaping) + suffix if is_own else escape_name(name, escaping)
        custom = CustomFamily(part, escaping, claims, omissions)
        yield from _frame_message(_encode_header(written, part, _UNTYPED, ""), custom.encode())


def _list_claims(family: Metric) -> list[str]:
    """Return the suffixes of all names that a server stores for a family."""
    kind = KINDS[family.type]
    return [kind.text_suffix, *kind.suffixes, *(KINDS[kind.text_type].totals if kind.text_type in KINDS else ())]


def _encode_header(name: str, family: Metric, number: int, unit: str) -> bytes:
    header = encode_text(1, name) + encode_text(2, clean_text(get_help(family))) + encode_integer(3, number)
    return header + encode_text(5, unit) if unit else header


def _frame_message(header: bytes, pieces: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Yield the message of a family, or none without metrics. While pieces are held, yield a step for each."""
    held: list[bytes] = []
    pending: list[bytes] = []  # joined when they are long, so that there are few to hold: a list may have a million
    size = since = 0
    for piece in pieces:
        if piece:
            pending.append(piece)
            since += len(piece)
        is_long = since >= _STEP_BYTES
        if is_long:
            held.append(b"".join(pending))
            pending.clear()
            size, since = size + since, 0
        yield None if is_long or piece is None else b""
    if held or pending:
        yield encode_varint(len(header) + size + since) + header
    held.append(b"".join(pending))
    held.reverse()
    while held:  # to free all of it at once would be a long step
        yield held.pop()
