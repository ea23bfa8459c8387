"""The panels of a dashboard: one table by subject, which Grafana's dashboards and Prometheus' consoles are made from.

==================== ===========================================================================================
``table``            `Panel`, `Query` and `Row`: the language of the table
``requests``         HTTP requests, streams and WebSockets
``clients``          clients of HTTP and databases, and their pools
``runtime``          event loops, pools of threads, queues
``work``             jobs, heartbeats, health checks, logs and failures
``process``          the process, and the library itself
``exchange``         what is pushed to other systems, and what comes in by StatsD
``subjects``         the table: all of these rows in their order
``own``              panels for the metrics that no row has, by their kind
``choosing``         `choose_rows`: the rows that a source has metrics for, with their queries
==================== ===========================================================================================

*How a query is chosen.*

1. A query of the table names samples in ``<…>``, such as ``rate(<http_server_exceptions_total>[$w])``.
2. A query belongs to the dashboard if the source declares every metric in it; a panel, if one of its queries does.
3. A name may have a prefix, the ``namespace`` of the middleware: each prefix gets its own panels.
4. Labels have the names of the source, such as ``http_route`` for ``route`` with OpenTelemetry's conventions.
5. What is in no chosen panel is a metric of the user's own.
"""
