"""The command line: ``python -m asyncmetrics``.

Without a command it prints the default metrics of a new process, in the text format.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from asyncmetrics import generate_latest

__all__ = ("main",)


def main(arguments: list[str]) -> None:
    """Run the command in ``arguments``."""
    parser = argparse.ArgumentParser(
        prog="python -m asyncmetrics", description="Without a command: print the default metrics of a new process."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "prometheus-client-path",
        help="print the directory that makes `import prometheus_client` import asyncmetrics, for PYTHONPATH",
    )
    match parser.parse_args(arguments).command:
        case "prometheus-client-path":
            sys.stdout.write(f"{find_path_directory()}\n")
        case _:
            sys.stdout.write(generate_latest().decode())


def find_path_directory() -> Path:
    """Return the directory that holds a package ``prometheus_client`` of ours."""
    spec = find_spec("asyncmetrics.prometheus_client")
    if spec is None or spec.origin is None:
        raise SystemExit("asyncmetrics is not installed as files, so it has no directory for PYTHONPATH")
    return Path(spec.origin).with_name("_path")


if __name__ == "__main__":
    main(sys.argv[1:])
