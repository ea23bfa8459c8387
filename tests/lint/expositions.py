"""Random expositions in the text format, full of what a lint finds, and of what promtool refuses."""

from __future__ import annotations

from random import Random

__all__ = ("make_exposition",)

_WORDS = (
    "http requests queue size jobs cache hits Temp fooBar x http2 errors memory seconds bytes minutes milliseconds "
    "kilobytes days bits ms s kb m d sec ratio percent counter gauge summary histogram gauge_histogram Minutes a:b "
    "kelvins metres info created count sum bucket total"
).split()
_SUFFIXES = ("", "", "", "_total", "_seconds", "_count", "_sum", "_bucket", "_info", "_created", "_timestamp_seconds")
_LABELS = ("kind", "route", "userId", "le", "quantile", "job", "instance", "path", "__own", "statusCode", "x")
_VALUES = ("a", "b", "", "0.5", "1", "+Inf", "/orders/7", 'quo\\"te', "back\\\\slash", "li\\nne", "ü")
_TYPES = ("counter", "gauge", "summary", "histogram", "untyped", "")
_HELPS = ("Requests served.", "Size.", "", " ", "x", "a \\\\ and \\n", "Ünits { } # HELP")


def make_exposition(seed: int) -> str:
    """Return the exposition with this number: the same one for ever."""
    random = Random(seed)
    blocks = [_make_family(random) for _ in range(random.randint(1, 6))]
    if random.random() < 0.15:
        blocks.append(random.choice(blocks))  # repeated metadata and series
    if random.random() < 0.1:
        lines = [line for block in blocks for line in block]
        random.shuffle(lines)
        blocks = [lines]
    text = "".join(f"{line}\n" for block in blocks for line in block)
    return text.removesuffix("\n") if random.random() < 0.03 else text


def _make_family(random: Random) -> list[str]:
    name = "_".join(random.choices(_WORDS, k=random.randint(1, 4))) + random.choice(_SUFFIXES)
    kind = random.choice(_TYPES)
    lines = []
    if random.random() < 0.8:
        lines.append(f"# HELP {name} {random.choice((*_HELPS, name))}")
    if kind:
        lines.append(f"# TYPE {name} {kind}")
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        names = random.sample(_LABELS, k=random.choice((0, 0, 1, 2)))
        labels = {label: random.choice(_VALUES) for label in names}
        lines += _make_child(random, name, kind, labels)
    if random.random() < 0.05:
        lines.append("# a comment" if random.random() < 0.5 else f"{name} 1e400x")
    return lines


def _make_child(random: Random, name: str, kind: str, labels: dict[str, str]) -> list[str]:
    if kind == "histogram" and random.random() < 0.9:
        labels.pop("le", None)
        buckets = [_write(f"{name}_bucket", {**labels, "le": bound}, 1) for bound in ("0.1", "1", "+Inf")]
        return [*buckets, _write(f"{name}_sum", labels, 2), _write(f"{name}_count", labels, 1)]
    if kind == "summary" and random.random() < 0.9:
        labels.pop("quantile", None)
        return [
            _write(name, {**labels, "quantile": "0.5"}, 1),
            _write(f"{name}_sum", labels, 2),
            _write(f"{name}_count", labels, 1),
        ]
    return [_write(name, labels, random.choice((0, 1, 2.5, "NaN", "+Inf")))]


def _write(name: str, labels: dict[str, str], value: object) -> str:
    block = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{block and f'{{{block}}}'} {value}"
