"""Real PostgreSQL and Redis servers for tests, benchmarks and examples, on sockets in folders of their own.

A socket in a folder is no port, so there is no race for one. Each server can be stopped and started again at the same
address, with its data. Its programs come from Debian's packages ``postgresql`` and ``redis-server``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

__all__ = ("DatabaseServer", "PostgreSQL", "Redis", "run_server")

S = TypeVar("S", bound="DatabaseServer")

_SECONDS = 120  # to start or to end


class DatabaseServer(ABC):
    """A server that keeps its data and its socket in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server."""

    @property
    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers."""

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)  # noqa: S603  # no input of a user
        deadline = time.monotonic() + _SECONDS
        while not self.is_ready:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"{type(self).__name__} does not answer: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and all its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # of PostgreSQL: at once, with the data written
            try:
                self._process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class Redis(DatabaseServer):
    """Redis; ``url`` is for clients."""

    @property
    def command(self) -> list[str]:
        """The command that runs the server."""
        program = _find("redis-server")
        socket = str(self.folder / "redis.sock")
        return [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(self.folder)]

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"unix://{self.folder}/redis.sock"

    @property
    def is_ready(self) -> bool:
        """Whether the server answers."""
        return (self.folder / "redis.sock").exists()

    def stop(self) -> None:
        """End the server and all its connections."""
        super().stop()
        (self.folder / "redis.sock").unlink(missing_ok=True)


class PostgreSQL(DatabaseServer):
    """PostgreSQL; ``dsn`` is for asyncpg and psycopg; for SQLAlchemy, replace the scheme by ``postgresql+asyncpg``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._programs = _find_postgresql()
        self._run_as: list[str] = []
        if os.getuid() == 0:  # which PostgreSQL refuses
            shutil.chown(folder, "postgres", "postgres")
            self._run_as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        initdb = [
            *self._run_as,
            str(self._programs / "initdb"),
            "-D",
            f"{folder}/data",
            "-A",
            "trust",
            "-U",
            "postgres",
        ]
        subprocess.run([*initdb, "-N"], check=True, capture_output=True, cwd=folder)  # noqa: S603  # as above

    @property
    def command(self) -> list[str]:
        """The command that runs the server."""
        program = [*self._run_as, str(self._programs / "postgres"), "-D", f"{self.folder}/data"]
        return [*program, "-c", "listen_addresses=", "-k", str(self.folder), "-c", "fsync=off"]

    @property
    def dsn(self) -> str:
        """The address for clients."""
        return f"postgresql://postgres@/postgres?{self.query}"

    @property
    def query(self) -> str:
        """The part of the address that has the folder of the socket."""
        return f"host={self.folder}"

    @property
    def is_ready(self) -> bool:
        """Whether the server answers."""
        asking = [str(self._programs / "pg_isready"), "-h", str(self.folder), "-q"]
        return subprocess.run(asking, check=False).returncode == 0  # noqa: S603  # as above


def _find_postgresql() -> Path:
    """Return the folder of the newest PostgreSQL's programs, which are not on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    return Path(_find("postgres")).parent


def _find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"{program} is not on the PATH")
    return path


@contextmanager
def run_server(kind: type[S]) -> Iterator[S]:
    """Run a server in a folder of its own, whose path is short enough for a socket.

    Raises FileNotFoundError if its programs are not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    folder.chmod(0o755)
    server: S | None = None
    try:
        server = kind(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
