"""Which expositions three readers take: prometheus_client (0.26), a Prometheus server (2.42), and ours.

Where the columns differ there is a reason:

* Names in quotes are of Prometheus 3.
* Ours and prometheus_client's keep rules of OpenMetrics that the server does not.
* The server's lexer takes some lines by accident, and does not strip blanks that the format allows.
* prometheus_client takes lines that neither the server nor a specification allows. Ours takes only ``a{,} 1``, which
  prometheus_client's own tests ask for.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("VERDICTS", "Verdict")

T, OM = "text", "openmetrics"


class Verdict(NamedTuple):
    """One exposition, and whether each reader takes it."""

    format: str
    body: str
    theirs: bool
    ours: bool
    prometheus: bool

    @property
    def text(self) -> str:
        """The whole exposition."""
        lines = f"{self.body}\n" if self.body else ""
        return f"{lines}# EOF\n" if self.format == OM else lines


_SAME_TAKEN = [
    (T, "# HELP a"), (T, "# HELP a "), (T, "# HELP  a  b\r"), (T, "# HELP"), (T, "#\tTYPE\ta\tcounter\na\t1"),
    (T, "a 1\n# HELP a b"), (T, "# HELP a b\n# HELP a c\na 1"), (T, "a 1\n# TYPE a gauge"),
    (T, "# TYPE a gauge\n# TYPE a counter\na 1"), (T, '# TYPE a gauge\na 1\nb 1\na{c="d"} 1'),
    (T, "a 1\na 2"), (T, "a 1 1000\na 2 2000"), (T, "a 1 2000\na 2 1000"),
    (T, "a 1 9223372036854775807"), (T, "a 1 0000000000000000000000000000001"),
    (T, 'a{b="c",} 1'), (T, 'a{b="c"}1'), (T, 'a { b = "c" } 1 \t'), (T, r'a{b="\x\n"} 1'), (T, "a{} 1"),
    (T, "a nan"), (T, "a +Infinity"), (T, "a +.5e-3"), (T, "a 5."), (T, "# TYPE a counter\na NaN"),
    (T, "# TYPE a counter\na_total 1"), (T, "# TYPE a histogram\na 1"), (T, "# UNIT a b"), (T, "#TYPE a fast"),
    (T, "# HELP a \0"), (T, 'a{b="\0"} 1'),
    (OM, ""), (OM, "# HELP a "), (OM, "# UNIT a "), (OM, "# HELP a  b "), (OM, "# UNIT a_s s\na_s 1"),
    (OM, "a 1 -5"), (OM, "a 1 -5.5"), (OM, "a 1 5."), (OM, "a 1 .5"), (OM, "a 1 1e3"), (OM, "a 1 99999999999999999999"),
    (OM, "a 1 1\na 2 2"), (OM, "a 1 1\na 1 1"), (OM, "a 1 0.0000000001\na 2 0.0000000002"),
    (OM, "# TYPE a gauge\na_total 1"), (OM, '# TYPE a summary\na_bucket{le="1"} 1'),
    (OM, '# TYPE a counter\na_total 1 # {b="c"} NaN 5'), (OM, "# TYPE a counter\na_total 1 # {} 1"),
    (OM, "a infinity"), (OM, '# HELP a "x\\"\\q'),
]  # fmt: skip
_SAME_REFUSED = [
    (T, "# TYPE "), (T, "# TYPE a"), (T, "# TYPE a fast"), (T, "# TYPE a gauge x"), (T, "# HELP 1 b"),
    (T, 'a{b="c",,} 1'), (T, 'a{b="c",b="d"} 1'), (T, 'a{__name__="b"} 1'), (T, 'a{b="c\\"} 1'), (T, "a{b='c'} 1"),
    (T, 'a{1="c"} 1'), (T, "a 0x10"), (T, "a 1_0"), (T, "a"), (T, "a "), (T, "a b"), (T, "1a 1"), (T, "a.b 1"),
    (OM, "# HELP a"), (OM, "# UNIT a"), (OM, "# TYPE a"), (OM, "# TYPE a "), (OM, "# TYPE a gauge "),
    (OM, "# TYPE a untyped"), (OM, "a 1\r"),
    (OM, "# UNIT a b"), (OM, "# foo"), (OM, "#"), (OM, "a 1\n\nb 1"), (OM, "a  1"), (OM, "a 1 "), (OM, " a 1"),
    (OM, "a{,} 1"), (OM, 'a{b="c",} 1'), (OM, 'a{b="c"d="e"} 1'), (OM, 'a{b="c"}1'), (OM, "{} 1"),
    (OM, 'a{b="c",b="d"} 1'), (OM, "a 1 NaN"), (OM, "a 1 1e400"),
    (OM, "# TYPE a gauge\na 1 # {} 1"), (OM, "# TYPE a counter\na_total 1 # {}  1"),
]  # fmt: skip

# theirs, ours, Prometheus
_DIFFERENT = [
    # Names in quotes.
    *((form, body, True, True, False) for form in (T, OM) for body in ('{"a"} 1', '{b="c","a"} 1')),
    (T, r'{"a\nb"} 1', True, True, False),
    (OM, '# TYPE "a\\nb" gauge\n{"a\\nb"} 1', True, True, False),
    (OM, r'{"a\nb"} 1', False, True, False),  # prometheus_client asks for TYPE or HELP before such a name
    (T, 'a{"b"="c"} 1', True, True, False),
    (T, '# HELP "a" b', True, True, False),
    # Blanks that the format allows.
    (T, "  a 1", True, True, False),
    (T, "# TYPE a  gauge ", True, True, False),
    # What prometheus_client's tests ask for.
    (T, "a{,} 1", True, True, False),
    # What prometheus_client takes, and no other.
    *((T, body, True, False, False) for body in ("a 1 -5", "a 1 +5", "a 1 2.5", "a 1 1e3", "a 1 9223372036854775808")),
    *((T, body, True, False, False) for body in ("a 1 5 6", 'a{,b="c"} 1', 'a{b:c="c"} 1', '{__name__="a"} 1')),
    (T, "a{=} 1", True, False, False),
    *((T, body, True, False, False) for body in ("a 1\r", 'a 1 # {b="c"} 1', "# HELP ")),
    *((T, f"# TYPE a {kind}", True, False, False) for kind in ("unknown", "info", "stateset", "gaugehistogram")),
    *((form, body, True, False, False) for form in (T, OM) for body in ("a 1e400", "a +nan", "a -nan")),
    *((OM, body, True, False, False) for body in ("# HELP  a b", "#  HELP a b", "# TYPE a  gauge", "#x HELP a b")),
    (OM, 'a{b="c", d="e"} 1', True, False, False),
    # Rules of OpenMetrics that prometheus_client does not keep.
    (OM, "a 1\na 2", True, False, True),
    (OM, '# TYPE a histogram\na_bucket{le="1"} 1 # {} 2\na_bucket{le="+Inf"} 1', True, False, True),
    (OM, '# TYPE a summary\na_sum{quantile="1"} 1', True, False, True),
    # Rules of OpenMetrics that the server does not keep.
    *((OM, body, False, False, True) for body in ("a 1\n# HELP a b", "a 1\n# TYPE a gauge", "# HELP a b\n# HELP a c")),
    *((OM, body, False, False, True) for body in ('a 1\nb 1\na{c="d"} 2', "a 1 2\na 2 1", "a 1\na 1 5")),
    *((OM, f"# TYPE a {kind}\na 1", False, False, True) for kind in ("counter", "info", "summary", "stateset")),
    (OM, "# TYPE a counter\na_total -1", False, False, True),
    (OM, "# TYPE a_b info\n# UNIT a_b b", False, False, True),
    (OM, '# TYPE a histogram\na_bucket{le="1"} 1', False, False, True),
    (OM, "# TYPE a histogram\na_count 1\na_sum 1", False, False, True),
    (OM, '# TYPE a gaugehistogram\na_bucket{le="+Inf"} 1\na_gsum -1\na_gcount 1', False, False, True),
    # What the server's lexer takes by accident.
    *((T, body, False, False, True) for body in ('a{b="c"d="e"} 1', 'a{b="\nc"} 1', "# HELP a.b c", "a-1 1")),
    (T, "# HELP a\\n", True, False, True),
    # prometheus_client cannot compare the two timestamps.
    (OM, "a 1 1\na 2 1e1", False, True, True),
    # prometheus_client cannot tell the children of an info apart.
    (OM, '# TYPE a info\na_info{b="c"} 1\na_info{b="d"} 1 5', False, True, True),
    # A comment for the server; prometheus_client expects more.
    (T, "# TYPE", False, True, True),
    # A counter that is called _total: the family has to keep a name.
    (T, "# TYPE _total counter\n_total 1", False, True, True),
]  # fmt: skip

VERDICTS = [
    *(Verdict(form, body, True, True, True) for form, body in _SAME_TAKEN),
    *(Verdict(form, body, False, False, False) for form, body in _SAME_REFUSED),
    *(Verdict(*row) for row in _DIFFERENT),
]
