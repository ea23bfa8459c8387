"""The units that names may have, and the base units of Prometheus for them.

https://prometheus.io/docs/practices/naming/#base-units. The first three tables are those that promtool has; the last
one has what Python programs write besides.
"""

from __future__ import annotations

__all__ = ("ABBREVIATIONS", "HABITS", "find_base_unit")

_BASE_UNITS = {
    "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds", "volts",
}  # fmt: skip

_OTHER_UNITS = {
    **dict.fromkeys(("minutes", "hours", "days", "weeks"), "seconds"),
    **dict.fromkeys(("fahrenheit", "rankine"), "celsius"),
    **dict.fromkeys(("inches", "yards", "miles"), "meters"),
    **dict.fromkeys(("pounds", "ounces"), "grams"),
    "bits": "bytes",
    "calories": "joules",
    "kelvins": "kelvin",
}

_PREFIXES = (
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga", "gibi",
    "tera", "tebi", "peta", "pebi",
)  # fmt: skip

ABBREVIATIONS = {
    **dict.fromkeys(("s", "ms", "us", "ns", "sec", "h", "d"), "seconds"),
    **dict.fromkeys(("b", "kb", "mb", "gb", "tb", "pb"), "bytes"),
    "m": "seconds",  # or meters, which are rarer
}
"""Words that promtool takes for abbreviated units, with the base unit that is most likely meant."""

HABITS = {
    **dict.fromkeys(("percent", "percentage", "pct"), "ratio"),
    **dict.fromkeys(("secs", "msec", "msecs", "usec", "usecs", "nsec", "nsecs", "mins", "hrs"), "seconds"),
    **dict.fromkeys(("millis", "micros", "nanos"), "seconds"),
    **dict.fromkeys(("kib", "mib", "gib", "tib", "mebibytes"), "bytes"),
}
"""Words for units that promtool does not know, with their base units. ``min`` is missing: it is a minimum too."""


def find_base_unit(words: list[str]) -> tuple[str, str]:
    """Return the first word that is a unit, and its base unit; two empty texts if there is none."""
    for word in words:
        base = _find_unit(word)
        if base:
            return word, base
    return "", ""


def _find_unit(word: str) -> str:
    for prefix in ("", *_PREFIXES):
        plain = word.removeprefix(prefix)
        if prefix and plain == word:
            continue
        if plain in _BASE_UNITS:
            return plain
        if plain in _OTHER_UNITS:
            return _OTHER_UNITS[plain]
    return ""
