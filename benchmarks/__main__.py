"""``python -m benchmarks [names…] [--quick] [--json PATH]``: run the benchmarks and print their tables."""

from __future__ import annotations

import argparse
import json
import pkgutil
import platform
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks._measure import FULL, QUICK, Effort, describe_problem
from benchmarks._peers import find_versions
from benchmarks._rows import Row, format_table, to_json

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_"))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks that are named; only a wrong command line gives an exit status other than 0."""
    options = _make_parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    about = _describe_run(effort)
    print(f"{about['python']} on {about['machine']}; " + ", ".join(f"{k} {v}" for k, v in about["versions"].items()))
    results = [result for name in options.names or NAMES for result in _run_benchmark(name, effort)]
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": results}, indent=1, ensure_ascii=False), encoding="utf-8")


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", type=_check_name, metavar="name", help=f"one of {', '.join(NAMES)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="run everything once over little data, as a test")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the results to this file")
    return parser


def _check_name(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"there is no benchmark {text!r}, expected one of {', '.join(NAMES)}")
    return text


def _describe_run(effort: Effort) -> dict[str, Any]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "machine": platform.platform(),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "quick": effort.quick,
        "versions": find_versions(),
    }


def _run_benchmark(name: str, effort: Effort) -> list[dict[str, Any]]:
    module = import_module(f"benchmarks.{name}")
    print(f"\n== {name} (ratio: {module.RATIO})", flush=True)
    results: list[Row] = []
    try:
        # A quick run has too little data to meet a target or to miss it.
        results.extend(replace(row, target=None) if effort.quick else row for row in module.run(effort))
    except Exception as error:  # noqa: BLE001  # one benchmark's failure must not hide the others
        print(describe_problem(error))
    print(format_table(results), flush=True)
    return [to_json(name, module.RATIO, row) for row in results]


if __name__ == "__main__":
    main()
