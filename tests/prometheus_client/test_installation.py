"""`install`, `uninstall` and the directory for PYTHONPATH: each program runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(program: str, *arguments: str, path: str = "", check: bool = True) -> str:
    """Run a program, or the arguments of the interpreter, and return what it prints, errors included."""
    search = os.pathsep.join(filter(None, (path, str(ROOT))))
    done = subprocess.run(
        [sys.executable, *(arguments or ("-c", program))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": search},
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def directory() -> str:
    """The directory that the command prints."""
    return run("", "-m", "asyncmetrics", "prometheus-client-path").strip()


def test_install_takes_the_place_of_the_library() -> None:
    """After `install`, an import of prometheus_client and of its modules gives ours, each module once."""
    program = """
from asyncmetrics.prometheus_client import install
install()
install()
import prometheus_client, prometheus_client.openmetrics.exposition, sys
import asyncmetrics.prometheus_client.openmetrics.exposition as ours
from prometheus_client.core import CounterMetricFamily
print(prometheus_client.__name__, prometheus_client.openmetrics.exposition is ours)
print(CounterMetricFamily.__module__, sys.modules["prometheus_client.core"].__name__)
"""
    assert run(program).split() == [
        "asyncmetrics.prometheus_client",
        "True",
        "asyncmetrics.model.families",
        "asyncmetrics.prometheus_client.core",
    ]


def test_install_before_a_library_that_registers() -> None:
    """A library's metric, declared with prometheus_client, is in our default registry and on our exposition."""
    program = """
from asyncmetrics.prometheus_client import install
install()
from prometheus_client import Counter
Counter("library_calls", "Calls.").inc()
import asyncmetrics
print(b"library_calls_total 1.0" in asyncmetrics.generate_latest())
"""
    assert run(program) == "True\n"


def test_install_after_the_library_names_the_importer(tmp_path: Path) -> None:
    """The error says which module has loaded prometheus_client, and what to do."""
    (tmp_path / "metrics_of_my_library.py").write_text("from prometheus_client import Counter\n")
    program = """
import metrics_of_my_library
from asyncmetrics.prometheus_client import install
install()
"""
    printed = run(program, path=str(tmp_path), check=False)
    assert "InstallationError: prometheus_client is loaded already, by metrics_of_my_library" in printed
    assert "prometheus-client-path" in printed


def test_install_asks_no_object_of_the_program() -> None:
    """A proxy that loads settings when it is looked at is left alone, and the error names the importer."""
    program = """
import prometheus_client
class Lazy:
    def __getattribute__(self, name):
        raise RuntimeError(f"looked at {name}")
settings = Lazy()
from asyncmetrics.prometheus_client import install
install()
"""
    assert "InstallationError: prometheus_client is loaded already, by __main__" in run(program, check=False)


def test_uninstall_gives_the_library_back() -> None:
    """After `uninstall`, the next import is the library itself; a second `install` then says that it is loaded."""
    program = """
from asyncmetrics.prometheus_client import install, uninstall
install()
import prometheus_client.core as ours
uninstall()
uninstall()
import prometheus_client.core as theirs
print(ours.__name__, theirs.__name__)
try:
    install()
except ImportError as error:
    print(error.__class__.__name__)
"""
    assert run(program).split() == [
        "asyncmetrics.prometheus_client.core",
        "prometheus_client.core",
        "InstallationError",
    ]


@pytest.mark.parametrize("way", ["install", "path"])
def test_version_is_known(way: str, directory: str) -> None:
    """`importlib.metadata.version` keeps working."""
    program = "import importlib.metadata as m; print(m.version('prometheus_client'), m.version('prometheus-client'))"
    if way == "install":
        program = f"from asyncmetrics.prometheus_client import install; install(); {program}"
    first, second = run(program, path=directory if way == "path" else "").split()
    assert first == second >= "0.2"


def test_version_without_the_library() -> None:
    """Where prometheus_client is not installed, `install` provides the version that it implements."""
    program = """
import sys
from asyncmetrics.prometheus_client._installation import _FINDER
sys.path = [entry for entry in sys.path if "site-packages" not in entry]
from importlib.metadata import DistributionFinder
context = DistributionFinder.Context(name="prometheus-client")
print([found.version for found in _FINDER.find_distributions(context)])
"""
    assert run(program) == "['0.26.0']\n"


@pytest.mark.parametrize(
    "statement",
    [
        "import prometheus_client",
        "import prometheus_client.core",
        "from prometheus_client.openmetrics import exposition",
        "from prometheus_client import Counter",
    ],
)
def test_path_makes_each_import_ours(directory: str, statement: str) -> None:
    """With the directory in PYTHONPATH, any first import gives our modules."""
    program = (
        f"{statement}\nimport sys\nprint({{m.__name__ for n, m in sys.modules.items() if n.startswith('prometheus')}})"
    )
    names = eval(run(program, path=directory))  # noqa: S307  # our own program has printed it
    assert names
    assert all(name.startswith("asyncmetrics.prometheus_client") for name in names)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_path_reaches_processes_that_are_started(directory: str, method: str, tmp_path: Path) -> None:
    """A process that multiprocessing starts imports ours as well."""
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import multiprocessing

def work():
    import prometheus_client
    print(prometheus_client.__name__, flush=True)

if __name__ == "__main__":
    child = multiprocessing.get_context("{method}").Process(target=work)
    child.start()
    child.join()
"""
    )
    assert run("", str(script), path=directory) == "asyncmetrics.prometheus_client\n"


def test_uninstall_with_the_path(directory: str) -> None:
    """With the directory in PYTHONPATH, `uninstall` lasts until the next import: the directory is still there."""
    program = """
import prometheus_client
prometheus_client.uninstall()
import prometheus_client.core
print(prometheus_client.core.__name__)
"""
    assert run(program, path=directory) == "asyncmetrics.prometheus_client.core\n"


def test_bridge_refuses_while_installed() -> None:
    """The bridge to prometheus_client would read itself."""
    program = """
from asyncmetrics.prometheus_client import install
install()
from asyncmetrics.bridges.prometheus_client import AsyncmetricsCollector, PrometheusClientCollector
for bridge in (PrometheusClientCollector, AsyncmetricsCollector):
    try:
        bridge()
    except ValueError as error:
        print(error)
"""
    lines = run(program).splitlines()
    assert len(lines) == 2
    assert all("asyncmetrics.prometheus_client is installed" in line for line in lines)
