"""``asyncmetrics dashboard``: print a dashboard for what an application declares."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from io import TextIOWrapper
from pathlib import Path
from urllib.parse import urlsplit

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli.sources import add_native, add_source, find_natives, is_url, read_exposition, read_metrics
from asyncmetrics.dashboards.console import make_console
from asyncmetrics.dashboards.declared import read_declared
from asyncmetrics.dashboards.grafana import make_grafana_dashboard
from asyncmetrics.errors import SourceError
from asyncmetrics.model.escaping import ALLOW_UTF_8, ESCAPING_SCHEMES
from asyncmetrics.registry import CollectorRegistry

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Print a dashboard for the metrics of an application: requests, clients, pools, event loops, jobs, the process, and a
row for each kind of your own metrics. It has panels for what the source declares, and for nothing else.

  asyncmetrics dashboard http://127.0.0.1:8000/metrics > dashboard.json
  asyncmetrics dashboard shop --title Shop --datasource Prometheus > dashboard.json
  asyncmetrics dashboard http://127.0.0.1:8000/metrics --console > consoles/shop.html

Import the JSON into Grafana, or put it into a folder that Grafana provisions. The UID is made from the title: import
it again, and Grafana replaces the dashboard. With --console it is a console that Prometheus serves itself, from the
folder of --web.console.templates, at /consoles/shop.html.

The command imports the module shop and reads its default registry; shop:REGISTRY is a registry of its own. A running
application (URL) declares more than an imported one: the metrics of event loops and jobs come with them.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source and the options of the dashboard."""
    add_source(parser)
    parser.add_argument("--title", type=_parse_title, help="the title (default: the name of the source)")
    parser.add_argument(
        "--datasource", metavar="UID|NAME", default="", help="the Prometheus in Grafana that is chosen at first"
    )
    add_native(parser)
    parser.add_argument("--console", action="store_true", help="print a console template of Prometheus")
    parser.add_argument(
        "--escaping",
        choices=ESCAPING_SCHEMES,
        default=ALLOW_UTF_8,
        help="how Prometheus stores names with other characters than letters, digits and _: allow-utf-8 (the default, "
        "and that of Prometheus 3) or underscores (Prometheus 2)",
    )


def _parse_title(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ArgumentTypeError(f"expected a title of printable characters, got {text!r}")
    return text


def run(options: Namespace) -> int:
    """Print the dashboard. Raises `SourceError` for a source without metrics."""
    source: str = options.source
    if is_url(source):
        accept = f"text/plain;version=1.0.0;escaping={options.escaping},text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        found: Exposition | CollectorRegistry = read_exposition(source, options, accept)
    else:
        found = read_metrics(source, options)
    natives = find_natives(source, options, options.escaping)
    metrics = read_declared(found, options.escaping, native=natives)
    if not metrics:
        raise SourceError(source, "it declares no metrics, so there is nothing to show: check the URL or the registry")
    title: str = options.title or _name_source(source)
    if options.console:
        text = make_console(metrics, title)
    else:
        dashboard = make_grafana_dashboard(metrics, title, options.datasource)
        text = f"{json.dumps(dashboard, indent=2, ensure_ascii=False)}\n"
    if isinstance(sys.stdout, TextIOWrapper):  # JSON and HTML are UTF-8, whatever the encoding of the terminal is
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    sys.stdout.write(text)
    return 0


def _name_source(source: str) -> str:
    """Return a title for a source: the host of a URL, the name of a file, or the module."""
    if source == "-":
        return "Metrics"
    name = urlsplit(source).netloc if is_url(source) else source
    if not is_url(source):
        name = Path(source).stem if Path(source).exists() else source.partition(":")[0]
    return "".join(char for char in name if char.isprintable()) or "Metrics"
