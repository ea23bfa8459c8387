"""A batch job that ends before Prometheus can scrape it: it writes a file for the node exporter's textfile collector.

The second run fails. The file then says so, and still has the time of the last success. Alert on
`time() - batch_job_last_success_timestamp_seconds > 86400`.

Run it from the root of a clone::

    pip install -e .
    python examples/batch_job.py
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from asyncmetrics.jobs import TextFile, batch_job

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir())
invoices = batch_job("invoices", sink=TextFile(folder))  # Pushgateway("gateway:9091") pushes instead


@invoices
async def write_invoices(customers: int) -> None:
    """Write some invoices."""
    for customer in range(customers):
        if customer == 1000:
            raise ValueError("no address")
        await asyncio.sleep(0)
        invoices.records()


asyncio.run(write_invoices(1000))
print((folder / "invoices.prom").read_text())

try:
    asyncio.run(write_invoices(2000))
except ValueError as error:
    print("The second run fails:", error)
print((folder / "invoices.prom").read_text())
