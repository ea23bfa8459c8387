"""A Celery application: its main process exposes the metrics and sends tasks, which forked processes run."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_init, worker_ready

from asyncmetrics import Counter, start_http_server

app = Celery("celery_tasks", broker="filesystem://")
folder = os.environ["CELERY_FOLDER"]
app.conf.broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": f"{folder}/control",
}
done = Counter("done_total", "Tasks done.")
by_process = Counter("by_process_total", "Tasks done, by process.", ["pid"])


@app.task(ignore_result=True)
def work() -> None:
    """Count."""
    done.inc()
    by_process.labels(str(os.getpid())).inc()


@worker_init.connect
def expose(**_: object) -> None:
    """Serve the metrics from the main process."""
    done.inc(0)
    start_http_server(int(os.environ["CELERY_PORT"]), addr="127.0.0.1")


@worker_ready.connect
def send(**_: object) -> None:
    """Send the tasks."""

    for _number in range(30):
        work.delay()
