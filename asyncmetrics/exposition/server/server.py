"""A thread with its own event loop that serves the connections of one listening socket.

*Rules.*

1. Let nothing that a connection does end the server (`connections`).
2. Log and count the end of the thread, if it ends without `MetricsServer.shutdown`.

*Theory of operation.*

1. The socket listens, the thread does not run. `MetricsServer.start` starts it and waits for its loop.
2. The loop runs. Connections are accepted, each served in its own task.
3. `MetricsServer.shutdown` cancels all tasks. All sockets are closed, and a Unix socket's file is removed.
4. The collectors that still run are cancelled, and have a second to end. `shutdown` returns after the thread has ended
   if they have, and at once otherwise: the thread, a daemon, ends after the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import final

import anyio
from anyio import create_task_group, to_thread

from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.listening import read_inode, remove_unix_socket
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import find_self_metrics

__all__ = ("MetricsServer",)

# A program that ends must not wait long for a collector that ignores its cancellation.
_END_SECONDS = 1.0
_log = logging.getLogger("asyncmetrics")


@final
class MetricsServer:
    """A server on a listening socket, which it owns. All methods may be called from any thread."""

    def __init__(self, listening: socket.socket, connections: Connections, registry: Collectable) -> None:
        address = listening.getsockname()
        self.server_address: tuple[str, int] | str = address if isinstance(address, str) else address[:2]
        self._inode = read_inode(address) if isinstance(address, str) else 0
        self._listening = listening
        self._connections = connections
        self._registry = registry
        self._started: Future[None] = Future()
        self._is_thread_free: Future[bool] = Future()  # set at the end: whether no collector keeps the thread
        self._stop: Callable[[], object] = listening.close
        self._thread = threading.Thread(target=self._run, name=f"asyncmetrics-port-{self.port}", daemon=True)

    @property
    def port(self) -> int:
        """The port that the server listens on, even if 0 was asked for; 0 on a Unix socket."""
        return 0 if isinstance(self.server_address, str) else self.server_address[1]

    def start(self) -> threading.Thread:
        """Start the thread that serves, and return it."""
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread left
            self._listening.close()
            raise
        self._started.result()
        return self._thread

    def shutdown(self) -> None:
        """Close every connection and the port, and wait until the thread has ended; a second call does nothing.

        A collector that ignores its cancellation is not waited for: the thread, a daemon, ends after it.
        """
        try:
            self._stop()
        except RuntimeError:  # the loop is closed already
            pass
        if self._thread.is_alive() and self._thread is not threading.current_thread() and self._is_thread_free.result():
            self._thread.join()

    close = server_close = shutdown
    server_port = port  # as the standard library's servers call it

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:  # noqa: BLE001  # `start` raises it, or it is logged and counted
            if not self._started.done():
                self._started.set_exception(error)
            else:
                _log.exception("%s: the server has ended, the metrics are no longer served", self._thread.name)
                find_self_metrics(self._registry).count_internal_error("exposition.server.thread")
            self._remove_socket()
        finally:
            self._listening.close()
            if not self._is_thread_free.done():
                self._is_thread_free.set_result(True)

    def _remove_socket(self) -> None:
        if isinstance(self.server_address, str):
            remove_unix_socket(self.server_address, self._inode)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        with self._listening:
            async with create_task_group() as tasks:
                self._stop = lambda: loop.call_soon_threadsafe(tasks.cancel_scope.cancel)
                self._started.set_result(None)
                await self._connections.accept_forever(self._listening, tasks)
        await to_thread.run_sync(self._remove_socket)
        self._is_thread_free.set_result(await _end_tasks())


async def _end_tasks() -> bool:
    """Cancel the tasks that still run, and return whether all of them have ended within a second."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    pending = (await asyncio.wait(others, timeout=_END_SECONDS))[1] if others else ()
    return not pending
