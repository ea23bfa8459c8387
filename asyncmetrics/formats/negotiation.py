"""Decides which format a scrape gets, by its Accept header (RFC 9110, section 12.5.1).

*Rules.*

* Return a format for every header: text 0.0.4 if no other fits.
* Copy nothing of the header into the response: a content type has only texts of this module.
* Claim no version that the encoders do not write.

*Theory of operation.*

1. The header is split into ranges, each with its parameters and its quality (``q``).
2. Each format gets the quality of the most specific range that matches it.
3. The format with the highest quality wins, and among equals the one whose range comes first in the header.
4. The parameter ``escaping`` of that range decides how names are escaped; for protobuf without one, that of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, final

from asyncmetrics.formats.writing.omissions import OmissionHandler
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ESCAPING_SCHEMES, UNDERSCORES
from asyncmetrics.model.family import Metric

__all__ = (
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_OPENMETRICS",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CONTENT_TYPE_PROTOBUF",
    "Format",
    "is_gzip_accepted",
    "negotiate",
)

CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_PLAIN_1_0_0 = "text/plain; version=1.0.0; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CONTENT_TYPE_PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_1_0_0
_CONTENT_TYPE_OPENMETRICS_0_0_1 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

# The header is read on the event loop. Prometheus' own has 260 characters; 8192 hostile ones would take 10 ms.
_MAX_CHARACTERS = 2048
_MAX_RANGES = 64
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_BLANKS = " \t"  # RFC 9110, section 5.6.3; str.strip() would remove more, such as the byte A0
_PARAMETER = re.compile(
    rf';[{_BLANKS}]*([!#$%&\'*+.^_`|~\w-]+)[{_BLANKS}]*=[{_BLANKS}]*(?:"((?:[^"\\]|\\.)*)"|([^;,"{_BLANKS}]*))',
    re.ASCII,
)
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@final
@dataclass(frozen=True, slots=True)
class Format:
    """A format with one escaping scheme: its content type and its encoder."""

    content_type: str
    encode_with: Callable[..., Iterator[bytes]] = field(repr=False)
    escaping: str = UNDERSCORES

    def encode(self, families: Iterable[Metric], on_omitted: OmissionHandler | None = None) -> Iterator[bytes]:
        """Yield the exposition of ``families`` in chunks; report the samples that are left out to ``on_omitted``."""
        return self.encode_with(families, escaping=self.escaping, on_omitted=on_omitted)


class _Offer(NamedTuple):
    """One version of a media type that can be served. ``escapes`` is whether a client may ask for an escaping scheme.

    ``parameters`` are those of the media type that choose the version. The first version of a media type is the one
    that ``*`` and a range without these parameters mean, unless the offer ``is_explicit``.
    """

    media_type: str
    parameters: Mapping[str, str]
    content_type: str
    encode: Callable[..., Iterator[bytes]]
    escapes: bool
    is_explicit: bool = False


# A browser must not get protobuf, which people cannot read: a client has to name the message and its framing.
_PROTOBUF_PARAMETERS = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}
_OPENMETRICS = "application/openmetrics-text"
_OFFERS = (
    _Offer("text/plain", {"version": "0.0.4"}, CONTENT_TYPE_PLAIN_0_0_4, encode_text, escapes=False),
    _Offer(_OPENMETRICS, {"version": "1.0.0"}, CONTENT_TYPE_OPENMETRICS, encode_openmetrics, escapes=True),
    # Prometheus up to 2.33 asks for the draft 0.0.1 and parses both alike; client_golang answers as here.
    _Offer(_OPENMETRICS, {"version": "0.0.1"}, _CONTENT_TYPE_OPENMETRICS_0_0_1, encode_openmetrics, escapes=True),
    _Offer("text/plain", {"version": "1.0.0"}, CONTENT_TYPE_PLAIN_1_0_0, encode_text, escapes=True),
    _Offer(
        "application/vnd.google.protobuf", _PROTOBUF_PARAMETERS, CONTENT_TYPE_PROTOBUF, encode_protobuf,
        escapes=True, is_explicit=True,
    ),
)  # fmt: skip
_DEFAULT = Format(CONTENT_TYPE_PLAIN_0_0_4, encode_text)


class _Range(NamedTuple):
    media_type: str
    parameters: dict[str, str]
    quality: float
    position: int


def negotiate(accept: str | None) -> Format:
    """Return the format for an Accept header. It is text 0.0.4 if the header is None or accepts no format of ours."""
    ranges = list(_parse_ranges(accept or ""))
    best: tuple[float, int] | None = None
    winner = _DEFAULT
    for offer in _OFFERS:
        match = _find_range(offer, ranges)
        if match is not None and match.quality > 0 and (best is None or (match.quality, -match.position) > best):
            best = (match.quality, -match.position)
            winner = _make_format(offer, _find_escaping(offer, match, ranges))
    return winner


def _find_escaping(offer: _Offer, match: _Range, ranges: Iterable[_Range]) -> str:
    """Return the scheme of a range. If that of protobuf names none, return that of the best range with one.

    Prometheus 3 names none beside protobuf: its metrics would have other names from the day that it asks for it.
    """
    candidates = [match]
    if offer.is_explicit and "escaping" not in match.parameters:
        accepted = (item for item in ranges if item.quality > 0)
        candidates += sorted(accepted, key=lambda item: -item.quality)  # stable: the first of equals
    schemes = (item.parameters.get("escaping", "").lower() for item in candidates)
    return next((scheme for scheme in schemes if scheme in ESCAPING_SCHEMES), "")


def _make_format(offer: _Offer, escaping: str) -> Format:
    if not offer.escapes or escaping not in ESCAPING_SCHEMES:
        return Format(offer.content_type, offer.encode)
    return Format(f"{offer.content_type}; escaping={escaping}", offer.encode, escaping)


def _find_range(offer: _Offer, ranges: Iterable[_Range]) -> _Range | None:
    scores = ((_rate(offer, item), item.quality, -item.position, item) for item in ranges)
    matches = [score for score in scores if score[0]]
    return max(matches, key=lambda score: score[:3])[3] if matches else None


def _rate(offer: _Offer, item: _Range) -> int:
    """Return how specific the match of a range is (RFC 9110, section 12.5.1), or 0 if it does not match."""
    asked = {name: item.parameters[name] for name in offer.parameters if name in item.parameters}
    if asked == offer.parameters and item.media_type == offer.media_type:
        return 4
    if asked not in ({}, offer.parameters) or not _is_first_version(offer) or offer.is_explicit:
        return 0
    if item.media_type == offer.media_type:
        return 3
    return {f"{offer.media_type.partition('/')[0]}/*": 2, "*/*": 1}.get(item.media_type, 0)


def _is_first_version(offer: _Offer) -> bool:
    return next(other for other in _OFFERS if other.media_type == offer.media_type) is offer


def _parse_ranges(header: str) -> Iterator[_Range]:
    for position, item in enumerate(_split_list(header)):
        media_type, _, rest = item.partition(";")
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
            for name, quoted, plain in _PARAMETER.findall(f";{rest}")
        }
        quality = parameters.pop("q", "1")
        if _QUALITY.fullmatch(quality):
            yield _Range(media_type.strip(_BLANKS).lower(), parameters, float(quality), position)


def _split_list(header: str) -> Iterator[str]:
    """Split a list at the commas that are not in quotes."""
    return (match[0] for match in islice(_ITEM.finditer(header[:_MAX_CHARACTERS]), _MAX_RANGES))


def is_gzip_accepted(accept_encoding: str | None) -> bool:
    """Return whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    qualities = {item.media_type: item.quality for item in _parse_ranges(accept_encoding or "")}
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0
