"""The table of panels: the rows of all subjects, in the order of a dashboard."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.clients import DATABASES, HTTP_CLIENTS, POOLS
from asyncmetrics.dashboards.panels.exchange import EXCHANGE
from asyncmetrics.dashboards.panels.process import LIBRARY, PROCESS
from asyncmetrics.dashboards.panels.requests import OVERVIEW, REQUESTS, STREAMS, WEBSOCKETS
from asyncmetrics.dashboards.panels.runtime import EVENT_LOOPS, QUEUES, THREADS
from asyncmetrics.dashboards.panels.table import Row, list_samples
from asyncmetrics.dashboards.panels.work import FAILURES, HEALTH, JOBS

__all__ = ("KNOWN_SAMPLES", "ROWS_AFTER_OWN", "ROWS_BEFORE_OWN")

ROWS_BEFORE_OWN: tuple[Row, ...] = (
    OVERVIEW,
    REQUESTS,
    STREAMS,
    WEBSOCKETS,
    HTTP_CLIENTS,
    DATABASES,
    POOLS,
    EVENT_LOOPS,
    THREADS,
    QUEUES,
    JOBS,
    HEALTH,
    FAILURES,
)
ROWS_AFTER_OWN: tuple[Row, ...] = (PROCESS, EXCHANGE, LIBRARY)
"""What matters less than the metrics of the user's own."""

KNOWN_SAMPLES: frozenset[str] = frozenset(
    name
    for row in (*ROWS_BEFORE_OWN, *ROWS_AFTER_OWN)
    for panel in row.panels
    for query in panel.queries
    for name in list_samples(query.expression)
)
"""The samples that the table has queries for, without the namespace of an application."""
