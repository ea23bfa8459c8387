"""The two messages of remote write: ``prometheus.WriteRequest`` (1.0) and ``io.prometheus.write.v2.Request`` (2.0).

Both are a list of series with labels, samples, native histograms and exemplars. They differ in the numbers of a few
fields, and in these:

* 1.0 writes the labels of each series as text. 2.0 writes each text once for the request, as a *symbol*, and the labels
  as numbers of symbols.
* 1.0 writes type, help and unit once for a family (and most receivers ignore them), 2.0 with each series.
* 2.0 has the time at which a series began to count. Prometheus 3.5 reads it from the series, the specification of today
  has it in each sample: it is written in both.

*Rules.* Encode the labels of a series in the order of the bytes of their names, each name once, and none whose value is
empty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import ClassVar, TypeAlias, final

from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_integer, encode_varint
from asyncmetrics.model.names import clean_text

__all__ = ("METRIC_TYPES", "Frames", "Header", "Message", "Message1", "Message2", "encode_utf8", "make_message")

METRIC_TYPES = {
    "unknown": 0,
    "counter": 1,
    "gauge": 2,
    "histogram": 3,
    "gaugehistogram": 4,
    "summary": 5,
    "info": 6,
    "stateset": 7,
}
"""The numbers of the types, the same in both messages."""

Header: TypeAlias = tuple[str, str, str, str]
"""The name of a family as the text format writes it, its type, its help and its unit."""

_MANY = 2048
_VARINTS = tuple(map(encode_varint, range(_MANY)))  # the length of almost every series
_SYMBOL_FRONTS = tuple(b"\x22" + varint for varint in _VARINTS)
_SYMBOL_BYTES = 2  # of a symbol, beside its text
_pack_double = Struct("<d").pack


def encode_utf8(text: str) -> bytes:
    """Return ``text`` in UTF-8, with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return clean_text(text).encode()


def _encode_length(length: int) -> bytes:
    return _VARINTS[length] if length < _MANY else encode_varint(length)


@final
class Frames(dict[int, bytes]):
    """What stands before the labels of a series, by the length of the labels. ``rest`` is the length after them."""

    def __init__(self, message: Message, rest: int) -> None:
        self._message = message
        self._rest = rest

    def __missing__(self, length: int) -> bytes:
        frame = self[length] = self._message.make_frame(length, self._rest)
        return frame


class Message(ABC):
    """One request that is being filled with series."""

    histogram_field: ClassVar[int]
    exemplar_field: ClassVar[int]
    has_start: ClassVar[bool]

    def __init__(self) -> None:
        self.samples = 0
        self._chunk_bytes = 0
        self._chunks: list[bytes] = []
        self._frames: dict[int, Frames] = {}
        self._encoders: dict[str, Callable[[str], bytes]] = {}

    def add(self, series: bytes, samples: int) -> None:
        """Append encoded series, which hold this number of samples."""
        self._chunks.append(series)
        self._chunk_bytes += len(series)
        self.samples += samples

    @property
    def size(self) -> int:
        """The number of bytes of the request so far."""
        return self._chunk_bytes + self._count_text_bytes()

    def get_frames(self, rest: int) -> Frames:
        """Return what stands before the labels of series that have ``rest`` bytes after their labels."""
        frames = self._frames.get(rest)
        if frames is None:
            frames = self._frames[rest] = Frames(self, rest)
        return frames

    def encode_labels(self, labels: Mapping[str, str]) -> bytes:
        """Return all labels, sorted."""
        return self.encode_sorted_labels([(name, labels[name]) for name in sorted(labels) if labels[name]])

    def encode_sorted_labels(self, labels: Iterable[tuple[str, str]]) -> bytes:
        """Return labels that are sorted, and none of whose values is empty."""
        return b"".join([self._find_encoder(name)(text) for name, text in labels])

    def _find_encoder(self, name: str) -> Callable[[str], bytes]:
        encoder = self._encoders.get(name)
        if encoder is None:
            encoder = self._encoders[name] = self.make_label_encoder(name)
        return encoder

    def encode_sample(self, value: bytes, time: int, start: int) -> bytes:
        """Return a sample: its value as the eight bytes of a double, its time and its start in milliseconds."""
        inner = b"\x09" + value + encode_integer(2, time) + (encode_integer(3, start) if start else b"")
        return encode_block(2, inner)

    def encode_exemplar(self, labels: Mapping[str, str], value: float, time: int) -> bytes:
        """Return an exemplar, whose time is in milliseconds."""
        labels_field = self.frame_labels(self.encode_labels(labels))
        return encode_block(self.exemplar_field, labels_field + encode_double(2, value) + encode_integer(3, time))

    def list_pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the request, piece by piece, and release each."""
        self._frames.clear()  # they refer to the message: without them it is freed at once
        yield from self._list_texts()
        chunks, self._chunks = self._chunks, []
        chunks.reverse()
        while chunks:
            yield chunks.pop()

    @abstractmethod
    def make_label_encoder(self, name: str) -> Callable[[str], bytes]:
        """Return a function from the values of the label ``name``, none of them empty, to the encoded label."""

    @abstractmethod
    def make_frame(self, length: int, rest: int) -> bytes:
        """Return what stands before ``length`` bytes of labels and ``rest`` more bytes of one series."""

    @abstractmethod
    def frame_labels(self, labels: bytes) -> bytes:
        """Return encoded labels as the field of a series, or of an exemplar."""

    @abstractmethod
    def describe(self, header: Header) -> bytes:
        """Return what each series of a family has for its type, help and unit."""

    @abstractmethod
    def encode_start(self, start: int) -> bytes:
        """Return what a series has for the time at which it began to count, in milliseconds."""

    @abstractmethod
    def _count_text_bytes(self) -> int:
        """Return about how many bytes `_list_texts` yields."""

    @abstractmethod
    def _list_texts(self) -> Iterator[bytes]:
        """Yield what the request has before its series."""


@final
class Message1(Message):
    """``prometheus.WriteRequest``: timeseries (1), metadata (3)."""

    histogram_field = 4
    exemplar_field = 3
    has_start = False

    def __init__(self) -> None:
        super().__init__()
        self._families: dict[Header, bytes] = {}

    def make_label_encoder(self, name: str) -> Callable[[str], bytes]:
        """Return a function that encodes labels for this version."""
        text = encode_utf8(name)
        head = b"\x0a" + _encode_length(len(text)) + text + b"\x12"
        fronts: dict[int, bytes] = {}  # what stands before a value, by its length

        def encode(value: str) -> bytes:
            text = value.encode() if value.isascii() else encode_utf8(value)
            size = len(text)
            return (fronts.get(size) or make_front(size)) + text

        def make_front(size: int) -> bytes:
            inner = head + _encode_length(size)
            front = fronts[size] = b"\x0a" + _encode_length(len(inner) + size) + inner
            return front

        return encode

    def make_frame(self, length: int, rest: int) -> bytes:
        """Return the tag and length of a series."""
        return b"\x0a" + encode_varint(length + rest)

    def frame_labels(self, labels: bytes) -> bytes:
        """Return labels as this version has them."""
        return labels

    def describe(self, header: Header) -> bytes:
        """Return what this version says of a family."""
        if header not in self._families:
            name, kind, text, unit = header
            fields = encode_integer(1, METRIC_TYPES[kind]) + encode_block(2, encode_utf8(name))
            fields += encode_block(4, encode_utf8(text)) + encode_block(5, encode_utf8(unit))
            self._families[header] = encode_block(3, fields)
        return b""

    def encode_start(self, start: int) -> bytes:  # noqa: ARG002  # 1.0 has none
        """Return the time of the beginning."""
        return b""

    def encode_sample(self, value: bytes, time: int, start: int) -> bytes:  # noqa: ARG002
        """Return one sample."""
        return super().encode_sample(value, time, 0)

    def _count_text_bytes(self) -> int:
        return sum(map(len, self._families.values()))

    def _list_texts(self) -> Iterator[bytes]:
        yield from self._families.values()


@final
class Message2(Message):
    """``io.prometheus.write.v2.Request``: symbols (4), timeseries (5)."""

    histogram_field = 3
    exemplar_field = 4
    has_start = True

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[bytes] = []
        self._symbols = _Symbols(self._texts)
        self._symbols[""]  # the first symbol is the empty text (2.0, "Protobuf Message")
        self._descriptions: dict[Header, bytes] = {}

    def make_label_encoder(self, name: str) -> Callable[[str], bytes]:
        """Return a function that encodes labels for this version."""
        symbols = self._symbols
        reference = symbols[name]
        return lambda value: reference + symbols[value]

    def make_frame(self, length: int, rest: int) -> bytes:
        """Return the tag and length of a series."""
        labels = b"\x0a" + encode_varint(length)
        return b"\x2a" + encode_varint(len(labels) + length + rest) + labels

    def frame_labels(self, labels: bytes) -> bytes:
        """Return labels as this version has them."""
        return encode_block(1, labels)

    def describe(self, header: Header) -> bytes:
        """Return what this version says of a family."""
        description = self._descriptions.get(header)
        if description is None:
            _, kind, text, unit = header
            fields = encode_integer(1, METRIC_TYPES[kind]) + b"\x18" + self._symbols[text]
            description = self._descriptions[header] = encode_block(5, fields + b"\x20" + self._symbols[unit])
        return description

    def encode_start(self, start: int) -> bytes:
        """Return the time of the beginning."""
        return encode_integer(6, start) if start else b""

    def _count_text_bytes(self) -> int:
        return self._symbols.size

    def _list_texts(self) -> Iterator[bytes]:
        for start in range(0, len(self._texts), _SYMBOLS_IN_PIECE):
            yield b"".join(self._texts[start : start + _SYMBOLS_IN_PIECE])
        self._texts = []


_SYMBOLS_IN_PIECE = 512


@final
class _Symbols(dict[str, bytes]):
    """The number of each text of the request, encoded; a text that is new becomes a symbol."""

    def __init__(self, texts: list[bytes]) -> None:
        self._texts = texts
        self.size = 0

    def __missing__(self, text: str) -> bytes:
        data = text.encode() if text.isascii() else encode_utf8(text)
        size = len(data)
        number = len(self._texts)
        self._texts.append((_SYMBOL_FRONTS[size] if size < _MANY else b"\x22" + encode_varint(size)) + data)
        self.size += size + _SYMBOL_BYTES
        # Most numbers take two bytes: benchmarks/push.py.
        encoded = bytes((number & 127 | 128, number >> 7)) if 128 <= number < 16_384 else encode_varint(number)
        self[text] = encoded
        return encoded


def make_message(version: int) -> Message:
    """Return an empty message of remote write 1 or 2."""
    return Message1() if version == 1 else Message2()
