"""A dashboard of Grafana, as JSON, for what a source declares.

*Rules.*

* Write what is the same for the same metrics: no time, no random id. The UID is made from the title, so that a new
  version of a dashboard replaces the old one.
* Let no text of a source be more than text: Grafana puts variables into titles and queries (``$job``), and renders
  descriptions as Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from math import ceil
from typing import Any

from asyncmetrics.dashboards.declared import Declared
from asyncmetrics.dashboards.grafana_panels import DATASOURCE, make_panel
from asyncmetrics.dashboards.panels.choosing import choose_rows, find_label
from asyncmetrics.dashboards.panels.subjects import KNOWN_SAMPLES
from asyncmetrics.dashboards.panels.table import Row
from asyncmetrics.dashboards.promql import Dialect, select, write_string

__all__ = ("make_grafana_dashboard", "make_uid")

_SCHEMA_VERSION = 39  # of Grafana 11; later versions migrate it
_WIDTH = 24  # columns of Grafana's grid
_PANEL_SIZE = (8, 8)  # width and height
_STAT_HEIGHT = 4
_STAT_WIDTHS = (3, 6)  # the least and the most
_MOST_OPEN_PANELS = 16  # a row of more is folded, so that Grafana asks for them when it is unfolded
_MOST_ANCHORS = 20  # metrics that the variables are looked up in
_GENERAL = ("python_", "process_", "go_", "target", "scrape_", "promhttp_", "asyncmetrics_")  # what many programs have
_GENERAL_RANK = 2

_ROUTES = ("route", "http_route")
_VARIABLES = ("job", "instance", *_ROUTES, "worker")


def make_uid(title: str) -> str:
    """Return the UID of the dashboard with this title: at most 40 letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:29].rstrip("-")
    return f"{words or 'dashboard'}-{sha256(title.encode('utf-8', 'replace')).hexdigest()[:10]}"


def make_grafana_dashboard(metrics: Sequence[Declared], title: str, datasource: str = "") -> dict[str, Any]:
    """Return the dashboard called ``title`` as an object of JSON.

    ``datasource`` is the UID or the name of the Prometheus that is chosen at first; Grafana's default one otherwise.
    """
    dialect = Dialect("$__rate_interval", {name: f'=~"${_name_variable(name)}"' for name in _VARIABLES})
    return {
        "uid": make_uid(title),
        "title": title,
        "description": "Made by asyncmetrics dashboard from the metrics that the application declares.",
        "tags": ["asyncmetrics", "prometheus"],
        "editable": True,
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "timezone": "browser",
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _make_variables(metrics, datasource)},
        "panels": _lay_out(choose_rows(metrics, dialect)),
    }


def _name_variable(label: str) -> str:
    return "route" if label in _ROUTES else label


def _make_variables(metrics: Sequence[Declared], datasource: str) -> list[dict[str, Any]]:
    source: dict[str, Any] = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "regex": "",
        "options": [],
    }
    if datasource:
        source["current"] = {"selected": True, "text": datasource, "value": datasource}
    job = _make_variable("job", _select_any(metrics, ()))
    instance = _make_variable("instance", _select_any(metrics, ['job=~"$job"']))
    others = [label for label in (find_label(metrics, *_ROUTES), find_label(metrics, "worker")) if label]
    of_target = ['job=~"$job"', 'instance=~"$instance"']
    having = [(label, [one for one in metrics if one.has(label)]) for label in others]
    return [source, job, instance, *(_make_variable(label, _select_any(some, of_target)) for label, some in having)]


def _select_any(metrics: Sequence[Declared], matchers: Sequence[str]) -> str:
    """Return a selector of the series of any of the metrics: those of the user's own come first.

    Metrics that many programs have are in it only if there are no others.
    """
    names = sorted((_rank(one), one.anchor) for one in metrics if one.samples)
    chosen = [name for rank, name in names if rank < _GENERAL_RANK or names[0][0] == _GENERAL_RANK][:_MOST_ANCHORS]
    if len(chosen) == 1:
        return select(chosen[0], matchers)
    pattern = write_string("|".join(map(re.escape, chosen)) or ".+")
    return f"{{{', '.join((f'__name__=~{pattern}', *matchers))}}}"


def _rank(metric: Declared) -> int:
    if all(sample.startswith(_GENERAL) for sample in metric.samples):  # the name of `go_info` is `go`
        return _GENERAL_RANK
    return 1 if metric.samples & KNOWN_SAMPLES else 0


def _make_variable(label: str, selector: str) -> dict[str, Any]:
    query = f"label_values({selector}, {label})"
    return {
        "type": "query",
        "name": _name_variable(label),
        "label": _name_variable(label).capitalize(),
        "datasource": DATASOURCE,
        "definition": query,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",  # also series without the label
        "regex": "",
        "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _lay_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows and their panels with places that do not overlap."""
    laid: list[dict[str, Any]] = []
    top, number = 0, 1
    for row in rows:
        is_folded = len(row.panels) > _MOST_OPEN_PANELS
        heading: dict[str, Any] = {
            "type": "row",
            "id": number,
            "title": row.title,
            "collapsed": is_folded,
            "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        panels, bottom = _lay_out_panels(row, top + 1, number + 1)
        number += 1 + len(panels)
        laid.append(heading)
        if is_folded:
            heading["panels"] = panels
            top += 1
        else:
            laid += panels
            top = bottom
    return laid


def _lay_out_panels(row: Row, top: int, number: int) -> tuple[list[dict[str, Any]], int]:
    """Return the panels, left to right and then down, and the line below them."""
    panels: list[dict[str, Any]] = []
    left, bottom = 0, top
    stat_size = (_find_stat_width(sum(panel.kind == "stat" for panel in row.panels)), _STAT_HEIGHT)
    for panel in row.panels:
        width, height = stat_size if panel.kind == "stat" else _PANEL_SIZE
        if left + width > _WIDTH:
            left, top = 0, bottom
        place = {"x": left, "y": top, "w": width, "h": height}
        panels.append(make_panel(panel, number + len(panels), place))
        left, bottom = left + width, max(bottom, top + height)
    return panels, bottom


def _find_stat_width(count: int) -> int:
    """Return the width of each of ``count`` figures: nine are in lines of six and three, and not of eight and one."""
    least, most = _STAT_WIDTHS
    lines = max(1, ceil(count * least / _WIDTH))
    return min(most, _WIDTH // ceil(max(1, count) / lines))
