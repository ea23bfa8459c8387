"""The texts of the compatibility table: why a name of prometheus_client differs here, and what to use instead.

``*.name`` stands for the members with this name of every class. A name with the same arguments may also have a text,
if it behaves differently on purpose.
"""

from __future__ import annotations

__all__ = ("DIFFERS", "HOMES", "NOT_PLANNED", "WHOLE_MODULES")

# The module here that has the names of one of their modules, or one name, if it is not at the same path.
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

_NATIVE = "No standard text format has native histograms yet."
_PARSING = "A detail of a parser."
_STRICT = "Checks rules of the format that theirs does not check."
_NAMES = "Names may have letters of any script, digits, `_` and `.`, without a switch. Custom collectors may use any."
_NUMBERS = "Use `math.inf`, `-math.inf`, `math.nan`."

# Modules that have no counterpart here.
WHOLE_MODULES = {
    "aiohttp": "Use `start_http_server`, or return `generate_latest()` from a handler.",
    "aiohttp.exposition": "As above.",
    "decorator": "A copy of another library. Here decorated functions keep their kind and signature without it.",
    "django": "`instrument(application)` in `asgi.py` measures and serves; under WSGI mount `make_wsgi_app()`.",
    "django.exposition": "As above.",
    "mmap_dict": "The files of the multiprocess mode, which works differently here.",
    "twisted": "`WSGIResource(reactor, reactor.getThreadPool(), make_wsgi_app())`.",
    "values": "Replaced by storages (`Registry(storage=…)`).",
}

NOT_PLANNED = {
    "bridge.graphite.GraphiteBridge": "Not yet. prometheus_client's class accepts a registry of ours.",
    "core.BucketSpan": _NATIVE,
    "core.NativeHistogram": _NATIVE,
    "core.Sample.native_histogram": _NATIVE,
    "exposition.CompressionType": "A name for type checkers.",
    "exposition.ThreadingWSGIServer": "The server is asynchronous and has its own thread.",
    "multiprocess.MultiProcessCollector": "Remove it: every registry exposes all workers (`docs/workers.md`).",
    "multiprocess.mark_process_dead": "Remove it: the kernel releases the lock of an ended worker.",
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
    "utils.floatToGoString": "`asyncmetrics.model.descriptor.format_bound` formats the bound of a bucket.",
    "utils.parse_version": "A detail of the negotiation.",
    "validation.METRIC_LABEL_NAME_RE": _NAMES,
    "validation.METRIC_NAME_RE": _NAMES,
    "validation.RESERVED_METRIC_LABEL_NAME_RE": _NAMES,
    "validation.disable_legacy_validation": _NAMES,
    "validation.enable_legacy_validation": _NAMES,
    "validation.get_legacy_validation": _NAMES,
    "$PROMETHEUS_LEGACY_NAME_VALIDATION": _NAMES,
    "$PROMETHEUS_MULTIPROC_DIR": "Keep or remove it: workers share in a sub-directory (`docs/workers.md`).",
}

_MADE = "Call `time()`, `count_exceptions()` or `track_inprogress()` instead of the class."
_WHOLE_CALLS = "Measures coroutines, generators and async generators until they end, not only their creation."

_METRICS = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum", "metrics.MetricWrapperBase")
_CHILD = "The child is not an instance of the metric's class. Lone surrogates become U+FFFD."
_DECLARED = f"{_NAMES} Beyond `max_children` (100,000), new label sets share one child."

DIFFERS = {
    **dict.fromkeys(_METRICS, _DECLARED),
    "Enum": f"{_DECLARED} No `:`, because its states are in a label with the same name.",
    **{f"{metric}.labels": _CHILD for metric in _METRICS},
    "*.add_metric": "Raises `ValueError` if the numbers of labels and label values differ, instead of dropping some.",
    "*.add_sample": _NATIVE,
    "*.time": _WHOLE_CALLS,
    "CollectorRegistry.collect": "Leaves out and counts a collector that fails. Yields every name once.",
    "CollectorRegistry.register": "Collects nothing: a collector without `describe` has no names before a collection. "
    "Names that are equal when escaped are duplicates. So is the same collector again.",
    "CollectorRegistry.restricted_registry": "The name of a family selects all its samples.",
    "Counter.count_exceptions": f"{_WHOLE_CALLS} Counts a cancellation only if its type is named.",
    "Counter.inc": "NaN and infinity raise `ValueError`. After a refused exemplar nothing is counted.",
    "Gauge.set": "A string raises `TypeError`.",
    "Gauge.set_function": "The function may be async. While it fails, the series is left out and the error is counted.",
    "Gauge.track_inprogress": _WHOLE_CALLS,
    "Histogram.observe": "Drops NaN and counts it. After a refused exemplar nothing is counted.",
    "Info.info": "Illegal label names raise `ValueError`.",
    "MetricsHandler": "Only programs that use it import `http.server`.",
    "ProcessCollector": "Also yields `process_threads`, and some values on systems without `/proc`.",
    "Summary.observe": "Drops NaN and counts it.",
    "context_managers.ExceptionCounter": _MADE,
    "context_managers.InprogressTracker": _MADE,
    "context_managers.Timer": _MADE,
    "context_managers.Timer.labels": "A method of `t` in `with h.time() as t`; so is `t.duration`.",
    "core.DuplicateTimeseries": "Another name of `DuplicateMetricError`. `existing` is the registered collector.",
    "core.Sample": _NATIVE,
    "disable_created_metrics": "They are off already.",
    "exposition.choose_encoder": "Chooses by quality. Does not claim versions that are not supported.",
    "generate_latest": "No `_created`; [the other bytes](exposition.md#what-is-written) are the same.",
    "instance_ip_grouping_key": "The address of the interface to other hosts; theirs returns 127.0.0.1 on Linux.",
    "make_asgi_app": "Answers GET and HEAD, and 405 to other methods. Does not block the event loop.",
    "make_wsgi_app": "Answers GET and HEAD, and 405 to other methods.",
    "openmetrics.exposition.generate_latest": "Leaves out samples that OpenMetrics forbids.",
    "openmetrics.parser.text_fd_to_metric_families": _STRICT,
    "openmetrics.parser.text_string_to_metric_families": _STRICT,
    "parser.text_fd_to_metric_families": "Refuses lines that Prometheus refuses.",
    "parser.text_string_to_metric_families": "Refuses lines that Prometheus refuses.",
    "push_to_gateway": "No snappy. Failures raise `PushError` (an `OSError`) with the gateway's answer.",
    "pushadd_to_gateway": "As `push_to_gateway`.",
    "registry.Collector": "`collect` may be async.",
    "start_http_server": "Open the server to the network explicitly. It is asynchronous.",
    "start_wsgi_server": "As `start_http_server`.",
    "write_to_textfile": "node_exporter accepts no other names. `registry` is optional.",
    "$PROMETHEUS_DISABLE_CREATED_SERIES": "`_created` is off by default; `false` turns it on.",
}
