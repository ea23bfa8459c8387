"""A batch job that ends before Prometheus can scrape it: it writes a file for node_exporter's textfile collector.

The output has the three numbers that describe a batch job: when it last succeeded, how long it took, and how much it
did. Alert on `time() - invoices_last_success_timestamp_seconds > 86400`.

Run it from the root of a clone::

    pip install -e .
    python examples/batch_job.py
"""

import sys
import tempfile
import time
from pathlib import Path

from asyncmetrics import CollectorRegistry, Gauge, write_to_textfile

registry = CollectorRegistry()  # not the default one, which also has the metrics of the process
last_success = Gauge("invoices_last_success_timestamp_seconds", "When the job last succeeded.", registry=registry)
duration = Gauge("invoices_duration_seconds", "How long the last run took.", registry=registry)
records = Gauge("invoices_records_processed", "Records of the last run.", registry=registry)


def job() -> None:
    for _ in range(1000):
        records.inc()
    time.sleep(0.05)


target = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()) / "invoices.prom"
with duration.time():
    job()
last_success.set_to_current_time()
write_to_textfile(str(target), registry)  # writes a temporary file and renames it: a scrape never reads half a file
print(target, target.read_text(), sep="\n")
