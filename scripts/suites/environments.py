"""What a run of a suite needs on disk: its source archive, a virtual environment, and asyncmetrics as it is shipped.

Everything is kept below one folder, and made again only if the table has changed. The only network is pip's.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.suites.table import CONSTRAINTS, Suite

__all__ = ("PIP", "Environment", "build_ours", "prepare")

_ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq")


class Environment:
    """The folder of one suite: ``venv``, and ``sources`` with the unpacked archive."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``."""
        self.folder = folder
        self.sources = folder / "sources"
        self.python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"

    def copy_sources(self, way: str) -> Path:
        """Return a fresh copy of the sources for one run: tests may write beside themselves."""
        target = self.folder / way
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.sources, target)
        return target


def prepare(name: str, suite: Suite, folder: Path, *, constraints: Path | None = CONSTRAINTS) -> Environment:
    """Return the environment of a suite in ``folder``, which is made if the table has changed since the last time.

    Raises `subprocess.CalledProcessError` if pip fails.
    """
    environment = Environment(folder / name)
    stamp = environment.folder / "stamp"
    versions = constraints.read_text(encoding="utf-8") if constraints else ""
    state = hashlib.sha256(repr((suite, sys.version_info, versions)).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != state:
        shutil.rmtree(environment.folder, ignore_errors=True)
        environment.folder.mkdir(parents=True)
        _unpack(suite, environment)
        subprocess.run((sys.executable, "-m", "venv", "--without-pip", environment.folder / "venv"), check=True)
        options = ("--constraint", str(constraints)) if constraints else ()
        subprocess.run((*PIP, "--python", environment.python, "install", *options, *suite.requirements), check=True)
        stamp.write_text(state, encoding="utf-8")
    return environment


def build_ours(folder: Path) -> Path:
    """Return a folder that holds asyncmetrics and nothing else, as its wheel installs it."""
    ours = folder / "ours"
    shutil.rmtree(ours, ignore_errors=True)
    subprocess.run((*PIP, "install", "--no-deps", "--target", ours, _ROOT), check=True)
    return ours


def _unpack(suite: Suite, environment: Environment) -> None:
    """Download the source archive of a suite, and unpack it without its top folder."""
    options = ("--no-deps", "--no-binary", suite.distribution, "--dest", environment.folder)
    subprocess.run((*PIP, "download", *options, suite.archive), check=True)
    (archive,) = (path for path in environment.folder.iterdir() if path.suffix in {".gz", ".zip"})
    unpacked = environment.folder / "unpacked"
    shutil.unpack_archive(archive, unpacked)
    (top,) = unpacked.iterdir()
    top.rename(environment.sources)
    # pytest looks for its settings in the parents as well, and must not find those of this project.
    (environment.folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for path in suite.removed:
        shutil.rmtree(environment.sources / path)
    for path in suite.made:
        (environment.sources / path).mkdir()
