"""What OpenMetrics 1.0 asks of one sample and of one histogram, beyond the grammar of lines.

Each function returns what is wrong, or ``""``. The reader raises an error with that text; the writer leaves the sample
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, isnan

from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS, is_never_negative
from asyncmetrics.model.samples import MAX_EXEMPLAR_CHARACTERS, Exemplar

__all__ = ("find_buckets_problem", "find_exemplar_problem", "find_value_problem")


def _find_bucket_problem(labels: Mapping[str, str]) -> str:
    text = labels.get("le", "")
    bound = parse_bound(text)
    if bound is None or isnan(bound):
        return "a bucket needs the label le, a number"
    return "the bound of the last bucket is written +Inf" if bound == inf and text != "+Inf" else ""


def _find_quantile_problem(labels: Mapping[str, str], value: float) -> str:
    quantile = parse_bound(labels.get("quantile", ""))
    if quantile is None or not 0 <= quantile <= 1:
        return "the label quantile has to be from 0 to 1"
    return "a quantile is not negative" if value < 0 else ""


def find_value_problem(name: str, kind: str, suffix: str, labels: Mapping[str, str], value: float) -> str:
    """Return why the family ``name`` cannot have a sample with this suffix, labels and value, or ``""``."""
    rules = KINDS[kind]
    if suffix not in rules.suffixes:
        return f"a {kind} has no sample {name}{suffix}"
    if is_never_negative(suffix) and not value >= 0:
        return f"{suffix} can be neither negative nor NaN"
    if suffix == "_gsum" and isnan(value):
        return "_gsum cannot be NaN"
    if suffix in rules.whole and not value.is_integer():
        return f"{suffix} is a whole number"
    if rules.own_label in NUMERIC_LABELS and rules.own_label in labels and suffix != rules.own_suffix:
        return f"{suffix} has no label {rules.own_label}"
    match kind, suffix:
        case "histogram" | "gaugehistogram", "_bucket":
            return _find_bucket_problem(labels)
        case "summary", "":
            return _find_quantile_problem(labels, value)
        case "info", _ if value != 1:
            return "the value of an info is 1"
        case "stateset", _ if value not in {0, 1} or name not in labels:
            return f"a state is 0 or 1 and has the label {name!r}"
    return ""


def find_exemplar_problem(kind: str, suffix: str, labels: Mapping[str, str], exemplar: Exemplar) -> str:
    """Return why a sample with this suffix and these labels cannot have the exemplar, or ``""``."""
    if suffix not in KINDS[kind].exemplars:
        return f"a {kind} has no exemplar at its {suffix or 'value'}"
    length = sum(len(name) + len(text) for name, text in exemplar.labels.items())
    if length > MAX_EXEMPLAR_CHARACTERS:
        return f"the labels of an exemplar have at most {MAX_EXEMPLAR_CHARACTERS} characters, got {length}"
    bound = parse_bound(labels.get("le", "")) if suffix == "_bucket" else None
    return "" if bound is None or exemplar.value <= bound else "an exemplar lies within its bucket"


def find_buckets_problem(kind: str, values: Mapping[tuple[str, str], float]) -> str:
    """Return what is wrong with one histogram, whose ``values`` come by suffix and ``le``, or ``""``."""
    buckets = [(float(le), value) for (suffix, le), value in values.items() if suffix == "_bucket"]
    if not buckets or buckets[-1][0] != inf:
        return "the last bucket has to be +Inf"
    for (bound, value), (next_bound, next_value) in pairwise(buckets):
        if not bound < next_bound:
            return "buckets are in increasing order of le"
        if not value <= next_value:
            return "buckets are cumulative"
    return _find_totals_problem(kind, values, buckets)


def _find_totals_problem(
    kind: str, values: Mapping[tuple[str, str], float], buckets: Sequence[tuple[float, float]]
) -> str:
    count_name, sum_name = KINDS[kind].totals
    count, total = values.get((count_name, "")), values.get((sum_name, ""))
    if (count is None) is not (total is None):
        return f"{count_name} and {sum_name} need each other"
    if count is not None and count != buckets[-1][1]:
        return f"{count_name} has to equal the +Inf bucket"
    if total is not None and buckets[0][0] < 0 and kind == "histogram":
        return "a histogram with a negative bound has no _sum"
    if total is not None and not total >= 0 and buckets[0][0] >= 0:
        return f"without a negative bound {sum_name} is not negative"
    return ""
