"""The command line: ``asyncmetrics``, or ``python -m asyncmetrics``.

`COMMANDS` is the table of the commands. To add one, add its line there and a module with

* ``DESCRIPTION``: a text for ``--help``, which explains the command in full and has examples;
* ``add_arguments(parser)``: its arguments. `sources` has those of every command that reads metrics;
* ``run(options) -> int``: do it, write to standard output and return the exit status.

A command raises an error of `asyncmetrics.errors` for what the user can mend. It becomes one line on standard error,
and the exit status 1. A wrong argument has the exit status 2. Print what a server has sent by `printing.show_text`.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import StringIO, TextIOWrapper, UnsupportedOperation
from typing import Any, NoReturn

from asyncmetrics.cli.sources import explain_parse_error
from asyncmetrics.errors import MetricsError, ParseError, show_text, suggest
from asyncmetrics.version import __version__

__all__ = ("COMMANDS", "main")

COMMANDS: dict[str, str] = {
    "cardinality": "count series by metric and label, and find the labels that make most of them",
    "check": "hold an exposition to every rule of the text format and of OpenMetrics",
    "dashboard": "print a dashboard of Grafana for what an application declares",
    "diff": "compare the metrics, types, help texts, labels and series of two sources",
    "lint": "find what is wrong with the names, labels and help texts of metrics",
    "live": "show the metrics of a URL in the browser, as they change",
    "prometheus-client-path": "print the directory that makes `import prometheus_client` import asyncmetrics",
    "rules": "print recording rules and alerts for Prometheus, for the metrics and objectives of an application",
    "top": "show a live table of the metrics of any exporter",
}
"""What each command does, by its name. Its module has the same name, with ``_`` for ``-``."""

_LONGEST_PROBLEM = 4000  # characters of an error, which may quote a server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in ``arguments``, those of the process by default, and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as in `>&-`
            setattr(sys, name, StringIO())
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of another encoding must not end the command
    owner = "asyncmetrics"
    try:
        if not given or given[0] in {"-h", "--help"}:
            _write(_describe_commands())
            return 0
        if given[0] in {"-V", "--version"}:
            _write(f"asyncmetrics {__version__}\n")
            return 0
        name, *rest = given
        if name not in COMMANDS:
            advice = suggest(name, COMMANDS) or "; asyncmetrics --help lists all commands"
            return _fail(owner, f"there is no command {name!r}{advice}", 2)
        owner = f"asyncmetrics {name}"
        return _run(name, rest)
    except MetricsError as error:
        return _fail(owner, str(error), 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # its reader has enough, as in `| head`
        _abandon_output()
        return 0
    except OSError as error:  # such as a full disk behind `>`
        _abandon_output()
        return _fail(owner, ": ".join(filter(None, (error.filename, error.strerror or str(error)))), 1)


def _abandon_output() -> None:
    """Keep the interpreter from writing to standard output once more at its end, and from failing again."""
    with suppress(UnsupportedOperation):  # no file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(name: str, arguments: list[str]) -> int:
    module: Any = import_module(f"asyncmetrics.cli.{name.replace('-', '_')}")
    parser = _Parser(
        prog=f"asyncmetrics {name}", description=module.DESCRIPTION, formatter_class=RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        status: int = module.run(options)
    except ParseError as error:  # it knows the line, and not the source
        raise explain_parse_error(options.source, error) from error
    sys.stdout.flush()
    return status


class _Parser(ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help explains the arguments\n")


def _describe_commands() -> str:
    width = max(map(len, COMMANDS))
    lines = "".join(f"  {name:{width}}  {text}\n" for name, text in COMMANDS.items())
    return (
        "usage: asyncmetrics COMMAND [ARGUMENTS]\n\nRead, check and show the metrics of an application.\n\n"
        f"commands:\n{lines}\n"
        "asyncmetrics COMMAND --help explains one command; asyncmetrics --version prints the version.\n"
    )


def _fail(owner: str, problem: str, status: int) -> int:
    sys.stderr.write(f"{owner}: {show_text(' '.join(problem.split()), _LONGEST_PROBLEM)}\n")
    return status


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
