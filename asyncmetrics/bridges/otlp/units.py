"""Units of Prometheus, as those of UCUM (https://ucum.org/ucum), which OpenTelemetry uses.

The words are those that Prometheus' OTLP receiver writes for the abbreviations, so that the names of metrics stay the
same on the way through it ("Prometheus and OpenMetrics Compatibility", "Metric Metadata").
"""

from __future__ import annotations

from asyncmetrics.model.caching import cache_short_texts

__all__ = ("to_ucum",)

_UNITS = {
    "days": "d",
    "hours": "h",
    "minutes": "min",
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "nanoseconds": "ns",
    "bytes": "By",
    "kibibytes": "KiBy",
    "mebibytes": "MiBy",
    "gibibytes": "GiBy",
    "tebibytes": "TiBy",
    "kilobytes": "KBy",
    "megabytes": "MBy",
    "gigabytes": "GBy",
    "terabytes": "TBy",
    "bits": "bit",
    "meters": "m",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "grams": "g",
    "celsius": "Cel",
    "kelvin": "K",
    "hertz": "Hz",
    "percent": "%",
    "ratio": "1",
}
_RATES = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}


@cache_short_texts
def to_ucum(unit: str) -> str:
    """Return ``unit`` in UCUM: ``s`` for ``seconds``, ``By/s`` for ``bytes_per_second``.

    A unit that UCUM does not have becomes an annotation, ``{requests}``, which receivers take for no unit.
    """
    counted, per, period = unit.rpartition("_per_")
    if per and period in _RATES:
        return f"{_UNITS.get(counted, _annotate(counted))}/{_RATES[period]}"
    return _UNITS.get(unit, _annotate(unit))


def _annotate(unit: str) -> str:
    """Return a unit in braces: printable ASCII without braces (UCUM, section 12)."""
    text = "".join(char for char in unit if "!" <= char <= "~" and char not in "{}")
    return f"{{{text}}}" if text else ""
