"""Real PostgreSQL and Redis servers on sockets in a folder of their own: no port, so no race for one.

Each can be stopped and started again at the same address, with its data.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.requirements import find_program

__all__ = ("DatabaseServer", "PostgreSQL", "Redis", "run_server")


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
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(lambda: self.is_ready or self._process.poll() is not None)
        assert self._process.poll() is None, (self.folder / "log").read_text()

    def stop(self) -> None:
        """End the server and all its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # of PostgreSQL: at once, with the data written
            self._process.wait(PATIENCE_SECONDS)
            self._process = None


class Redis(DatabaseServer):
    """Redis; ``url`` is for clients."""

    @property
    def command(self) -> list[str]:
        program = find_program("redis-server")
        socket = str(self.folder / "redis.sock")
        return [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(self.folder)]

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock"

    @property
    def is_ready(self) -> bool:
        return (self.folder / "redis.sock").exists()

    def stop(self) -> None:
        super().stop()
        (self.folder / "redis.sock").unlink(missing_ok=True)


class PostgreSQL(DatabaseServer):
    """PostgreSQL. ``dsn`` is for asyncpg and psycopg; for SQLAlchemy, replace the scheme by ``postgresql+asyncpg``."""

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
        subprocess.run([*initdb, "-N"], check=True, capture_output=True, cwd=folder)

    @property
    def command(self) -> list[str]:
        program = [*self._run_as, str(self._programs / "postgres"), "-D", f"{self.folder}/data"]
        return [*program, "-c", "listen_addresses=", "-k", str(self.folder), "-c", "fsync=off"]

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/postgres?{self.query}"

    @property
    def query(self) -> str:
        return f"host={self.folder}"

    @property
    def is_ready(self) -> bool:
        asking = [str(self._programs / "pg_isready"), "-h", str(self.folder), "-q"]
        return subprocess.run(asking, check=False).returncode == 0


def _find_postgresql() -> Path:
    """Return the folder of the newest PostgreSQL's programs, which are not on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    return Path(find_program("postgres")).parent


@contextmanager
def run_server(kind: type[DatabaseServer]) -> Iterator[DatabaseServer]:
    """Run a server in a folder of its own, whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    folder.chmod(0o755)
    server: DatabaseServer | None = None
    try:
        server = kind(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
