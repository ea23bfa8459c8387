"""A job that ends before anybody can scrape it: it leaves a textfile for node_exporter's textfile collector.

See the three numbers that make a batch job watchable: when it last succeeded, how long it took, how much it did.
Alert on `time() - invoices_last_success_timestamp_seconds > 86400`.
"""

import sys
import tempfile
import time
from pathlib import Path

from asyncmetrics import CollectorRegistry, Gauge, write_to_textfile

registry = CollectorRegistry()  # of its own: a textfile should hold the job's numbers, not the process's
last_success = Gauge("invoices_last_success_timestamp_seconds", "When the job last ended well.", registry=registry)
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
write_to_textfile(str(target), registry)  # written beside, then renamed: a scrape never sees half a file
print(target, target.read_text(), sep="\n")
