"""The table of rules from what a program passes as ``mapping=``: dicts, or a file of JSON or YAML.

The keys are those of statsd_exporter. Those that have no meaning here are accepted, so that its files can be read:
``summary_options`` and ``quantiles`` (our summaries have a count and a sum), and options of native histograms.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from asyncmetrics.bridges.statsd_server.rules import LineKind, Observer, Rule, Table
from asyncmetrics.errors import DefinitionError, MissingExtraError, show, suggest
from asyncmetrics.metrics import Histogram
from asyncmetrics.model.checks import check_choice, check_flag, check_mapping, check_text, list_items, make_refusal
from asyncmetrics.model.names import check_label_names

__all__ = ("read_table",)

_Config: TypeAlias = Mapping[str, Any]

_SHARED_KEYS = (
    "match_type", "observer_type", "timer_type", "buckets", "histogram_options", "quantiles", "summary_options", "ttl",
)  # fmt: skip
_DEFAULT_KEYS = (*_SHARED_KEYS, "glob_disable_ordering")
_RULE_KEYS = (
    *_SHARED_KEYS, "match", "name", "labels", "help", "action", "match_metric_type", "scale", "honor_labels",
)  # fmt: skip
_LINE_KINDS: dict[str, LineKind] = {
    "counter": "counter",
    "gauge": "gauge",
    "observer": "observer",
    "timer": "observer",
    "set": "set",
}
_OBSERVERS: tuple[Observer, ...] = ("histogram", "summary")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")
_NAME = re.compile(r"(?:[a-zA-Z_]|\$\{?\d+\}?)(?:[a-zA-Z0-9_]|\$\{?\d+\}?)*")
_GROUP_NAME = re.compile(r"\$(?:\{([a-zA-Z_]\w*)\}|([a-zA-Z_]\w*))", re.ASCII)
_REMEDY = "a path, a dict with 'mappings', or a list of dicts such as {'match': 'a.*', 'name': 'a', 'labels': {}}"


def read_table(mapping: object) -> Table:
    """Return the table that ``mapping`` means: None, a path, a dict with ``mappings`` and ``defaults``, or a list.

    Raises `DefinitionError` for what is wrong in it or for a file that cannot be read, and `MissingExtraError`
    for a file of YAML without PyYAML.
    """
    if isinstance(mapping, (str, os.PathLike)):
        mapping = _read_file(Path(mapping))
    if mapping is None:
        return Table()
    config: _Config = mapping if isinstance(mapping, Mapping) else {"mappings": mapping}
    _check_keys("mapping", config, ("mappings", "defaults"))
    defaults = config.get("defaults") or {}
    check_mapping("defaults", defaults, "options to values", "mapping")
    _check_keys("mapping: defaults", defaults, _DEFAULT_KEYS)
    is_unordered = defaults.get("glob_disable_ordering", False)
    check_flag("glob_disable_ordering", is_unordered, "mapping: defaults")
    default = _read_options("mapping: defaults", defaults, Rule())
    rules = list_items("mapping", config.get("mappings") or (), _REMEDY)
    return Table([_read_rule(index, rule, default) for index, rule in enumerate(rules)], default, not is_unordered)


def _read_file(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError("mapping", f"{path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise DefinitionError("mapping", f"{path} is not UTF-8: {error}") from error
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise DefinitionError("mapping", f"{path} is no JSON: {error}") from error
    try:
        yaml: Any = import_module("yaml")
    except ImportError as error:
        raise MissingExtraError("a mapping in YAML", "PyYAML", "statsd") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DefinitionError("mapping", f"{path} is no YAML: {error}") from error


def _read_rule(index: int, config: object, default: Rule) -> Rule:
    owner = f"mapping: mappings[{index}]"
    if not isinstance(config, Mapping):
        raise make_refusal("mapping", _REMEDY, config)
    _check_keys(owner, config, _RULE_KEYS)
    rule = _read_options(owner, config, default)
    match, name, documentation = config.get("match"), config.get("name", ""), config.get("help", "")
    check_text("match", match, "api.*.requests", owner)
    check_text("help", documentation, owner=owner)
    _check_match(owner, str(match), is_regex=rule.is_regex)
    action, kind, honors = config.get("action", "map"), config.get("match_metric_type"), config.get("honor_labels")
    check_choice("action", action, ("map", "drop"), owner)
    if kind is not None:
        check_choice("match_metric_type", kind, _LINE_KINDS, owner)
    check_flag("honor_labels", honors or False, owner)
    is_dropped = action == "drop"
    if not isinstance(name, str) or not (_NAME.fullmatch(name) or (is_dropped and not name)):
        raise make_refusal("name", "a metric name, which may have $1 in it, such as '${1}_total'", name, owner=owner)
    return replace(
        rule,
        match=str(match),
        name=name,
        labels=_number_groups(_read_labels(owner, config.get("labels") or {}), rule, str(match)),
        kind=None if kind is None else _LINE_KINDS[kind],
        is_dropped=is_dropped,
        help=documentation,
        scale=_read_scale(owner, config.get("scale", 1.0)),
        honors_tags=bool(honors),
    )


def _read_options(owner: str, config: _Config, default: Rule) -> Rule:
    """Return ``default`` with the options that both a mapping and the defaults may have."""
    match_type = config.get("match_type") or ("regex" if default.is_regex else "glob")
    check_choice("match_type", match_type, ("glob", "regex"), owner)
    observer = config.get("observer_type") or config.get("timer_type") or default.observer
    check_choice("observer_type", observer, _OBSERVERS, owner)
    options = config.get("histogram_options") or {}
    check_mapping("histogram_options", options, "options to values", owner)
    buckets = options.get("buckets") or config.get("buckets")
    return replace(
        default,
        is_regex=match_type == "regex",
        observer=observer,
        buckets=default.buckets if buckets is None else _read_buckets(owner, buckets),
        ttl=_read_ttl(owner, config["ttl"]) if "ttl" in config else default.ttl,
    )


def _check_keys(owner: str, config: Mapping[Any, Any], known: Sequence[str]) -> None:
    for key in config:
        if key not in known:
            raise DefinitionError(owner, f"has no option {show(key)}{suggest(str(key), known)}")


def _check_match(owner: str, match: str, *, is_regex: bool) -> None:
    if is_regex:
        try:
            re.compile(match)
        except re.error as error:
            raise DefinitionError(
                owner, f"expected match= to be a regular expression, got {show(match)}: {error}"
            ) from error
    elif not match or any("*" in segment and segment != "*" for segment in match.split(".")):
        expected = "segments between dots, each a text or '*' alone"
        raise make_refusal("match", expected, match, "write match_type: regex for a part of a segment", owner)


def _read_labels(owner: str, labels: Any) -> dict[str, str]:
    check_mapping("labels", labels, "label names to text", owner)
    for name, value in labels.items():
        if not isinstance(value, str):
            raise make_refusal(f"labels[{name!r}]", "a str", value, f"write {str(value)!r}", owner)
    check_label_names(owner, labels)
    return dict(labels)


def _number_groups(labels: dict[str, str], rule: Rule, match: str) -> dict[str, str]:
    """Return labels that refer to groups by number: ``${host}`` may stand for ``(?P<host>…)`` in them."""
    if not rule.is_regex:
        return labels
    numbers = re.compile(match).groupindex

    def find(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        return f"${{{numbers[name]}}}" if name in numbers else ""

    return {label: _GROUP_NAME.sub(find, value) for label, value in labels.items()}


def _read_buckets(owner: str, buckets: Any) -> tuple[float, ...]:
    try:
        return Histogram("statsd", "Checks buckets.", buckets=buckets, registry=None).descriptor.buckets
    except DefinitionError as error:
        raise DefinitionError(owner, error.problem) from None


def _read_scale(owner: str, scale: object) -> float:
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not (isfinite(scale) and 0 < scale <= 1e9):
        raise make_refusal("scale", "a number above 0, up to 1e9", scale, owner=owner)
    return float(scale)


def _read_ttl(owner: str, ttl: object) -> float | None:
    """Return the seconds of a duration of Go, such as ``1m20s``, or of a number; None for 0."""
    if isinstance(ttl, str) and _DURATION.fullmatch(ttl):
        return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(ttl)) or None
    if ttl == "0":
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not (isfinite(ttl) and ttl >= 0):
        raise make_refusal("ttl", "a duration such as '1m20s', or seconds; 0 for none", ttl, owner=owner)
    return float(ttl) or None
