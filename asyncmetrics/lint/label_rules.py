"""The rules for labels and their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from asyncmetrics.errors import shorten
from asyncmetrics.lint.problem import Finding
from asyncmetrics.lint.subjects import Others, Subject

__all__ = (
    "check_label_camel_case",
    "check_le",
    "check_many_values",
    "check_quantile",
    "check_repeated_series",
    "check_reserved_label",
    "check_server_label",
    "check_unbounded_name",
    "check_unbounded_values",
)

MANY_VALUES = 1000
_FEW_VALUES = 10  # from which on the form of the values says something
_NUMBERS = 50
_SHARE = 0.8  # of the values that have the form
_LONGEST = 100  # characters of a value with such a form: the time of a pattern may grow with their square

_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SOMEONE = (
    "user|customer|account|session|request|trace|span|correlation|order|transaction|message|client|visitor|device"
)
_ONE_OF_MANY: Callable[[str], object] = re.compile(
    rf"(?:.*_)?(?:(?:{_SOMEONE})_?id|e_?mail(?:_address)?|uu_?id|gu_?id|user_?name|ip|ip_address"
    r"|remote_addr(?:ess)?|phone(?:_number)?|token|api_key|timestamp|user_agent|referr?er|query_string|sql"
    r"|(?:error|exception)_message|stack_?trace|traceback)"
).fullmatch
_PATHS: Callable[[str], object] = re.compile(
    r"(?:.*_)?(?:(?:raw_|full_|request_)?(?:path|uri|url)|http_target|url_full|url_path)"
).fullmatch
_TEMPLATE = re.compile(r"[{<*]|/:")

# The form of values that are as many as what they stand for. `\d` would take digits of every script.
_FORMS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("UUIDs", re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE).fullmatch),
    ("e-mail addresses", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch),
    ("IP addresses", re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+)?").fullmatch),
    ("IP addresses", re.compile(r"\[?[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*\]?(?::[0-9]+)?").fullmatch),
    ("times", re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}.*|1[0-9]{9}(?:[0-9]{3})?(?:\.[0-9]+)?").fullmatch),
    ("numbers", re.compile(r"[0-9]{5,}").fullmatch),
    ("hexadecimal digits", re.compile(r"(?=.*[0-9])[0-9a-f]{8,}", re.IGNORECASE).fullmatch),
    ("paths with an id", re.compile(r"[^{<]*/(?:[0-9]+|[0-9a-f-]{16,})(?:[/?#][^{<]*)?", re.IGNORECASE).fullmatch),
)  # fmt: skip
_NUMBER: Callable[[str], object] = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
_COUNTED = frozenset(
    (
        "cpu",
        "core",
        "shard",
        "partition",
        "node",
        "port",
        "code",
        "status",
        "status_code",
        "worker",
        "slot",
        "generation",
    )
)


def check_le(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the label ``le`` at a metric that is no histogram."""
    del others
    if subject.kind not in {"histogram", "untyped"} and "le" in subject.labels:
        yield Finding(f"le is for histograms, and this is a {subject.kind}", "give the label another name", "le")


def check_quantile(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the label ``quantile`` at a metric that is no summary."""
    del others
    if subject.kind not in {"summary", "untyped"} and "quantile" in subject.labels:
        text = f"quantile is for summaries, and this is a {subject.kind}"
        yield Finding(text, "give the label another name", "quantile")


def check_label_camel_case(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find labels in camel case."""
    del others
    for label in subject.labels:
        if _CAMEL_CASE.search(label):
            better = _to_snake_case(label)
            yield Finding(f"the label {label!r} is in camelCase", f"call it {better!r}", label)


def check_repeated_series(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a counter or a gauge that has two samples with the same labels, in the same order."""
    del others
    if subject.kind in {"histogram", "summary"}:
        return
    seen: set[tuple[tuple[str, str], ...]] = set()
    for sample in subject.samples:
        labels = tuple(sample.labels.items())
        if labels in seen:
            yield Finding("a series occurs twice", "expose each combination of labels once: a server keeps one of two")
            return
        seen.add(labels)


def check_server_label(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the labels that a Prometheus server adds to every series."""
    del others
    for label in ("job", "instance"):
        if label in subject.labels:
            advice = f"give it another name: the server adds its own {label}, and renames this one to exported_{label}"
            yield Finding(f"the label {label!r} is one that the server adds", advice, label)


def check_reserved_label(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find labels that begin with two underscores."""
    del others
    for label in subject.labels:
        if label.startswith("__"):
            yield Finding(f"the label {label!r} is reserved for Prometheus", "begin it with a letter", label)


def check_unbounded_name(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find labels whose names say that there is a value for each user, request, address or path."""
    del others
    if subject.name.endswith("_info"):  # its labels are facts about one thing
        return
    for label, values in subject.labels.items():
        word = _to_snake_case(label)
        if _ONE_OF_MANY(word):
            advice = "leave it out: each value is a series for good; a log or a trace has room for it"
        elif _PATHS(word) and not any(map(_TEMPLATE.search, values)):
            advice = "use the template of the route, such as /orders/{id}, and not the path"
        else:
            continue
        yield Finding(f"the label {label!r} looks as if it had a value for each event", advice, label)


def check_unbounded_values(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find labels with many values that are ids, addresses, times or numbers."""
    del others
    for label, values in subject.labels.items():
        form = _find_form(label, values)
        if form:
            example = shorten(repr(min(values)), 60)
            advice = "leave it out, or use the class or the range of the value"
            text = f"the label {label!r} has {len(values)} values, which are {form}, such as {example}"
            yield Finding(text, advice, label)


def check_many_values(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find labels with more than 1,000 values."""
    del others
    for label, values in subject.labels.items():
        if len(values) > MANY_VALUES:
            advice = "leave it out or merge its values: each one is a series for every other label, and for good"
            yield Finding(f"the label {label!r} has {len(values)} values", advice, label)


def _find_form(label: str, values: set[str]) -> str:
    if len(values) < _FEW_VALUES:
        return ""
    wanted = _SHARE * len(values)
    short = [value for value in values if len(value) <= _LONGEST]
    for form, matches in _FORMS:
        if sum(1 for value in short if matches(value)) >= wanted:
            return "" if form == "numbers" and _is_counted(label) else form
    are_numbers = sum(1 for value in short if _NUMBER(value)) >= wanted
    return "numbers" if are_numbers and len(values) >= _NUMBERS and not _is_counted(label) else ""


def _is_counted(label: str) -> bool:
    """Return whether numbers are the usual values of a label, and few: those of processors, ports and the like."""
    return _to_snake_case(label) in _COUNTED


def _to_snake_case(label: str) -> str:
    return re.sub(r"[.\-]", "_", _CAMEL_CASE.sub("_", label)).lower()
