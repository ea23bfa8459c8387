"""The panels of Grafana: time series, figures, heatmaps, tables and lines of states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncmetrics.dashboards.panels.table import Kind, Panel, Query

__all__ = ("DATASOURCE", "make_panel")

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""The data source that the variable of the dashboard has."""

# Markdown and HTML would render these, and Grafana would put a variable in place of `$job` and `[[job]]`.
_MARKUP = {ord(char): f"&#{ord(char)};" for char in "&<>[]$`*"}


def make_panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    """Return a panel of Grafana with the id ``number`` at its place in the grid."""
    kind, options, config, instant = _KINDS[panel.kind]
    made: dict[str, Any] = {
        "type": kind,
        "id": number,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_make_target(query, index, panel, instant=instant) for index, query in enumerate(panel.queries)],
        "options": options(panel),
        "fieldConfig": {"defaults": {"unit": panel.unit, **config(panel)}, "overrides": []},
    }
    if panel.help:
        made["description"] = "".join(c if c.isprintable() else " " for c in panel.help).translate(_MARKUP)
    if panel.kind == "table":
        made["transformations"] = [
            {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True, "__name__": True}}}
        ]
    return made


def _make_target(query: Query, index: int, panel: Panel, *, instant: bool) -> dict[str, Any]:
    formats: dict[Kind, str] = {"heatmap": "heatmap", "table": "table"}
    return {
        "refId": _name_query(index),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "format": formats.get(panel.kind, "time_series"),
        "instant": instant,
        "range": not instant,
    }


def _name_query(index: int) -> str:
    return chr(ord("A") + index % 26) * (1 + index // 26)


def _make_series_options(panel: Panel) -> dict[str, Any]:
    del panel
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _make_series_config(panel: Panel) -> dict[str, Any]:
    del panel
    return {"custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}}


def _make_stat_options(panel: Panel) -> dict[str, Any]:
    del panel
    return {
        "colorMode": "none",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
    }


def _make_heatmap_options(panel: Panel) -> dict[str, Any]:
    return {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "selectionMode": "x",
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"unit": panel.unit, "axisPlacement": "left", "reverse": False},
    }


def _make_heatmap_config(panel: Panel) -> dict[str, Any]:
    del panel
    return {"custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}}


def _make_table_options(panel: Panel) -> dict[str, Any]:
    del panel
    return {"showHeader": True, "cellHeight": "sm"}


def _make_states_options(panel: Panel) -> dict[str, Any]:
    return {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "alignValue": "left",
        **_make_series_options(panel),
    }


def _make_states_config(panel: Panel) -> dict[str, Any]:
    del panel
    values = {
        "0": {"text": "no", "color": "transparent", "index": 0},
        "1": {"text": "yes", "color": "green", "index": 1},
    }
    return {"mappings": [{"type": "value", "options": values}], "custom": {"lineWidth": 0, "fillOpacity": 80}}


def _make_nothing(panel: Panel) -> dict[str, Any]:
    del panel
    return {}


_Maker = Callable[[Panel], dict[str, Any]]
# By the kind of a panel: Grafana's type, its options, its configuration, and whether the last value is enough.
_KINDS: dict[Kind, tuple[str, _Maker, _Maker, bool]] = {
    "timeseries": ("timeseries", _make_series_options, _make_series_config, False),
    "stat": ("stat", _make_stat_options, _make_nothing, False),
    "heatmap": ("heatmap", _make_heatmap_options, _make_heatmap_config, False),
    "table": ("table", _make_table_options, _make_nothing, True),
    "states": ("state-timeline", _make_states_options, _make_states_config, False),
}
