"""An application whose event loops are measured; ``/block?until=FILE`` blocks the loop until the file exists."""

from __future__ import annotations

import os
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import Gauge, instrument

process_id = Gauge("process_id", "The process of a worker.", multiprocess_mode="all")


async def item(_: Request) -> Response:
    """Answer with the id of this process."""
    process_id.set(os.getpid())
    return PlainTextResponse(str(os.getpid()))


def wait_for_file(path: Path) -> None:
    """Block the thread."""
    while not path.exists():
        time.sleep(0.01)


async def block(request: Request) -> Response:
    """Block the event loop."""
    wait_for_file(Path(request.query_params["until"]))
    return PlainTextResponse("done")


routes = [Route("/items/{n:int}", item), Route("/block", block)]
app = instrument(Starlette(routes=routes), runtime=True, worker_label=True)
