"""Which format a scrape gets, by its Accept header (RFC 9110, section 12.5.1).

*Rules.* Whatever the header holds, there is an answer: text 0.0.4 where nothing else fits. Nothing of the header is
written into the answer, and no version is claimed that is not served.

*Theory of operation.* Each format takes the quality of the most specific range that matches it. The highest quality
wins; among equals the format whose range came first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, final

from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import ESCAPING_SCHEMES, UNDERSCORES

__all__ = (
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_OPENMETRICS",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "Format",
    "is_gzip_accepted",
    "negotiate",
)

CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_PLAIN_1_0_0 = "text/plain; version=1.0.0; charset=utf-8"
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_1_0_0

# What is read of a header, on the event loop: Prometheus' own has 260 characters, and 8192 hostile ones take 10 ms.
_MAX_CHARACTERS = 2048
_MAX_RANGES = 64
_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_BLANKS = " \t"  # RFC 9110, section 5.6.3: not all that str.strip() takes away, such as the byte A0
_PARAMETER = re.compile(
    rf';[{_BLANKS}]*([!#$%&\'*+.^_`|~\w-]+)[{_BLANKS}]*=[{_BLANKS}]*(?:"((?:[^"\\]|\\.)*)"|([^;,"{_BLANKS}]*))',
    re.ASCII,
)
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@final
@dataclass(frozen=True, slots=True)
class Format:
    """A format under one escaping scheme: what it calls itself, and how it writes families."""

    content_type: str
    encode_with: Callable[..., Iterator[bytes]] = field(repr=False)
    escaping: str = UNDERSCORES

    def encode(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Yield the exposition of ``families`` in chunks."""
        return self.encode_with(families, escaping=self.escaping)


class _Offer(NamedTuple):
    """A format as negotiated: ``wild`` says whether ``*`` may choose it and an Accept without version means it."""

    media_type: str
    version: str
    content_type: str
    encode: Callable[..., Iterator[bytes]]
    escapes: bool


_OFFERS = (
    _Offer("text/plain", "0.0.4", CONTENT_TYPE_PLAIN_0_0_4, encode_text, escapes=False),
    _Offer("application/openmetrics-text", "1.0.0", CONTENT_TYPE_OPENMETRICS, encode_openmetrics, escapes=True),
    _Offer("text/plain", "1.0.0", CONTENT_TYPE_PLAIN_1_0_0, encode_text, escapes=True),
)
_DEFAULT = Format(CONTENT_TYPE_PLAIN_0_0_4, encode_text)


class _Range(NamedTuple):
    media_type: str
    parameters: dict[str, str]
    quality: float
    position: int


def negotiate(accept: str | None) -> Format:
    """Return the format for an Accept header; None, nothing usable or nothing acceptable gives text 0.0.4."""
    ranges = list(_ranges(accept or ""))
    best: tuple[float, int] | None = None
    chosen = _DEFAULT
    for offer in _OFFERS:
        found = _matching(offer, ranges)
        if found is not None and found.quality > 0 and (best is None or (found.quality, -found.position) > best):
            best = (found.quality, -found.position)
            chosen = _format(offer, found.parameters.get("escaping", "").lower())
    return chosen


def _format(offer: _Offer, escaping: str) -> Format:
    if not offer.escapes or escaping not in ESCAPING_SCHEMES:
        return Format(offer.content_type, offer.encode)
    return Format(f"{offer.content_type}; escaping={escaping}", offer.encode, escaping)


def _matching(offer: _Offer, ranges: Iterable[_Range]) -> _Range | None:
    scores = ((_specificity(offer, item), item.quality, -item.position, item) for item in ranges)
    fitting = [score for score in scores if score[0]]
    return max(fitting, key=lambda score: score[:3])[3] if fitting else None


def _specificity(offer: _Offer, item: _Range) -> int:
    version = item.parameters.get("version")
    if item.media_type == offer.media_type:
        return 4 if version == offer.version else 3 if version is None and _is_first_version(offer) else 0
    wild = {f"{offer.media_type.partition('/')[0]}/*": 2, "*/*": 1}
    return wild.get(item.media_type, 0) if version in {None, offer.version} and _is_first_version(offer) else 0


def _is_first_version(offer: _Offer) -> bool:
    return next(other for other in _OFFERS if other.media_type == offer.media_type) is offer


def _ranges(header: str) -> Iterator[_Range]:
    for position, part in enumerate(_split(header)):
        media_type, _, rest = part.partition(";")
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
            for name, quoted, plain in _PARAMETER.findall(f";{rest}")
        }
        quality = parameters.pop("q", "1")
        if _QUALITY.fullmatch(quality):
            yield _Range(media_type.strip(_BLANKS).lower(), parameters, float(quality), position)


def _split(header: str) -> Iterator[str]:
    """Split a list at the commas that are not within quotes."""
    return (found[0] for found in islice(_PART.finditer(header[:_MAX_CHARACTERS]), _MAX_RANGES))


def is_gzip_accepted(accept_encoding: str | None) -> bool:
    """Tell whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    qualities = {item.media_type: item.quality for item in _ranges(accept_encoding or "")}
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0
