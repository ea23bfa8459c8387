"""An application whose worker starts processes of its own: ``/<way>`` starts one that counts."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from parent_tasks import count
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import instrument


def fork() -> None:
    """Count in a forked process."""
    pid = os.fork()
    if not pid:
        count()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def start(method: str) -> None:
    """Count in a process that ``multiprocessing`` starts."""
    process = multiprocessing.get_context(method).Process(target=count)
    process.start()
    process.join()
    assert process.exitcode == 0


def submit(method: str) -> None:
    """Count in a process of a pool."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
        executor.submit(count).result()


async def item(request: Request) -> Response:
    """Count in this process."""
    count()
    return PlainTextResponse(str(os.getpid()))


async def run(request: Request) -> Response:
    """Count in another process."""
    way, _, method = request.path_params["way"].partition("-")
    {"fork": lambda _: fork(), "start": start, "submit": submit}[way](method)
    return PlainTextResponse("done")


app = instrument(Starlette(routes=[Route("/items/{n:int}", item), Route("/{way}", run)]))
