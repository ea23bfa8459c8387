"""The rows of the process and of the library itself."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("LIBRARY", "PROCESS")

_WORKER = "{{instance}} {{worker}}"


def _by_worker(metric: str) -> Query:
    return Query(f"sum by (instance, worker) (<{metric}>)", _WORKER)


PROCESS = Row(
    "Process",
    (
        Panel(
            "Processors in use",
            "short",
            (Query("sum by (instance, worker) (rate(<process_cpu_seconds_total>[$w]))", _WORKER),),
        ),
        Panel("Resident memory", "bytes", (_by_worker("process_resident_memory_bytes"),)),
        Panel("Virtual memory", "bytes", (_by_worker("process_virtual_memory_bytes"),)),
        Panel(
            "File descriptors",
            "short",
            (
                _by_worker("process_open_fds"),
                Query("min(<process_max_fds>)", "lowest limit"),
            ),
        ),
        Panel("Threads of the process", "short", (_by_worker("process_threads"),)),
        Panel(
            "Age of the process",
            "s",
            (Query("time() - max by (instance, worker) (<process_start_time_seconds>)", _WORKER),),
            "A line that falls is a restart.",
        ),
        Panel(
            "Time in the garbage collector",
            "percentunit",
            (
                Query(
                    "sum by (instance, worker, generation) (rate(<python_gc_duration_seconds_sum>[$w]))",
                    f"{_WORKER} generation {{{{generation}}}}",
                ),
            ),
        ),
        Panel(
            "Longest collections (p99)",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, "
                    "sum by (instance, worker, le) (rate(<python_gc_duration_seconds_bucket>[$w])))",
                    _WORKER,
                ),
            ),
        ),
        Panel(
            "Collections by generation",
            "cps",
            (Query("sum by (generation) (rate(<python_gc_collections_total>[$w]))", "generation {{generation}}"),),
        ),
        Panel(
            "Objects of the garbage collector",
            "cps",
            (
                Query("sum(rate(<python_gc_objects_collected_total>[$w]))", "collected"),
                Query("sum(rate(<python_gc_objects_uncollectable_total>[$w]))", "uncollectable"),
            ),
        ),
        Panel("Python", "short", (Query("<python_info>"),), kind="table"),
        Panel("Target", "short", (Query("<target_info>"),), kind="table"),
    ),
)

LIBRARY = Row(
    "asyncmetrics itself",
    (
        Panel(
            "Scrapes by outcome",
            "cps",
            (Query("sum by (outcome) (rate(<asyncmetrics_scrapes_total>[$w]))", "{{outcome}}"),),
        ),
        Panel(
            "Mean duration of a scrape",
            "s",
            (
                Query(
                    "sum(rate(<asyncmetrics_scrape_duration_seconds_sum>[$w]))"
                    " / (sum(rate(<asyncmetrics_scrape_duration_seconds_count>[$w])) > 0)",
                    "duration",
                ),
            ),
        ),
        Panel(
            "Mean chunks of a scrape",
            "short",
            (
                Query(
                    "sum(rate(<asyncmetrics_scrape_chunks_sum>[$w]))"
                    " / (sum(rate(<asyncmetrics_scrape_chunks_count>[$w])) > 0)",
                    "chunks",
                ),
            ),
        ),
        Panel(
            "Errors",
            "cps",
            (
                Query(
                    "sum by (collector) (rate(<asyncmetrics_collector_errors_total>[$w]))", "collector {{collector}}"
                ),
                Query("sum by (where) (rate(<asyncmetrics_internal_errors_total>[$w]))", "internal, {{where}}"),
                Query("sum(rate(<asyncmetrics_worker_slot_errors_total>[$w]))", "slots of workers"),
            ),
            "The log has the first error of each kind.",
        ),
        Panel(
            "Lost numbers",
            "cps",
            (
                Query(
                    "sum by (metric) (rate(<asyncmetrics_overflowed_label_sets_total>[$w]))",
                    "{{metric}}: beyond the limit of label sets",
                ),
                Query(
                    "sum by (metric) (rate(<asyncmetrics_dropped_observations_total>[$w]))",
                    "{{metric}}: dropped",
                ),
                Query(
                    "sum by (family, format) (rate(<asyncmetrics_omitted_samples_total>[$w]))",
                    "{{family}}: left out of {{format}}",
                ),
                Query("sum(rate(<asyncmetrics_worker_dropped_series_total>[$w]))", "series that workers do not share"),
                Query(
                    "sum by (collector) (rate(<asyncmetrics_single_worker_collections_total>[$w]))",
                    "{{collector}}: of one worker",
                ),
            ),
            "What is beyond the limit of label sets is in the series whose labels are `__overflow__`.",
        ),
        Panel(
            "Workers",
            "short",
            (
                Query("sum by (state) (<asyncmetrics_workers>)", "{{state}}"),
                Query("min(<asyncmetrics_workers_shared>)", "1 if they share their metrics"),
                Query("max(<asyncmetrics_worker_conflicting_families>)", "conflicting families"),
            ),
        ),
        Panel("Measured libraries", "short", (Query("<asyncmetrics_instrumentation_info>"),), kind="table"),
    ),
)
