"""A request of remote write 2.0 as one of 1.0, for a receiver that does not take 2.0.

A request that was encoded already, and perhaps waits behind others, is converted when it is sent: nothing of it is
lost, and no second form of it has to be kept. The start of a series is dropped, which 1.0 does not have.

*Rule.* This reads only what `encode_requests` has written: the fields are as they should be.
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct
from typing import final

from asyncmetrics.bridges.remote_write.layout import NAME, Names
from asyncmetrics.bridges.remote_write.messages import METRIC_TYPES, Message1
from asyncmetrics.bridges.remote_write.snappy import compress_in_steps
from asyncmetrics.formats.protobuf import decode_fields, decode_varints, encode_block
from asyncmetrics.model.escaping import ALLOW_UTF_8, UNDERSCORES
from asyncmetrics.model.kinds import KINDS

__all__ = ("convert_in_steps",)

_SYMBOL, _SERIES = 4, 5
_LABELS, _SAMPLE, _HISTOGRAM, _EXEMPLAR, _METADATA = 1, 2, 3, 4, 5
_SAMPLE_START, _HISTOGRAM_START = 3, 17
_STEP = 16  # series in one step
_KIND_NAMES = {number: name for name, number in METRIC_TYPES.items()}

_unpack = Struct("<d").unpack


def convert_in_steps(data: bytes, escaping: str | None) -> Generator[None, None, bytes]:
    """Return the compressed 1.0 request for the 2.0 message ``data``, in steps.

    Names are escaped by ``escaping``; None stands for underscores, which the receivers of 1.0 expect.
    """
    converter = _Converter(UNDERSCORES if escaping is None else ALLOW_UTF_8)
    for number, (field, value, _) in enumerate(decode_fields(data)):
        if field == _SYMBOL and isinstance(value, bytes):
            converter.symbols.append(value.decode())
        elif field == _SERIES and isinstance(value, bytes):
            converter.convert_series(value)
        if not number % _STEP:
            yield
    return (yield from compress_in_steps(converter.message.list_pieces()))


@final
class _Converter:
    """The symbols of the request that is read, and the message that is written."""

    def __init__(self, escaping: str) -> None:
        self.symbols: list[str] = []
        self.message = Message1()
        self._names = Names(escaping)

    def convert_series(self, series: bytes) -> None:
        """Add one series to the message."""
        name = ""
        block = b""
        parts: list[bytes] = []
        for field, value, _ in decode_fields(series):
            if not isinstance(value, bytes):
                continue  # the start of the series
            if field == _LABELS:
                labels = self._read_labels(value)
                name = labels[NAME]
                block = self.message.encode_labels(labels)
            elif field == _SAMPLE:
                parts.append(encode_block(2, _copy_fields(value, _SAMPLE_START)))
            elif field == _HISTOGRAM:
                parts.append(encode_block(Message1.histogram_field, _copy_fields(value, _HISTOGRAM_START)))
            elif field == _EXEMPLAR:
                parts.append(self._convert_exemplar(value))
            elif field == _METADATA:
                self._describe(name, value)
        rest = b"".join(parts)
        self.message.add(b"".join((self.message.make_frame(len(block), len(rest)), block, rest)), 1)

    def _read_labels(self, references: bytes) -> dict[str, str]:
        numbers = list(decode_varints(references))
        texts = [self.symbols[number] for number in numbers]
        labels = dict(zip(texts[::2], texts[1::2], strict=True))
        name = labels.pop(NAME, None)
        written = {self._names.write_label(label): text for label, text in labels.items()}
        if name is not None:
            written[NAME] = self._names.write_metric(name)
        return written

    def _convert_exemplar(self, exemplar: bytes) -> bytes:
        labels: dict[str, str] = {}
        number, time = 0.0, 0
        for field, value, _ in decode_fields(exemplar):
            if isinstance(value, int):
                time = value
            elif field == 1:
                labels = self._read_labels(value)
            else:
                (number,) = _unpack(value)
        return self.message.encode_exemplar(labels, number, time)

    def _describe(self, name: str, metadata: bytes) -> None:
        fields = {field: value for field, value, _ in decode_fields(metadata)}
        kind = _KIND_NAMES[int(fields.get(1, 0))]
        text, unit = (self.symbols[int(fields.get(number, 0))] for number in (3, 4))
        self.message.describe((_find_family(name, kind), kind, text, unit))


def _find_family(name: str, kind: str) -> str:
    """Return the name of the family, as the text format has it, of the series ``name``."""
    if not KINDS[kind].text_suffix:
        for suffix in filter(None, KINDS[kind].value_suffixes):
            if name.endswith(suffix):
                return name.removesuffix(suffix)
    return name


def _copy_fields(message: bytes, dropped: int) -> bytes:
    """Return a message without the field ``dropped``."""
    return b"".join(encoded for field, _, encoded in decode_fields(message) if field != dropped)
