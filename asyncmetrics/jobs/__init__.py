"""What runs without requests: batch jobs, functions that run again and again, loops that must not stop, checks.

- `batch_job` measures a job that ends, and sends its metrics to a `Pushgateway` or a `TextFile`.
- `Periodic` runs a function at fixed times.
- `Heartbeat` shows that a loop still runs.
- `HealthChecks` runs checks beside the requests, exposes their results, and answers ``/ready``. `http_check` and
  `tcp_check` make checks of servers.
"""

from __future__ import annotations

from asyncmetrics.jobs.batch_jobs import BatchJob, BatchRun, batch_job
from asyncmetrics.jobs.health_checks import HealthChecks
from asyncmetrics.jobs.heartbeat import Heartbeat
from asyncmetrics.jobs.periodic import Periodic
from asyncmetrics.jobs.server_checks import http_check, tcp_check
from asyncmetrics.jobs.sinks import Pushgateway, Sink, TextFile

__all__ = (
    "BatchJob",
    "BatchRun",
    "HealthChecks",
    "Heartbeat",
    "Periodic",
    "Pushgateway",
    "Sink",
    "TextFile",
    "batch_job",
    "http_check",
    "tcp_check",
)
