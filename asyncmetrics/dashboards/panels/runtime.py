"""The rows of event loops, pools of threads and queues."""

from __future__ import annotations

from asyncmetrics.dashboards.panels.table import Panel, Query, Row

__all__ = ("EVENT_LOOPS", "QUEUES", "THREADS")

_LOOP = "{{instance}} {{worker}} {{loop}}"


def _quantile(share: str, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate(<{metric}_bucket>[$w])))"


EVENT_LOOPS = Row(
    "Event loops",
    (
        Panel(
            "Lag (p99)",
            "s",
            (Query(_quantile("0.99", "event_loop_lag_seconds", "instance, worker, loop"), _LOOP),),
            "1 % of the timers of a loop are later. A loop that is blocked, or that has too much to do, has a lag.",
        ),
        Panel(
            "Busy",
            "percentunit",
            (Query("sum by (instance, worker, loop) (rate(<event_loop_busy_seconds_total>[$w]))", _LOOP),),
            "The share of the time in which a loop runs callbacks. Requests wait for a loop with more than 90 %.",
        ),
        Panel(
            "Processor time of the loop",
            "percentunit",
            (Query("sum by (instance, worker, loop) (rate(<event_loop_cpu_seconds_total>[$w]))", _LOOP),),
        ),
        Panel(
            "Turns (p99)",
            "s",
            (Query(_quantile("0.99", "event_loop_turn_duration_seconds", "instance, worker, loop"), _LOOP),),
            "What a loop runs between two waits.",
        ),
        Panel(
            "Functions that block",
            "percentunit",
            (Query("sum by (function) (rate(<event_loop_blocked_seconds_total>[$w]))", "{{function}}"),),
            "The share of the time for which a function keeps event loops from everything else.",
        ),
        Panel("Blocks", "cps", (Query("sum by (function) (rate(<event_loop_blocks_total>[$w]))", "{{function}}"),)),
        Panel("Tasks", "short", (Query("sum by (coroutine) (<event_loop_tasks>)", "{{coroutine}}"),)),
        Panel(
            "Oldest tasks",
            "s",
            (Query("max by (coroutine) (<event_loop_oldest_task_seconds>)", "{{coroutine}}"),),
        ),
    ),
)

THREADS = Row(
    "Threads",
    (
        Panel(
            "Threads of pools",
            "short",
            (
                Query("sum by (pool, state) (<thread_pool_threads>)", "{{pool}} {{state}}"),
                Query("sum by (pool) (<thread_pool_max>)", "{{pool}} limit"),
            ),
        ),
        Panel(
            "Calls that wait for a thread",
            "short",
            (Query("sum by (pool) (<thread_pool_queue_length>)", "{{pool}}"),),
        ),
        Panel(
            "Wait for a thread (p95)", "s", (Query(_quantile("0.95", "thread_pool_wait_seconds", "pool"), "{{pool}}"),)
        ),
        Panel(
            "Duration of functions in threads (p95)",
            "s",
            (Query(_quantile("0.95", "thread_pool_run_seconds", "pool, function"), "{{function}} in {{pool}}"),),
        ),
    ),
)

QUEUES = Row(
    "Queues",
    (
        Panel(
            "Items in queues",
            "short",
            (
                Query("sum by (queue) (<queue_length>)", "{{queue}}"),
                Query("sum by (queue) (<queue_max> < Inf)", "{{queue}} limit"),
            ),
        ),
        Panel("Unfinished items", "short", (Query("sum by (queue) (<queue_unfinished_items>)", "{{queue}}"),)),
        Panel("Time in a queue (p95)", "s", (Query(_quantile("0.95", "queue_item_seconds", "queue"), "{{queue}}"),)),
        Panel(
            "Waits for a queue (p95)",
            "s",
            (
                Query(_quantile("0.95", "queue_put_wait_seconds", "queue"), "put: {{queue}}"),
                Query(_quantile("0.95", "queue_get_wait_seconds", "queue"), "get: {{queue}}"),
            ),
        ),
    ),
)
