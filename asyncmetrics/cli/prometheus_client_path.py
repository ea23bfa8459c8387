"""``asyncmetrics prometheus-client-path``: print the directory for ``PYTHONPATH``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from asyncmetrics.errors import SourceError

__all__ = ("DESCRIPTION", "add_arguments", "find_path_directory", "run")

DESCRIPTION = """\
Print the directory that makes `import prometheus_client` import asyncmetrics, in every process of a service:

  PYTHONPATH=$(asyncmetrics prometheus-client-path) uvicorn shop:app
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""
    del parser


def run(options: Namespace) -> int:
    """Print the directory."""
    del options
    sys.stdout.write(f"{find_path_directory()}\n")
    return 0


def find_path_directory() -> Path:
    """Return the directory that holds a package ``prometheus_client`` of ours.

    Raises `SourceError` if asyncmetrics is imported from an archive.
    """
    spec = find_spec("asyncmetrics.prometheus_client")
    if spec is None or spec.origin is None:
        raise SourceError("asyncmetrics", "it is not installed as files, so it has no directory for PYTHONPATH")
    return Path(spec.origin).with_name("_path")
