"""Why a name of prometheus_client is not the same here, and what to use instead: the words of the compatibility table.

``*.name`` speaks for the members called so of every class. A name whose arguments are the same may still be here, for
what it does differently on purpose.
"""

from __future__ import annotations

__all__ = ("DIFFERS", "HOMES", "NOT_PLANNED", "WHOLE_MODULES")

# Where the names of a module, or one name, are here, if not at the same path.
HOMES = {
    "asgi": "exposition",
    "context_managers": "timing",
    "gc_collector": "collectors",
    "metrics_core": "core",
    "openmetrics": "prometheus_client.openmetrics",
    "openmetrics.exposition": "prometheus_client.openmetrics.exposition",
    "openmetrics.parser": "prometheus_client.openmetrics.parser",
    "parser": "prometheus_client.parser",
    "platform_collector": "collectors",
    "process_collector": "collectors",
    "samples": "core",
    "MetricsHandler": "exposition.handler",
    "exposition.basic_auth_handler": "bridges.pushgateway",
    "exposition.default_handler": "bridges.pushgateway",
    "exposition.passthrough_redirect_handler": "bridges.pushgateway",
    "exposition.tls_auth_handler": "bridges.pushgateway",
}

_NATIVE = "Native histograms are in no text format that is a standard yet."
_PARSING = "A detail of a parser."
_NAMES = "Names may have letters of any script, digits, `_` and `.`; there is no switch. Custom collectors may use any."
_NUMBERS = "Write `math.inf`, `-math.inf`, `math.nan`."

# Modules without any room here.
WHOLE_MODULES = {
    "aiohttp": "Serve on a port of their own with `start_http_server`, or return `generate_latest()` from a handler.",
    "aiohttp.exposition": "As above.",
    "decorator": "A copy of another library. Decorated functions keep their kind and signature here without it.",
    "django": "`instrument(application)` in `asgi.py` measures and serves; under WSGI mount `make_wsgi_app()`.",
    "django.exposition": "As above.",
    "mmap_dict": "The files of the multi-process mode, which works another way here.",
    "twisted": "`WSGIResource(reactor, reactor.getThreadPool(), make_wsgi_app())`.",
    "values": "Where numbers live: a storage here (`Registry(storage=…)`).",
}

NOT_PLANNED = {
    "bridge.graphite.GraphiteBridge": "Not yet. prometheus_client's own takes a registry of ours as well.",
    "core.BucketSpan": _NATIVE,
    "core.NativeHistogram": _NATIVE,
    "core.Sample.native_histogram": _NATIVE,
    "exposition.CompressionType": "A name for type checkers.",
    "exposition.ThreadingWSGIServer": "The server is asynchronous, in a thread of its own.",
    "multiprocess.MultiProcessCollector": "Remove it: any registry tells of all workers (`docs/workers.md`).",
    "multiprocess.mark_process_dead": "Remove it: a worker that has ended holds its lock no longer.",
    "openmetrics.exposition.CONTENT_TYPE_LATEST_2_0": "OpenMetrics 2.0 is a draft.",
    "openmetrics.parser.ESCAPE_SEQUENCES": _PARSING,
    "openmetrics.parser.ESCAPING_RE": _PARSING,
    "parser.ESCAPE_SEQUENCES": _PARSING,
    "parser.HELP_ESCAPING_RE": _PARSING,
    "parser.parse_labels": _PARSING,
    "parser.replace_escape_sequence": _PARSING,
    "utils.INF": _NUMBERS,
    "utils.MINUS_INF": _NUMBERS,
    "utils.NaN": _NUMBERS,
    "utils.floatToGoString": "`asyncmetrics.model.descriptor.format_bound` writes the bound of a bucket.",
    "utils.parse_version": "A detail of the negotiation.",
    "validation.METRIC_LABEL_NAME_RE": _NAMES,
    "validation.METRIC_NAME_RE": _NAMES,
    "validation.RESERVED_METRIC_LABEL_NAME_RE": _NAMES,
    "validation.disable_legacy_validation": _NAMES,
    "validation.enable_legacy_validation": _NAMES,
    "validation.get_legacy_validation": _NAMES,
    "$PROMETHEUS_LEGACY_NAME_VALIDATION": _NAMES,
    "$PROMETHEUS_MULTIPROC_DIR": "Remove it: workers find each other, or `ASYNCMETRICS_DIR` says where.",
}

_MADE = "Made by `time()`, `count_exceptions()` or `track_inprogress()`, not by hand."
_WHOLE_CALLS = "Coroutines, generators and async generators are measured until they end, not until they are made."

_METRICS = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum", "metrics.MetricWrapperBase")
_CHILD = "The child is no instance of the metric's class. Lone surrogates become U+FFFD."
_DECLARED = f"{_NAMES} Past `max_children` label sets (100,000) new ones share one."

DIFFERS = {
    **dict.fromkeys(_METRICS, _DECLARED),
    "Enum": f"{_DECLARED} No `:`, since no label, which the states need, can be called so.",
    **{f"{metric}.labels": _CHILD for metric in _METRICS},
    "*.add_metric": "Label values of another number than the labels raise `ValueError`, instead of being cut.",
    "*.add_sample": _NATIVE,
    "*.time": _WHOLE_CALLS,
    "CollectorRegistry.collect": "A collector that fails is left out and counted; every name is there once.",
    "CollectorRegistry.register": "Names that escaping makes equal are duplicates, and so is the same collector again.",
    "CollectorRegistry.restricted_registry": "The name of a family stands for all its samples.",
    "Counter.count_exceptions": f"{_WHOLE_CALLS} Cancellation is counted only if it is named by type.",
    "Counter.inc": "NaN and infinity raise `ValueError`. An exemplar that is refused is refused before counting.",
    "Gauge.set": "A string is no number: `TypeError`.",
    "Gauge.set_function": "May be async. While it fails, the series is left out and counted.",
    "Gauge.track_inprogress": _WHOLE_CALLS,
    "Histogram.observe": "NaN is left out and counted. An exemplar that is refused is refused before counting.",
    "Info.info": "Names that no label may have raise `ValueError`.",
    "MetricsHandler": "What `http.server` costs to import is paid by those who use it.",
    "ProcessCollector": "Yields `process_threads` as well, and what there is on systems without `/proc`.",
    "Summary.observe": "NaN is left out and counted.",
    "context_managers.ExceptionCounter": _MADE,
    "context_managers.InprogressTracker": _MADE,
    "context_managers.Timer": _MADE,
    "context_managers.Timer.labels": "A method of what `with h.time() as t` gives, as is `t.duration`.",
    "core.DuplicateTimeseries": "Another name of `DuplicateMetricError`, whose `existing` is the collector in the way.",
    "core.Sample": _NATIVE,
    "disable_created_metrics": "They are off already.",
    "enable_created_metrics": "In OpenMetrics alone; in the text format they would be gauges that nobody asked for.",
    "exposition.choose_encoder": "By quality, and no version is claimed that there is not.",
    "generate_latest": "No `_created`. Labels in the order of their declaration, numbers never as `1e+06`.",
    "instance_ip_grouping_key": "The address by which others are reached, where theirs says 127.0.0.1 on Linux.",
    "make_asgi_app": "Answers HEAD, and 405 to what is neither GET nor HEAD. Never holds the event loop.",
    "make_wsgi_app": "Answers HEAD, and 405 to what is neither GET nor HEAD.",
    "openmetrics.exposition.generate_latest": "What OpenMetrics forbids is left out.",
    "openmetrics.parser.text_fd_to_metric_families": "Holds a text to rules that theirs lets pass.",
    "openmetrics.parser.text_string_to_metric_families": "Holds a text to rules that theirs lets pass.",
    "parser.text_fd_to_metric_families": "Refuses lines that Prometheus would refuse.",
    "parser.text_string_to_metric_families": "Refuses lines that Prometheus would refuse.",
    "push_to_gateway": "No snappy. Failures raise `PushError` (an `OSError`) with what the gateway answered.",
    "pushadd_to_gateway": "As `push_to_gateway`.",
    "registry.Collector": "May be async.",
    "start_http_server": "Open it to the network on purpose. The server it returns is asynchronous.",
    "start_wsgi_server": "As `start_http_server`.",
    "write_to_textfile": "node_exporter takes no other names. `registry` may be left out.",
    "$PROMETHEUS_DISABLE_CREATED_SERIES": "`_created` is off by default; set to `false` this turns it on.",
}
