"""What ``--slo`` says: an objective in per cent, and what it is about.

*The syntax* is ``[NAME=]MEASURE=OBJECTIVE``, where MEASURE is one of

* ``KIND`` or ``KIND:VALUE``, such as ``http`` or ``http:/orders/{n}``: a kind of `KINDS`, for one route and so on;
* ``latency<LIMIT`` or ``latency:ROUTE<LIMIT``, with a limit such as ``0.5s``;
* ``HISTOGRAM<LIMIT``: any other histogram; a limit without a unit is in the unit of the histogram;
* ``FAILURES/TOTAL``: two counters, each with matchers if needed, such as ``requests_total{code="500"}``.

The last two need a name. ``<=`` is the same as ``<``: a bucket counts its bound too.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn, TypeAlias, final

from asyncmetrics.errors import DefinitionError, show, suggest

__all__ = (
    "KINDS",
    "Kind",
    "KindMeasure",
    "LatencyMeasure",
    "Matcher",
    "Measure",
    "Objective",
    "RatioMeasure",
    "Selector",
    "compile_pattern",
    "parse_objective",
)

Matcher: TypeAlias = tuple[str, str, str]
"""The name of a label, an operator such as ``=~``, and a value."""


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objectives: which samples are counted, which of them are failures, and the label of one series.

    Without ``failures`` the metric is a gauge that is 1 while all is well, and 0 otherwise.
    """

    metric: str
    failures: Matcher | None
    label: str
    what: str
    verb: str = "fail"


KINDS: dict[str, Kind] = {
    "http": Kind("http_server_request_duration_seconds_count", ("status", "=~", "5.."), "route", "requests"),
    "latency": Kind("http_server_request_duration_seconds_bucket", None, "route", "requests", "are too slow"),
    "stream": Kind("http_server_stream_duration_seconds_count", ("outcome", "=", "failed"), "route", "streams"),
    "websocket": Kind(
        "websocket_server_connection_duration_seconds_count", ("outcome", "=", "failed"), "route", "WebSockets"
    ),
    "client": Kind(
        "http_client_request_duration_seconds_count", ("status", "=~", "5..|error"), "server", "requests to others"
    ),
    "db": Kind("db_client_operation_duration_seconds_count", ("outcome", "=", "error"), "system", "operations"),
    "periodic": Kind("periodic_run_duration_seconds_count", ("outcome", "=", "error"), "periodic", "runs"),
    "check": Kind("health_check_up", None, "check", "health checks"),
}
"""What an objective can be about, apart from the counters of the user."""


@final
@dataclass(frozen=True, slots=True)
class Selector:
    """A metric, with matchers of labels."""

    name: str
    matchers: tuple[Matcher, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class KindMeasure:
    """One of `KINDS`, for all series or those whose label has ``value``."""

    kind: str
    value: str | None


@final
@dataclass(frozen=True, slots=True)
class LatencyMeasure:
    """What is above ``limit``: HTTP requests (``histogram`` is None), or the observations of a histogram.

    ``is_time`` is whether the limit is in seconds. Otherwise it has the unit of the histogram, whatever that is.
    """

    histogram: Selector | None
    value: str | None
    limit: Decimal
    is_time: bool = True


@final
@dataclass(frozen=True, slots=True)
class RatioMeasure:
    """The failures among all events, by two counters."""

    failures: Selector
    total: Selector


Measure: TypeAlias = KindMeasure | LatencyMeasure | RatioMeasure
"""What an objective is about."""


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """An objective: ``percent`` of the events of ``measure`` are good.

    ``text`` is what the user wrote, ``text_without_name`` the same without the name and ``=`` before the measure.
    """

    name: str
    measure: Measure
    percent: Decimal
    text: str
    text_without_name: str

    @property
    def budget(self) -> Decimal:
        """The share of events that may fail, such as 0.001."""
        return ((100 - self.percent) / 100).normalize()


_EXAMPLES = "http=99.9%, latency<0.5s=99% or orders=shop_failures_total/shop_orders_total=99.5%"
_UNITS = {"": Decimal(1), "s": Decimal(1), "ms": Decimal("0.001"), "m": Decimal(60), "h": Decimal(3600)}
_LABEL_NAME = "[a-zA-Z_][a-zA-Z0-9_]*"
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_SELECTOR = rf"(?:[a-zA-Z_:][a-zA-Z0-9_:]*|{_STRING})(?:\{{[^{{}}\"]*(?:{_STRING}[^{{}}\"]*)*\}})?"
_MATCHER = re.compile(rf"\s*({_LABEL_NAME})\s*(=~|!~|!=|=)\s*({_STRING})\s*(,|$)")
_WRONG_IN_BOTH = re.compile("missing|unbalanced|unterminated|nothing to repeat|multiple repeat")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse_objective(text: str) -> Objective:
    """Return the objective that ``text`` describes. Raises `DefinitionError`, which says what was expected."""
    head, equals, percent = text.rpartition("=")
    if not equals:
        _refuse(text, f"expected an objective such as {_EXAMPLES}")
    named = re.fullmatch(r"\s*([a-zA-Z][a-zA-Z0-9_.-]*)\s*=(?!~)(.*)", head, re.DOTALL)
    name, body = (named[1], named[2]) if named else ("", head)
    measure = _parse_measure(body.strip(), text)
    name = name or _get_name(measure)
    if not name:
        _refuse(text, f"expected a name before it, such as orders={body.strip()}={percent.strip()}")
    return Objective(name, measure, _parse_percent(percent, text), text, f"{body.strip()}={percent.strip()}")


def _get_name(measure: Measure) -> str:
    """Return the name of an objective that the user has not named, or an empty text if it needs one."""
    match measure:
        case KindMeasure():
            kind = measure.kind
        case LatencyMeasure(histogram=None):
            kind = "latency"
        case _:
            return ""
    return kind if measure.value is None else f"{kind}:{measure.value}"


def _parse_percent(given: str, text: str) -> Decimal:
    """Return the percentage. One that is written as a share, or without its sign, is refused with the right text."""
    match = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*", given)
    percent = Decimal(match[1]) if match else Decimal(0)
    if re.fullmatch(r"\s*[0-9]+\.[0-9]{7,}\s*%\s*", given):
        _refuse(text, f"expected at most 6 digits after the point, got {given.strip()!r}")
    if match and percent >= 100:
        _refuse(text, "expected less than 100%: no error budget is left, and every failure would be an alert")
    if percent > 0:
        return percent
    bare = re.fullmatch(r"\s*(0?\.[0-9]{1,10}|[0-9]{2}(?:\.[0-9]{1,10})?)\s*", given)
    share = Decimal(bare[1]) if bare else Decimal(0)
    meant = f"{(share * 100 if share < 1 else share).normalize():f}%" if share else "99.9%"
    return _refuse(text, f"expected a percentage above 0% after the last '=', got {given.strip()!r}: write {meant}")


def _parse_measure(body: str, text: str) -> Measure:
    if limited := re.fullmatch(r"(.*)<=?\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([a-zA-Zµ]*)", body, re.DOTALL):
        return _parse_latency(limited[1].strip(), limited[2], limited[3], text)
    kind, colon, value = body.partition(":")
    if re.match(r"latency\b", body):
        example = re.match(r"[^<>=]*", body)
        _refuse(text, f"expected a limit, such as {(example[0] if example else kind).strip()}<0.5s=99%")
    if kind in KINDS:
        if colon and not value:
            _refuse(text, f"expected a value of the label {KINDS[kind].label!r} after '{kind}:'")
        return KindMeasure(kind, value if colon else None)
    pair = re.fullmatch(rf"({_SELECTOR})\s*/\s*({_SELECTOR})", body, re.DOTALL)
    if pair is not None:
        return RatioMeasure(_parse_selector(pair[1], text), _parse_selector(pair[2], text))
    return _refuse_measure(body, text)


def _refuse_measure(body: str, text: str) -> NoReturn:
    """Say what is wrong with a measure that cannot be read: its matchers, the name before it, or its word."""
    name, equals, rest = body.partition("=")
    has_name = bool(equals) and "{" not in name
    word = re.split(r"[:{<>=\s]", rest.strip() if has_name else body)[0].lower()
    if has_name and word in KINDS:
        expected = "expected a name that begins with a letter and has letters, digits, '_', '.' and '-'"
        _refuse(text, f"{expected} before the first '=', got {name.strip()!r}")
    if "{" in body and word in KINDS:
        advice = f"write {word}:VALUE for one {KINDS[word].label}, or NAME=FAILURES/TOTAL for other series"
        _refuse(text, f"{word!r} takes no matchers: {advice}")
    known = f"{', '.join(KINDS)}, HISTOGRAM<0.5s or FAILURES/TOTAL"
    advice = suggest(word, KINDS) or f"; expected one of {known}, such as {_EXAMPLES}"
    _refuse(text, f"there is no measure {show(body)}{advice}")


def _parse_latency(head: str, number: str, unit: str, text: str) -> LatencyMeasure:
    if unit not in _UNITS or not Decimal(number):
        _refuse(text, f"expected a limit above 0 in s, ms, m or h, such as 0.5s, got {number + unit!r}")
    limit = Decimal(number) * _UNITS[unit]
    kind, colon, value = head.partition(":")
    if kind == "latency":
        if colon and not value:
            _refuse(text, "expected a route after 'latency:'")
        return LatencyMeasure(None, value if colon else None, limit)
    if re.match(r"latency\s*\{", head):
        _refuse(text, "'latency' takes no matchers: write latency:ROUTE<0.5s, or NAME=HISTOGRAM{…}<0.5s")
    if not re.fullmatch(_SELECTOR, head, re.DOTALL):
        _refuse(text, f"expected 'latency' or the name of a histogram before '<', got {head!r}")
    return LatencyMeasure(_parse_selector(head, text), None, limit, is_time=bool(unit))


def _parse_selector(given: str, text: str) -> Selector:
    match = re.fullmatch(rf"([^{{\"]*|{_STRING})(?:\{{(.*)\}})?", given.strip(), re.DOTALL)
    if match is None:
        _refuse(text, f'expected a metric, such as orders_total{{code="500"}}, got {given!r}')
    name = _unquote(match[1]) if match[1].startswith('"') else match[1]
    rest, matchers = (match[2] or "").strip(), []
    while rest:
        item = _MATCHER.match(rest)
        if item is None:
            _refuse(text, f'expected matchers such as {{code="500"}} after {name}, got {rest!r}')
        matchers.append((item[1], item[2], _unquote(item[3])))
        if problem := _find_problem(matchers[-1]):
            _refuse(text, f"{item[3]} is no regular expression of Prometheus: {problem}")
        rest = rest[item.end() :].strip()
    return Selector(name, tuple(matchers))


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of a matcher, as Python reads it. Raises `re.error`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `[[:digit:]]` is a class for Prometheus
        return re.compile(text)


def _find_problem(matcher: Matcher) -> str:
    """Return what is wrong with the pattern of a matcher. Prometheus loads no file of rules with a wrong one.

    Its syntax (RE2) has classes that Python's lacks, so only what is wrong in both is refused.
    """
    if "~" not in matcher[1]:
        return ""
    if around := re.search(r"(?<!\\)\(\?<?[=!]", matcher[2]):
        return f"it has no {around[0]}…); use another matcher with != or !~"
    try:
        compile_pattern(matcher[2])
    except re.error as error:
        return error.msg if _WRONG_IN_BOTH.match(error.msg) else ""
    return ""


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text[1:-1], flags=re.DOTALL)


def _refuse(text: str, problem: str) -> NoReturn:
    raise DefinitionError(f"--slo {show(text)}", problem)
