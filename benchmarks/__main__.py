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
from benchmarks._measure import FULL, QUICK, Effort, problem
from benchmarks._peers import versions
from benchmarks._rows import Row, as_json, table

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_"))


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for; only a mistake on the command line makes an exit status."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    about = _about(effort)
    print(f"{about['python']} on {about['machine']}; " + ", ".join(f"{k} {v}" for k, v in about["versions"].items()))
    results = [result for name in options.names or NAMES for result in _benchmark(name, effort)]
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": results}, indent=1, ensure_ascii=False), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", type=_name, metavar="name", help=f"out of {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="run everything once over little data: proves nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="keep the results there as well")
    return parser


def _name(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"no benchmark {text!r}, only {', '.join(NAMES)}")
    return text


def _about(effort: Effort) -> dict[str, Any]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "machine": platform.platform(),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "quick": effort.quick,
        "versions": versions(),
    }


def _benchmark(name: str, effort: Effort) -> list[dict[str, Any]]:
    module = import_module(f"benchmarks.{name}")
    print(f"\n== {name} (ratio: {module.RATIO})", flush=True)
    found: list[Row] = []
    try:
        # Token data cannot meet a target, nor miss it.
        found.extend(replace(row, target=None) if effort.quick else row for row in module.run(effort))
    except Exception as error:  # noqa: BLE001  # one benchmark's failure must not hide the others
        print(problem(error))
    print(table(found), flush=True)
    return [as_json(name, module.RATIO, row) for row in found]


if __name__ == "__main__":
    main()
