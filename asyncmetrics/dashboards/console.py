"""A console of Prometheus: a template that Prometheus itself serves, with the present figures of each panel.

It needs neither Grafana nor the libraries of Debian's consoles. Prometheus reads it from the folder of
``--web.console.templates``; ``?job=shop`` and ``?instance=…`` show one job or instance.

*Rules.*

* Write each text of a source by `_write_text`, or inside a query by `asyncmetrics.dashboards.promql`: both keep
  ``{{`` and HTML out. Prometheus escapes the values of labels.
* The values of the two parameters enter a query through ``%q``, which quotes them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

from asyncmetrics.dashboards.declared import Declared
from asyncmetrics.dashboards.panels.choosing import choose_rows
from asyncmetrics.dashboards.panels.table import Panel, Query
from asyncmetrics.dashboards.promql import Dialect

__all__ = ("make_console",)

# `%[1]q` is the parameter job and `%[2]q` the parameter instance, which printf quotes as Go and PromQL do.
_DIALECT = Dialect("5m", {"job": "=~%[1]q", "instance": "=~%[2]q"})
_MOST_SERIES = 50

# How a value is written, by Grafana's unit: by a function of Prometheus' templates.
_FORMATS = {
    "s": "{{ humanizeDuration .Value }}",
    "bytes": "{{ humanize1024 .Value }}B",
    "Bps": "{{ humanize1024 .Value }}B/s",
    "percentunit": "{{ humanizePercentage .Value }}",
}
# `humanize` writes 0.08 as 80m, which looks like a unit.
_NUMBER = '{{ if lt .Value 1.0 }}{{ printf "%.3g" .Value }}{{ else }}{{ humanize .Value }}{{ end }}'
_RATES = frozenset({"reqps", "cps", "ops"})
_LABELS = (
    '{{ range $label, $value := .Labels }}{{ if and (ne $label "__name__") $value }}'
    "{{ $label }}={{ $value }} {{ end }}{{ end }}"
)

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="30">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }}
body {{ margin: 1rem; }}
section {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; }}
article {{ overflow-x: auto; }}
h3 {{ font-size: 1rem; margin: 0; }}
p {{ margin: 0; }}
article p {{ font-size: 0.85rem; opacity: 0.8; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-top: 1px solid #8884; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }}
td:last-child {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
"""
# The parameters are names, and not patterns: a job may be called `api (eu)`.
_START = r"""{{ $special := `([.+*?()|\[\]{}^$\\])` }}
{{ $job := or (reReplaceAll $special `\$1` .Params.job) ".*" }}
{{ $instance := or (reReplaceAll $special `\$1` .Params.instance) ".*" }}
<p><a href="?">All jobs</a>{{ range query "count by (job) (up)" }}
<a href="?job={{ .Labels.job }}">{{ .Labels.job }}</a>{{ end }}</p>
"""


def make_console(metrics: Sequence[Declared], title: str) -> str:
    """Return the template of a console for ``metrics``, an HTML page called ``title``."""
    parts = [_HEAD.format(title=_write_text(title)), _START]
    for row in choose_rows(metrics, _DIALECT):
        parts.append(f"<h2>{_write_text(row.title)}</h2>\n<section>\n")
        parts += map(_make_panel, row.panels)
        parts.append("</section>\n")
    return "".join((*parts, "</body>\n</html>\n"))


def _write_text(text: str) -> str:
    """Return ``text`` for HTML, with nothing that is an action of a template."""
    printable = "".join(char if char.isprintable() else "�" for char in text)
    return html.escape(printable).replace("{", "&#123;").replace("}", "&#125;")


def _make_panel(panel: Panel) -> str:
    if panel.kind == "heatmap":  # a table of buckets says little; the quantiles are beside it
        return ""
    help_text = f"<p>{_write_text(panel.help)}</p>\n" if panel.help else ""
    rows = "".join(_make_rows(query, panel) for query in panel.queries)
    return f"<article>\n<h3>{_write_text(panel.title)}</h3>\n{help_text}<table>\n{rows}</table>\n</article>\n"


def _choose_name(query: Query, panel: Panel) -> str:
    """Return what tells the query from the others of its panel: ``limit`` of the legend ``{{queue}} limit``."""
    if query.legend.startswith("__") or ("{{" in query.legend and len(panel.queries) == 1):
        return ""
    return re.sub(r"\{\{.*?\}\}", "", query.legend).strip(" :,")


def _make_rows(query: Query, panel: Panel) -> str:
    """Return the rows of one query: the name of the query, if it has one, the labels, and the value."""
    name = _choose_name(query, panel)
    value = _FORMATS.get(panel.unit, _NUMBER) + (" /s" if panel.unit in _RATES else "")
    text = json.dumps(f"topk({_MOST_SERIES}, {query.expression})", ensure_ascii=False)
    shown = _write_text(name)
    return (
        f'{{{{ range printf {text} $job $instance | query | sortByLabel "job" }}}}'
        f"<tr><td>{shown} {_LABELS}</td><td>{value}</td></tr>\n"
        f"{{{{ else }}}}<tr><td>{shown}</td><td>no series</td></tr>\n{{{{ end }}}}"
    )
