"""Write docs/dashboards/asyncmetrics.json: the dashboard for all metrics of the library itself.

It is made from tests/dashboards/everything.prom, a recorded exposition of tests/servers/everything_app.py. With a URL
of that running application, this program records the exposition again first. A test compares the two.

Run it from the root of a clone: ``python -m scripts.dashboards [URL]``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from asyncmetrics.bridges.scraping import Exposition, Target
from asyncmetrics.dashboards.declared import read_declared
from asyncmetrics.dashboards.grafana import make_grafana_dashboard

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests/dashboards/everything.prom"
SHIPPED = ROOT / "docs/dashboards/asyncmetrics.json"
TITLE = "asyncmetrics"
_KEPT_CHILDREN = 2  # of each family: their labels are what matters
_SUFFIX = re.compile(r"_(?:bucket|count|sum)$")


def make_shipped() -> str:
    """Return the text of the shipped dashboard."""
    metrics = read_declared(Exposition(RECORDED.read_text(encoding="utf-8")))
    own = [one for one in metrics if not one.name.startswith("own_")]
    return f"{json.dumps(make_grafana_dashboard(own, TITLE), indent=1, ensure_ascii=False)}\n"


def shorten_exposition(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text, but only the first children of each family."""
    children: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            kept = children.setdefault(_SUFFIX.sub("", name), [])
            child = re.sub(r',?le="[^"]*"', "", labels).lstrip(",").rstrip("}")
            if child not in kept and len(kept) < _KEPT_CHILDREN:
                kept.append(child)
            if child not in kept:
                continue
        yield f"{line}\n"


def main() -> None:
    """Record if there is a URL, and write the dashboard."""
    if len(sys.argv) > 1:
        text = Target(sys.argv[1]).scrape().text
        RECORDED.write_text("".join(shorten_exposition(text.splitlines())), encoding="utf-8")
    SHIPPED.write_text(make_shipped(), encoding="utf-8")


if __name__ == "__main__":
    main()
