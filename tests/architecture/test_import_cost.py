"""What importing the package loads: no framework, no server, no event loop, and only the rooms that metrics need.

The lists stand for the time: measured times differ from machine to machine.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = ("starlette", "fastapi", "litestar", "django", "quart")
FOREIGN = (*FRAMEWORKS, "httpx", "uvicorn", "prometheus_client", "trio", "pydantic", "anyio", "h11")
# Of the standard library, what takes milliseconds to load and a metric does not need.
HEAVY = (
    "asyncio", "concurrent.futures", "email", "gzip", "http", "json", "mmap", "multiprocessing", "socket",
    "ssl", "tempfile", "urllib.request", "zlib",
)  # fmt: skip
# The rooms that are loaded, all others at their first use.
ROOMS = (
    "asking", "children", "collectors", "context", "entries", "errors", "exposition", "formats", "interruptions",
    "loops", "metrics", "model", "registry", "storage", "timing", "typing", "version", "wrapping",
)  # fmt: skip


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def loaded():
    """The modules that ``import asyncmetrics`` loads."""
    return set(
        _run("import sys; before = set(sys.modules); import asyncmetrics; print(*{*sys.modules} - before)").split()
    )


@pytest.mark.parametrize("module", [*FOREIGN, *HEAVY])
def test_importing_the_package_does_not_load(module, loaded):
    assert module not in loaded


def test_importing_the_package_loads_the_rooms_that_metrics_need(loaded):
    rooms = {name.split(".")[1] for name in loaded if name.startswith("asyncmetrics.")}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize(
    "prefix", ["asyncmetrics.storage.shared", "asyncmetrics.exposition.server", "asyncmetrics.exposition.asgi"]
)
def test_importing_the_package_loads_no(prefix, loaded):
    assert {name for name in loaded if name.startswith(prefix)} == set()


def test_every_name_of_the_package_is_found_at_its_first_use():
    code = "import asyncmetrics as a; print(len([getattr(a, name) for name in a.__all__]) == len(set(a.__all__)))"
    assert _run(code) == "True"


def test_a_name_that_there_is_not_is_an_attribute_error():
    assert _run("import asyncmetrics as a; print(hasattr(a, 'no_such_name'), 'instrument' in dir(a))") == "False True"


def test_importing_the_package_starts_no_thread():
    assert _run("import threading, asyncmetrics; print(threading.active_count())") == "1"


def test_importing_the_package_registers_only_the_default_collectors():
    """The default registry exposes the process, the platform and the collections only."""
    names = _run("import asyncmetrics as a; print(*sorted({f.name.split('_')[0] for f in a.REGISTRY.collect()}))")
    assert set(names.split()) <= {"process", "python"}


@pytest.mark.parametrize("blocked", [*FRAMEWORKS, "uvicorn"])
def test_the_package_works_where_an_optional_one_is_missing(blocked):
    code = f"""
import sys
sys.modules[{blocked!r}] = None
import asyncmetrics
asyncmetrics.Counter("things_total", "Things.").inc()
print(b"things_total 1" in asyncmetrics.generate_latest())
"""
    assert _run(code) == "True"
