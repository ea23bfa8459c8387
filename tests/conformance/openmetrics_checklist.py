"""The rules of OpenMetrics 1.0 by their names, each with a text that breaks it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.conformance.openmetrics_rules import (
    SUFFIXES,
    find_bad_gsum,
    find_bad_numbers,
    find_bad_quantiles,
    find_bad_states,
    find_bad_times,
    find_bad_units,
    find_bounds_not_canonical,
    find_clashing_names,
    find_count_is_not_infinity,
    find_count_without_sum,
    find_duplicate_labels,
    find_duplicate_metadata,
    find_duplicates,
    find_exemplars_outside,
    find_foreign_samples,
    find_fractions,
    find_info_not_one,
    find_late_metadata,
    find_long_exemplars,
    find_misplaced_end,
    find_misplaced_exemplars,
    find_negative_or_nan,
    find_not_cumulative,
    find_own_label_astray,
    find_scattered_children,
    find_sum_of_negatives,
    find_times_backwards,
    find_without_infinity,
)


class Rule(NamedTuple):
    """What the specification says (and where), what finds breaches in an exposition, and a text with one."""

    says: str
    breaches: object
    fault: str


RULES = {
    "EOF is the last line, once": Rule('"All expositions MUST end with a # EOF"', find_misplaced_end, "a 1\n"),
    "no blank line": Rule(
        "ABNF: exposition", lambda found: [raw for raw in found.text.split("\n")[:-1] if not raw], "a 1\n\n# EOF\n"
    ),
    "every line is metadata or a sample": Rule(
        "ABNF: metricset",
        lambda found: [line.rest for line in found.lines if line.keyword == "?"],
        "# a comment\n# EOF\n",
    ),
    "metadata is there once": Rule(
        '"There MUST NOT be more than one of each type of metadata line for a MetricFamily"',
        find_duplicate_metadata,
        "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
    ),
    "metadata comes before the samples": Rule(
        '"Metadata … before … samples"', find_late_metadata, "a 1\n# TYPE a gauge\n# EOF\n"
    ),
    "the types are those there are": Rule(
        "ABNF: metric-type",
        lambda found: [family.type for family in found.families if family.type not in SUFFIXES],
        "# TYPE a untyped\n# EOF\n",
    ),
    "samples have a suffix of their type": Rule('"Suffixes"', find_foreign_samples, "# TYPE a counter\na 1\n# EOF\n"),
    "no two families want one name": Rule(
        '"MetricFamily names … MUST be unique", and so are those of their samples',
        find_clashing_names,
        "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total 1\n# EOF\n",
    ),
    "the samples of a child stand together": Rule(
        '"Metrics MUST NOT be interleaved"',
        lambda found: [child for family in found.families for child in find_scattered_children(family)],
        '# TYPE a summary\na_count{b="1"} 1\na_count{b="2"} 1\na_sum{b="1"} 1\n# EOF\n',
    ),
    "times of a child go forward": Rule(
        '"MetricPoints … MUST have monotonically increasing timestamps"', find_times_backwards, "a 1 2\na 1 1\n# EOF\n"
    ),
    "no sample is there twice": Rule('"… MUST NOT be duplicates"', find_duplicates, "a 1\na 1\n# EOF\n"),
    "no label is there twice": Rule(
        '"Label names … MUST be unique"', find_duplicate_labels, 'a{b="c",b="d"} 1\n# EOF\n'
    ),
    "no label stands for the name": Rule(
        "what a server keeps the name under",
        lambda found: [line for line in found.samples if line.label("__name__") is not None],
        'a{__name__="b"} 1\n# EOF\n',
    ),
    "values are numbers": Rule("ABNF: number", find_bad_numbers, "a 1_0\n# EOF\n"),
    "times are numbers": Rule("ABNF: timestamp = realnumber", find_bad_times, "a 1 NaN\n# EOF\n"),
    "the unit is the end of the name": Rule(
        '"the unit … MUST be a suffix of the MetricFamily name"', find_bad_units, "# TYPE a gauge\n# UNIT a b\n# EOF\n"
    ),
    "infos and statesets have no unit": Rule(
        '"MUST have an empty Unit string"', find_bad_units, "# TYPE a_b info\n# UNIT a_b b\n# EOF\n"
    ),
    "counts are neither negative nor NaN": Rule(
        '"A Total … MUST NOT be NaN … or negative"', find_negative_or_nan, "# TYPE a counter\na_total -1\n# EOF\n"
    ),
    "sums are neither negative nor NaN": Rule(
        '"Sum MUST NOT be NaN"', find_negative_or_nan, "# TYPE a summary\na_count 1\na_sum NaN\n# EOF\n"
    ),
    "counts are whole numbers": Rule(
        '"bucket values MUST be integers"', find_fractions, '# TYPE a histogram\na_bucket{le="+Inf"} 0.5\n# EOF\n'
    ),
    "histograms have the bucket +Inf": Rule(
        '"MUST have a bucket with a +Inf threshold"',
        find_without_infinity,
        '# TYPE a histogram\na_bucket{le="1.0"} 1\n# EOF\n',
    ),
    "buckets are sorted and cumulative": Rule(
        '"Buckets MUST be sorted … cumulative"',
        find_not_cumulative,
        '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
    "the count is the bucket +Inf": Rule(
        '"_count … equal to the +Inf bucket"',
        find_count_is_not_infinity,
        '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\na_sum 1\n# EOF\n',
    ),
    "count and sum go together": Rule(
        '"if and only if … Count and Sum"',
        find_count_without_sum,
        '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\n# EOF\n',
    ),
    "negative buckets have no sum": Rule(
        '"If a histogram has negative buckets … MUST NOT have a sum"',
        find_sum_of_negatives,
        '# TYPE a histogram\na_bucket{le="-1.0"} 0\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n',
    ),
    "a gsum is negative with negative buckets only": Rule(
        '"GaugeHistogram … gsum"',
        find_bad_gsum,
        '# TYPE a gaugehistogram\na_bucket{le="1.0"} 0\na_bucket{le="+Inf"} 1\na_gcount 1\na_gsum -1\n# EOF\n',
    ),
    "le and quantile are where they belong": Rule(
        '"le … quantile"', find_own_label_astray, "# TYPE a summary\na 1\n# EOF\n"
    ),
    "quantiles are from 0 to 1, their values not negative": Rule(
        '"Quantiles MUST be between 0 and 1"', find_bad_quantiles, '# TYPE a summary\na{quantile="1.5"} 1\n# EOF\n'
    ),
    "an info is 1": Rule('"MUST be 1"', find_info_not_one, "# TYPE a info\na_info 2\n# EOF\n"),
    "a state is 0 or 1 and has its label": Rule(
        '"StateSet … MUST be 0 or 1"', find_bad_states, '# TYPE a stateset\na{a="b"} 2\n# EOF\n'
    ),
    "exemplars are at totals and buckets": Rule(
        '"Exemplars … allowed only …"', find_misplaced_exemplars, '# TYPE a gauge\na 1 # {b="c"} 1\n# EOF\n'
    ),
    "exemplars have 128 characters": Rule(
        '"MUST NOT exceed 128 UTF-8 character code points"',
        find_long_exemplars,
        f'# TYPE a counter\na_total 1 # {{b="{"é" * 128}"}} 1\n# EOF\n',
    ),
    "exemplars are within their bucket": Rule(
        '"Exemplar … within the bucket"',
        find_exemplars_outside,
        '# TYPE a histogram\na_bucket{le="1.0"} 1 # {b="c"} 2\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
}

# Prometheus reads other spellings as well, and so does our parser; what we write is canonical.
WRITTEN = {
    "bounds are canonical numbers": Rule(
        '"Canonical Numbers"',
        find_bounds_not_canonical,
        '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
    "the target comes first": Rule(
        '"target_info … SHOULD be first"',
        lambda found: [
            family.name for family in found.families[1:] if family.name == "target" and family.type == "info"
        ],
        "a 1\n# TYPE target info\ntarget_info 1\n# EOF\n",
    ),
    "the last line ends with LF": Rule(
        "ABNF: [LF] is what readers may miss", lambda found: [] if found.text[-1:] == "\n" else [found.text], "# EOF"
    ),
    "HELP escapes quotes as well": Rule(
        "ABNF: escaped-string",
        lambda found: [
            line
            for line in found.lines
            if line.keyword == "HELP" and not re.fullmatch(r'(?:[^\\\n\r"]|\\[\\n"])*', line.rest)
        ],
        '# HELP a "b"\n# EOF\n',
    ),
    "no times of creation unless asked for": Rule(
        "they are off",
        lambda found: [
            family.name
            for family in found.families
            if family.type in {"counter", "summary", "histogram"} and family.called("_created")
        ],
        "# TYPE a counter\na_created 1\n# EOF\n",
    ),
}

LIVE = "no times of creation unless asked for"  # a collector of an application's may well have them


def breaches(found, rules=RULES | WRITTEN):
    """The rules that an exposition breaks, each with what breaks it."""
    return {name: broken for name, rule in rules.items() if (broken := list(rule.breaches(found)))}
