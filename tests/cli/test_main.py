"""The command line: help for every command, one line for a mistake, and the status that says which kind it is."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

import pytest

import asyncmetrics
from asyncmetrics.cli import COMMANDS, main
from tests.patience import PROGRAM_SECONDS


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "asyncmetrics", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_it_lists_all_commands(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert [name for name, text in COMMANDS.items() if f"  {name} " not in printed or text not in printed] == []


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_package(option, capsys):
    assert main([option]) == 0
    assert capsys.readouterr().out == f"asyncmetrics {asyncmetrics.__version__}\n"


def test_the_module_and_the_script_run_the_same_function():
    (script,) = entry_points(group="console_scripts", name="asyncmetrics")
    assert script.load() is main
    assert _run("--version").stdout == f"asyncmetrics {asyncmetrics.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_explains_every_argument_and_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert import_module(f"asyncmetrics.cli.{name.replace('-', '_')}").DESCRIPTION.strip().splitlines()[0] in printed
    assert f"asyncmetrics {name}" in printed.split("\n\n", 1)[1], "there is no example below the usage"


def test_the_commands_are_sorted():
    assert list(COMMANDS) == sorted(COMMANDS)


def test_an_unknown_command_is_one_line_with_a_suggestion(capsys):
    assert main(["prometheus-path"]) == 2
    error = capsys.readouterr().err
    assert error == ("asyncmetrics: there is no command 'prometheus-path'; did you mean 'prometheus-client-path'?\n")


def test_a_wrong_argument_is_one_line_that_names_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["prometheus-client-path", "--wrong"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "asyncmetrics prometheus-client-path: unrecognized arguments: --wrong; "
        "asyncmetrics prometheus-client-path --help explains the arguments\n"
    )


def test_a_reader_that_closes_the_pipe_is_no_error():
    command = f"{sys.executable} -W error -m asyncmetrics prometheus-client-path | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("arguments", ["--help", "prometheus-client-path"])
def test_a_full_disk_is_one_line(arguments):
    command = f"{sys.executable} -W error -m asyncmetrics {arguments} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    name = "asyncmetrics" if arguments == "--help" else f"asyncmetrics {arguments}"
    assert (done.returncode, done.stderr) == (1, f"{name}: No space left on device\n")


def test_closed_outputs_are_no_error():
    command = f"{sys.executable} -W error -m asyncmetrics prometheus-client-path >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0
