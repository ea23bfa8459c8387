"""`StatsDServer`: receives lines of StatsD, and exposes them as metrics of a registry."""

from __future__ import annotations

import logging
import os
import socket
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, final

from asyncmetrics.bridges.statsd_server.config import read_table
from asyncmetrics.bridges.statsd_server.lines import Lines
from asyncmetrics.bridges.statsd_server.mapper import Mapper
from asyncmetrics.bridges.statsd_server.minting import Limits, Mint
from asyncmetrics.bridges.statsd_server.outcomes import Outcomes
from asyncmetrics.bridges.statsd_server.receiving import Receiver
from asyncmetrics.bridges.statsd_server.sets import Sets
from asyncmetrics.bridges.statsd_server.sockets import Address, UdpAddress, UnixAddress
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import detach
from asyncmetrics.metrics import Gauge
from asyncmetrics.model.checks import (
    check_limit,
    check_path,
    check_seconds,
    check_text,
    list_texts,
    make_refusal,
    suggest_int,
)
from asyncmetrics.model.names import check_label_names, check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.self_metrics import get_self_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncmetrics.bridges.statsd_server.session import Session

__all__ = ("StatsDServer",)

_log = logging.getLogger("asyncmetrics")
_BUFFER_BYTES = 8 * 2**20  # of the kernel, which allows less by default: net.core.rmem_max


@final
class StatsDServer:
    """Receive lines of StatsD, DogStatsD and their dialects on a port, as metrics of ``registry``.

    - ``port``, ``host``: the UDP port, 0 for a free one, and the address; only this machine reaches the default.
    - ``path``: a Unix socket instead, which only the user of this process may write to.
    - ``mapping``: names and labels, as statsd_exporter has them: dicts, or the path of a file of JSON or YAML.
    - ``tags``: the tags that become labels; others are left out. By default the first line of a metric decides.
    - ``namespace``: the beginning of all names.
    - ``max_names``, ``max_children``: how many metrics there may be, and how many series of each.
    - ``max_set_members``: how many members all sets together may have in an interval of ``set_interval`` seconds.
    - ``max_line_bytes``, ``max_queued_bytes``: the longest line, and how much may wait to be read.
    - ``shutdown_timeout``: the seconds that `stop` waits for what has arrived to be taken.

    Of several processes one has the port. The others try to get it once a second, and take over when it ends.

    Raises `DefinitionError` for a wrong option or mapping, also for a file that cannot be read.
    """

    def __init__(
        self,
        port: int = 8125,
        *,
        host: str = "127.0.0.1",
        path: str | os.PathLike[str] | None = None,
        mapping: Mapping[str, object] | Sequence[Mapping[str, object]] | str | os.PathLike[str] | None = None,
        tags: Iterable[str] | None = None,
        registry: CollectorRegistry = REGISTRY,
        namespace: str = "",
        max_names: int = 1000,
        max_children: int = 1000,
        max_set_members: int = 100_000,
        set_interval: float = 10.0,
        max_line_bytes: int = 4096,
        max_queued_bytes: int = 8 * 2**20,
        shutdown_timeout: float = 5.0,
    ) -> None:
        self._address = _check_address(port, host, path)
        limits = Limits(max_names, max_children, max_set_members, max_line_bytes, max_queued_bytes)
        _check_options(registry, namespace, limits, set_interval, shutdown_timeout)
        names = None if tags is None else check_label_names("tags", list_texts("tags", tags, "names of tags"))
        self._registry = registry
        self._sets = Sets(max_set_members)
        self._set_interval = set_interval
        self._shutdown_timeout = shutdown_timeout
        outcomes = Outcomes(registry)
        mint = Mint(registry, Mapper(read_table(mapping)), self._sets, limits, namespace, names)
        lines = Lines(mint, outcomes, max_line_bytes)
        self._make_receiver = partial(Receiver, lines=lines, outcomes=outcomes, max_queued_bytes=max_queued_bytes)
        self._listening = _declare_listening(registry)
        self._port = 0 if path is not None else port
        self._is_listening = False
        self._session: Session | None = None

    @property
    def port(self) -> int:
        """The UDP port, even if 0 was asked for; 0 with a Unix socket."""
        return self._port

    @property
    def is_listening(self) -> bool:
        """Whether this server has the port. Otherwise it was not started, or another process has it."""
        return self._is_listening

    async def start(self) -> None:
        """Begin to receive, or to wait until another process releases the port. Does nothing if it runs.

        Raises `OSError` if the address cannot be used.
        """
        if self._session is not None:
            return
        # 60 ms, if the program has not imported anyio.
        from anyio import CancelScope, to_thread

        from asyncmetrics.bridges.statsd_server.session import Session

        opened = None
        with CancelScope(shield=True):
            opened = await to_thread.run_sync(self._address.open)
        if opened is None:
            _log.warning("StatsDServer: another process has %s; this one tries to get it once a second", self._address)
        else:
            self._use_socket(opened)
        session = Session(self._address, opened, self._make_receiver, self._sets, self._set_interval, self._use_socket)
        self._session = session
        session.cancel = detach(partial(self._run, session), session.ended.set)

    async def stop(self) -> None:
        """Take what has arrived, for ``shutdown_timeout`` seconds at most, and release the port."""
        from anyio import CancelScope, move_on_after

        session, self._session = self._session, None
        if session is None:
            return
        with CancelScope(shield=True):
            session.stop()
            with move_on_after(self._shutdown_timeout):
                await session.ended.wait()
            if not session.ended.is_set():
                _log.warning("StatsDServer: lines that have arrived are lost, as shutdown_timeout is over")
                session.cancel()
                await session.ended.wait()

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except Exception as error:  # noqa: BLE001  # nothing that is received ends the application
            pass_interruption(error)
            get_self_metrics(self._registry).count_internal_error("statsd_server")

    def _use_socket(self, opened: socket.socket | None) -> None:
        self._is_listening = opened is not None
        self._listening.set(float(self._is_listening))
        if opened is not None and opened.family != socket.AF_UNIX:
            self._port = opened.getsockname()[1]

    async def __aenter__(self) -> StatsDServer:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"StatsDServer({str(self._address)!r})"


def _check_options(
    registry: object, namespace: object, limits: Limits, set_interval: object, shutdown_timeout: object
) -> None:
    check_full_registry(registry)
    check_namespace(namespace)
    for argument, limit in limits._asdict().items():
        check_limit(argument, limit)
    check_seconds("set_interval", set_interval)
    check_seconds("shutdown_timeout", shutdown_timeout)


def _declare_listening(registry: CollectorRegistry) -> Gauge:
    return Gauge(
        "asyncmetrics_statsd_listening",
        "Whether this process receives lines of StatsD; another one may have the port.",
        registry=registry,
        multiprocess_mode="livesum",
        exist_ok=True,
    )


def _suggest_port(port: object) -> str:
    host, separator, number = port.rpartition(":") if isinstance(port, str) else ("", "", "")
    if separator and number.isdecimal():
        return f"write port={int(number)}, host={host!r}"
    return suggest_int(port)


def _check_address(port: object, host: object, path: object) -> Address:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65_535:
        raise make_refusal("port", "a port from 0 to 65535, as an int", port, _suggest_port(port))
    check_text("host", host, "127.0.0.1")
    if path is None:
        return UdpAddress(str(host), port, _BUFFER_BYTES)
    check_path("path", path)
    return UnixAddress(os.fspath(path), _BUFFER_BYTES)  # type: ignore[call-overload]  # `check_path` has checked it
