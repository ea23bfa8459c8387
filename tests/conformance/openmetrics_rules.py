"""What finds breaches of OpenMetrics 1.0 in an exposition: a function for each rule, which returns what breaks it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import inf, isnan

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?[Ii]nf|NaN")

TIME = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")

SUFFIXES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "unknown": ("",),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
    "stateset": ("",),
}

OWN = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}


def _typed(*types):
    """Make a check of every family of these types: what it yields are breaches."""

    def of(check):
        return lambda found: [broken for family in found.families if family.type in types for broken in check(family)]

    return of


def find_points(family):
    """The samples of one child at one time, each."""
    found = {}
    own = OWN.get(family.type, family.name if family.type == "stateset" else "")
    for line in family.samples:
        found.setdefault((line.child(own), line.time), []).append(line)
    return found


def find_by_suffix(family, point):
    return {line.name.removeprefix(family.name): line.number for line in point if line.label("le") is None}


def find_bounds(point):
    return [(float(line.label("le")), line.number) for line in point if line.label("le") is not None]


def find_duplicate_metadata(found):
    said = Counter(
        (line.keyword, line.name) for line in found.lines if line.keyword in SUFFIXES or line.keyword.isupper()
    )
    return [what for what, times in said.items() if times > 1]


def find_late_metadata(found):
    seen, late = set(), []
    for line in found.lines:
        if line.keyword == "":
            seen.add(line.name)
        elif line.name in seen:
            late.append(line)
    return late


def find_foreign_samples(found):
    return [
        (family.name, line.name)
        for family in found.families
        for line in family.samples
        if line.name not in {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}
    ]


def find_clashing_names(found):
    taken = Counter(
        name
        for family in found.families
        for name in {family.name + suffix for suffix in ("", *SUFFIXES.get(family.type, ()))}
    )
    return [name for name, times in taken.items() if times > 1]


def find_scattered_children(family):
    own = OWN.get(family.type, family.name if family.type == "stateset" else "")
    order = [line.child(own) for line in family.samples]
    runs = [child for index, child in enumerate(order) if index == 0 or order[index - 1] != child]
    return [child for child, times in Counter(runs).items() if times > 1]


def find_times_backwards(found):
    return [
        (one, other)
        for family in found.families
        for lines in family.children().values()
        for one, other in pairwise([line for line in lines if line.name == lines[0].name])
        if one.time is None or other.time is None or not float(other.time) > float(one.time)
    ]


def find_duplicates(found):
    series = Counter((line.name, frozenset(line.labels), line.time) for line in found.samples)
    return [what for what, times in series.items() if times > 1]


def find_bad_units(found):
    return [
        family.name
        for family in found.families
        if family.unit and (family.type in {"info", "stateset"} or not family.name.endswith(f"_{family.unit}"))
    ]


@_typed("counter", "histogram", "summary", "gaugehistogram")
def find_negative_or_nan(family):
    barred = {"_total", "_bucket", "_count", "_gcount"} | (
        {"_sum"} if family.type in {"summary", "histogram"} else set()
    )
    return [line for line in family.samples if line.name.removeprefix(family.name) in barred and not line.number >= 0]


@_typed("histogram", "summary", "gaugehistogram")
def find_fractions(family):
    whole = {"_bucket", "_count", "_gcount"}
    lines = [line for line in family.samples if line.name.removeprefix(family.name) in whole]
    return [line for line in lines if not (line.number.is_integer() and line.number != inf)]


@_typed("histogram", "gaugehistogram")
def find_without_infinity(family):
    return [point for point in find_points(family).values() if "+Inf" not in [line.label("le") for line in point]]


@_typed("histogram", "gaugehistogram")
def find_not_cumulative(family):
    for point in find_points(family).values():
        for (low, count), (high, more) in pairwise(find_bounds(point)):
            if not (low < high and count <= more):
                yield point


@_typed("histogram", "gaugehistogram")
def find_count_is_not_infinity(family):
    for point in find_points(family).values():
        counts = [number for suffix, number in find_by_suffix(family, point).items() if suffix in {"_count", "_gcount"}]
        if counts and counts[0] != find_bounds(point)[-1][1]:
            yield point


@_typed("histogram", "gaugehistogram")
def find_count_without_sum(family):
    for point in find_points(family).values():
        suffixes = find_by_suffix(family, point)
        if ("_count" in suffixes) != ("_sum" in suffixes) or ("_gcount" in suffixes) != ("_gsum" in suffixes):
            yield point


@_typed("histogram")
def find_sum_of_negatives(family):
    for point in find_points(family).values():
        if (
            min(bound for bound, _ in find_bounds(point)) < 0
            and {"_sum", "_count"} & find_by_suffix(family, point).keys()
        ):
            yield point


@_typed("gaugehistogram")
def find_bad_gsum(family):
    for point in find_points(family).values():
        total = find_by_suffix(family, point).get("_gsum", 0)
        if isnan(total) or (total < 0 and min(bound for bound, _ in find_bounds(point)) >= 0):
            yield point


@_typed("histogram", "gaugehistogram", "summary")
def find_own_label_astray(family):
    own, suffix = OWN[family.type], "" if family.type == "summary" else "_bucket"
    return [line for line in family.samples if (line.label(own) is None) == (line.name == family.name + suffix)]


@_typed("histogram", "gaugehistogram", "summary")
def find_bounds_not_canonical(family):
    texts = {line.label(OWN[family.type]) for line in family.samples} - {None}
    # Floats are written as Go's %g would, with .0 on whole numbers.
    return [text for text in texts if not re.fullmatch(r"-?\d+\.\d+|-?\d(\.\d+)?e[+-]\d{2,}|[+]Inf|-Inf", text)]


@_typed("summary")
def find_bad_quantiles(family):
    quantiles = [line for line in family.samples if line.name == family.name]
    return [line for line in quantiles if not 0 <= float(line.label("quantile") or -1) <= 1 or line.number < 0]


@_typed("info")
def find_info_not_one(family):
    return [line for line in family.samples if line.number != 1]


@_typed("stateset")
def find_bad_states(family):
    return [line for line in family.samples if line.number not in {0, 1} or line.label(family.name) is None]


def find_exemplars(found):
    for family in found.families:
        for line in family.samples:
            if line.exemplar:
                yield line.name.removeprefix(family.name), family.type, line, *line.exemplar


def find_misplaced_exemplars(found):
    allowed = {("_total", "counter"), ("_bucket", "histogram"), ("_bucket", "gaugehistogram")}
    return [line for suffix, kind, line, *_ in find_exemplars(found) if (suffix, kind) not in allowed]


def find_long_exemplars(found):
    return [line for _, _, line, labels, *_ in find_exemplars(found) if sum(len(a) + len(b) for a, b in labels) > 128]


def find_exemplars_outside(found):
    return [
        line for _, _, line, _, value, _ in find_exemplars(found) if float(value) > float(line.label("le") or "+Inf")
    ]


def find_bad_numbers(found):
    exemplars = [value for _, _, _, _, value, _ in find_exemplars(found)]
    return [value for value in [*(line.value for line in found.samples), *exemplars] if not NUMBER.fullmatch(value)]


def find_bad_times(found):
    times = [line.time for line in found.samples] + [time for *_, time in find_exemplars(found)]
    return [time for time in times if time is not None and not TIME.fullmatch(time)]


def find_duplicate_labels(found):
    blocks = [line.labels for line in found.samples] + [labels for _, _, _, labels, *_ in find_exemplars(found)]
    return [labels for labels in blocks if len(dict(labels)) < len(labels)]


def find_misplaced_end(found):
    ends = [index for index, line in enumerate(found.lines) if line.keyword == "EOF"]
    return [] if ends == [len(found.lines) - 1] else [ends]
