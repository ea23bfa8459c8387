"""PromQL for native histograms, from PromQL for classic ones.

*Rules.* A server that stores a native histogram stores neither its buckets nor its count and sum as series of their own
(unless ``always_scrape_classic_histograms`` is set).

* ``sum by (route, le) (rate(x_bucket[5m]))`` becomes ``sum by (route) (rate(x[5m]))``: one value has all buckets.
* ``rate(x_count[5m])`` becomes ``histogram_count(rate(x[5m]))``, and ``rate(x_sum[5m])`` the ``histogram_sum`` of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ("read_native",)

_STRING = r'"(?:[^"\\]|\\.)*"'
_READ = re.compile(
    r"(?:(?P<before>\s*)by\s*\((?P<by>[^()]*)\)(?P<open>\s*\(\s*))?"
    r"(?P<function>rate|increase)\((?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)_(?P<suffix>bucket|count|sum)"
    rf"(?P<rest>(?:\{{(?:[^{{}}\"]|{_STRING})*\}})?\[[^\]]*\])\)"
)


def read_native(expression: str, natives: Collection[str]) -> str:
    """Return an expression that reads those histograms natively whose names, without suffix, are in ``natives``."""

    def change(match: re.Match[str]) -> str:
        if match["name"] not in natives:
            return match[0]
        labels = [label.strip() for label in (match["by"] or "").split(",") if label.strip()]
        read = f"{match['function']}({match['name']}{match['rest']})"
        if match["suffix"] == "bucket":
            labels = [label for label in labels if label != "le"]
        else:
            read = f"histogram_{match['suffix']}({read})"
        if match["open"] is None:
            return read
        clause = f"{match['before']}by ({', '.join(labels)}){match['open']}" if labels else match["open"].lstrip(" ")
        return clause + read

    return _READ.sub(change, expression)
