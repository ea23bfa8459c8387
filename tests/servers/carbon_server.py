"""A real carbon-cache, Graphite's receiver and storage, in a process of its own; whisper reads its values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import find_free_port, is_listening
from tests.servers.requirements import find_program

__all__ = ("Carbon", "run_carbon")

_CONFIGURATION = """\
[cache]
STORAGE_DIR = {folder}/
LOCAL_DATA_DIR = {folder}/whisper/
CONF_DIR = {folder}/
LOG_DIR = {folder}/
PID_DIR = {folder}/
USER =
MAX_CREATES_PER_MINUTE = inf
MAX_UPDATES_PER_SECOND = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {port}
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query_port}
"""
_RETENTION = "[all]\npattern = .*\nretentions = 1s:10m\n"


# What whisper-fetch does, for many files in one process and with all digits of the values.
_FETCH = """
import json, sys, whisper
now = int(sys.argv[1])
def fetch(path):
    try:
        return repr(whisper.fetch(path, now - 1, now)[1][0])
    except OSError:
        return None
print(json.dumps([fetch(path) for path in sys.stdin.read().splitlines()]))
"""


@dataclass
class Carbon:
    """A running server: its port, and the values that it has stored."""

    port: int
    folder: Path

    def read(self, paths: Sequence[str], now: int) -> dict[str, float | None]:
        """Return the value of each path at the second ``now``, or None before it is stored."""
        interpreter = Path(find_program("whisper-fetch")).read_text().splitlines()[0].removeprefix("#!")
        files = "\n".join(str(self._find_file(path)) for path in paths)
        command = [interpreter, "-c", _FETCH, str(now)]
        done = subprocess.run(
            command, input=files, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
        )
        found = json.loads(done.stdout)
        return {path: None if text in {None, "None"} else float(text) for path, text in zip(paths, found, strict=True)}

    def _find_file(self, path: str) -> Path:
        name, *tags = path.split(";")
        digest = sha256(";".join([name, *sorted(tags)]).encode()).hexdigest()
        file = f"_tagged/{digest[:3]}/{digest[3:6]}/{digest}" if tags else path.replace(".", "/")
        return self.folder / "whisper" / f"{file}.wsp"

    def count_files(self) -> int:
        """Return how many series are stored, but for those of the server itself."""
        folder = self.folder / "whisper"
        return sum(folder / "carbon" not in path.parents for path in folder.rglob("*.wsp"))

    def read_log(self) -> str:
        """Return all that the server has logged."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@contextmanager
def run_carbon(folder: Path, port: int = 0) -> Iterator[Carbon]:
    """Run carbon-cache until the block ends, on a free port or on ``port``; what it stores is in ``folder``."""
    program = find_program("carbon-cache")
    port = port or find_free_port()
    configuration = folder / "carbon.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, query_port=find_free_port()))
    (folder / "storage-schemas.conf").write_text(_RETENTION)
    (folder / "pid").unlink(missing_ok=True)
    options = [f"--config={configuration}", f"--pidfile={folder / 'pid'}", "--nodaemon", "--debug", "start"]
    with (folder / "carbon.log").open("a") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "carbon.log").read_text()
        yield Carbon(port, folder)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
