"""What importing the package costs: no framework, no server, no client, and a bounded time."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = ("starlette", "fastapi", "litestar", "django", "quart")
FOREIGN = (*FRAMEWORKS, "httpx", "uvicorn", "prometheus_client", "trio", "pydantic")


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", FOREIGN)
def test_importing_the_package_pulls_in_no_framework(module):
    assert _run(f"import sys, asyncmetrics; print({module!r} in sys.modules)") == "False"


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
