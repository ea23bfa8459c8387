"""The labels that distinguish the metrics of one process from those of another, where no scraper adds them.

``job`` is, in this order, what the pusher was given, the environment variable ``OTEL_SERVICE_NAME``, the title of the
application, and the module of the program. ``instance`` is the name of the host and the number of the program on it,
``web-1:0``: the same after a restart, and in whichever worker pushes.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import final

from anyio import CapacityLimiter, to_thread

from asyncmetrics.storage.shared.instances import InstanceClaim, claim_instance

__all__ = ("Identity", "IdentityFinder", "find_program_name")

_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne"})
_match_application = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(.*\))?").fullmatch


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """``job`` is the name of the application; ``instance`` distinguishes its replicas, and survives a restart."""

    job: str
    instance: str

    @classmethod
    def of_process(cls) -> Identity:
        """Return the identity of this process, as the only program of this name on its host."""
        return cls(_find_service_name() or find_program_name(), f"{_read_host_name()}:0")


@final
class IdentityFinder:
    """Finds the identity of the program: ``job`` and ``instance`` are what the pusher was given, or None."""

    def __init__(self, job: str | None, instance: str | None) -> None:
        self.application = ""
        """The title of the application, if it has one."""
        self._job = job
        self._instance = instance
        self._claim: InstanceClaim | None = None

    async def find(self, group: str) -> Identity:
        """Return the identity; ``group`` is the same in all processes of this program, see `Lead.group`."""
        job = self._job or _find_service_name() or self.application or find_program_name()
        if self._instance is not None:
            return Identity(job, self._instance)
        claim = partial(self._find_number, job, group)  # it reads and writes files
        return Identity(job, f"{_read_host_name()}:{await to_thread.run_sync(claim, limiter=CapacityLimiter(1))}")

    def _find_number(self, job: str, group: str) -> int:
        if self._claim is None or not self._claim.keep(group):
            self._claim = claim_instance(job, group)
        return self._claim.number

    def release(self) -> None:
        """Let another program have the number of this one."""
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()


def find_program_name() -> str:
    """Return the module of the program: ``shop`` for ``uvicorn shop:app``, ``python -m shop``, ``python shop.py``."""
    arguments = [*sys.argv, ""]
    path = PurePath(arguments[0])
    name = path.parent.name if path.stem == "__main__" else path.stem
    if name in _SERVERS:
        found = filter(None, map(_match_application, arguments[1:]))
        name = next((application[1] for application in found), name)
    return name if name not in {"", "-c", "-"} else "python"


def _find_service_name() -> str:
    return os.environ.get("OTEL_SERVICE_NAME", "").strip()


def _read_host_name() -> str:
    import socket  # a module that programs without a pusher need not load

    return socket.gethostname()
