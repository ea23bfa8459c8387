"""`compare`: whether a registry exposes what a text says, as ``testutil.GatherAndCompare`` of client_golang does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan
from typing import NamedTuple, final

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.errors import shorten, show, show_text, suggest
from asyncmetrics.exposition.latest import choose_encoder, generate_latest
from asyncmetrics.model.checks import check_text, list_items
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.registry import Collectable
from asyncmetrics.testing.scraping import ScrapedMetrics
from asyncmetrics.testing.series import Series, make_series, show_value

__all__ = ("compare",)

_MOST_LINES = 60  # of the differences, in a message
_OPENMETRICS = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
_SUFFIXES = {suffix for kind in KINDS.values() for suffix in ("", *kind.suffixes)}


@final
class _Line(NamedTuple):
    """What one line says: a help, a type, or the value of a series. Its ``family`` is the name in a TYPE line."""

    family: str
    subject: str
    value: str | float | None

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return f"{self.subject} {show_text(shorten(self.value))}"
        return f"{self.subject} {'' if self.value is None else show_value(self.value)}".rstrip()


def compare(registry: Collectable | ScrapedMetrics | Exposition | str, text: str, names: Iterable[str] = ()) -> None:
    """Raise `AssertionError`, with the lines that differ, unless ``registry`` exposes what ``text`` says.

    ``text`` is in the Prometheus text format, or in OpenMetrics if its last line is ``# EOF``. The order of lines and
    labels, blanks at the beginning of lines, times and exemplars make no difference. A HELP or TYPE is compared if
    ``text`` has it, and a ``_created`` sample likewise. With ``names`` only the metrics of these names are compared,
    such as ``jobs_total``; otherwise all metrics of the registry.

    ``registry`` may also be what `scrape` returns, or a text. Raises `ParseError` for a text that is not in its format,
    and `DefinitionError` for another wrong argument.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    check_text("text", text, "jobs_total 1")
    remedy = f"write [{names!r}]" if isinstance(names, str) else ""
    wanted = tuple(map(str, list_items("names", names, "a list of names of metrics", remedy=remedy)))
    expected_families = _parse(text)
    actual_families = _parse(_render(registry, is_openmetrics=Exposition.from_text(text).is_openmetrics))
    if wanted:
        _check_names(wanted, expected_families, actual_families)
        expected_families = [family for family in expected_families if _is_named(family, wanted)]
        actual_families = [family for family in actual_families if _is_named(family, wanted)]
    expected = _list_lines(expected_families)
    created = {f"{family.name}_created" for family in actual_families if KINDS[family.type].has_created}
    actual = {
        key: line
        for key, line in _list_lines(actual_families).items()
        if key in expected or not (key[1] in {"HELP", "TYPE"} or key[0] in created)
    }
    differences = list(_list_differences(expected, actual))
    if differences:
        rest = len(differences) - _MOST_LINES
        end = [f"… and {rest} more"] if rest > 0 else []
        head = "The metrics differ from the text (- is expected, + is exposed):"
        raise AssertionError("\n".join([head, *differences[:_MOST_LINES], *end]))


def _render(registry: Collectable | ScrapedMetrics | Exposition | str, *, is_openmetrics: bool) -> str:
    if isinstance(registry, (ScrapedMetrics, Exposition)):
        return registry.text
    if isinstance(registry, str):
        return registry
    if is_openmetrics:
        encode, _ = choose_encoder(_OPENMETRICS)
        return encode(registry).decode()
    return generate_latest(registry, "allow-utf-8").decode()


def _parse(text: str) -> list[Metric]:
    lines = "\n".join(line.lstrip(" \t") for line in text.split("\n")).lstrip("\n")
    exposition = Exposition.from_text(lines)
    if exposition.is_openmetrics:  # whose reader takes nothing behind the last line
        exposition = Exposition.from_text(f"{lines.rstrip()}\n")
    return exposition.parse()


def _get_exposed_name(family: Metric) -> str:
    """Return the name in the TYPE line of the text format: that of a counter ends with ``_total``."""
    return family.name + KINDS[family.type].text_suffix


def _is_named(family: Metric, names: Iterable[str]) -> bool:
    if family.type == "unknown":  # without a TYPE, the samples of a histogram are families of their own
        return any(family.name == name + suffix for name in names for suffix in _SUFFIXES)
    return family.name in names or _get_exposed_name(family) in names


def _check_names(names: Iterable[str], expected: list[Metric], actual: list[Metric]) -> None:
    """Raise `AssertionError` for a name that occurs nowhere: the comparison would always succeed."""
    __tracebackhide__ = True
    families = [*expected, *actual]
    for name in names:
        if expected and not any(_is_named(family, (name,)) for family in families):
            known = sorted({_get_exposed_name(family) for family in families})
            raise AssertionError(f"names has {show(name)}, which is no metric of either{suggest(name, known)}")


def _list_lines(families: Iterable[Metric]) -> dict[tuple[str, Series | str], _Line]:
    """Return what the lines say, by their family and their subject."""
    lines: dict[tuple[str, Series | str], _Line] = {}
    for family in families:
        name = _get_exposed_name(family)
        if family.documentation:
            lines[name, "HELP"] = _Line(name, f"# HELP {show_text(shorten(name))}", family.documentation)
        if family.type != "unknown":
            lines[name, "TYPE"] = _Line(name, f"# TYPE {show_text(shorten(name))}", KINDS[family.type].text_type)
        for sample in family.samples:
            series = make_series(sample.name, sample.labels)
            lines[sample.name, series] = _Line(name, str(series), float(sample.value))
    return lines


def _list_differences(
    expected: dict[tuple[str, Series | str], _Line], actual: dict[tuple[str, Series | str], _Line]
) -> Iterator[str]:
    for key in sorted({**expected, **actual}, key=lambda key: (key[0], isinstance(key[1], Series), str(key[1]))):
        before, after = expected.get(key), actual.get(key)
        if before is not None and after is not None and _is_equal(before.value, after.value):
            continue
        yield from (f"{sign} {line}" for sign, line in (("-", before), ("+", after)) if line is not None)


def _is_equal(expected: str | float | None, actual: str | float | None) -> bool:
    if isinstance(expected, float) and isinstance(actual, float) and isnan(expected):
        return isnan(actual)
    return expected == actual
