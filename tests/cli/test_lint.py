"""``asyncmetrics lint``."""

from __future__ import annotations

import io
import json
import sys

import pytest

CLEAN = "# HELP a Some text.\n# TYPE a gauge\na 1\n"
WRONG = '# TYPE aB counter\naB{job="x"} 1\n'


def test_clean_metrics_have_the_status_0_and_print_nothing(run_command, write):
    assert run_command("lint", write(CLEAN)) == (0, "", "")


def test_nothing_is_clean(run_command, write):
    assert run_command("lint", write("")) == (0, "", "")


def test_problems_have_the_status_3_and_a_line_each(run_command, write):
    status, out, err = run_command("lint", write(WRONG))
    assert (status, err) == (3, "")
    assert [line.split(" ")[:2] for line in out.splitlines()] == [
        ["aB:", code] for code in ("AM001", "AM003", "AM010", "AM111")
    ]


@pytest.mark.parametrize("text", ['a{b="c} 1\n', "a 1\nb\n", "\x00\n"])
def test_a_broken_text_is_one_line_and_the_status_1(run_command, write, text):
    path = write(text)
    status, out, err = run_command("lint", path)
    assert (status, out) == (1, "")
    assert err.startswith(f"asyncmetrics lint: {path}: line ")
    assert err.count("\n") == 1


def test_a_page_is_called_one(run_command, write):
    path = write("<!DOCTYPE html>\n<p>Hello</p>\n")
    status, _, err = run_command("lint", path)
    page = "it is an HTML or XML page, and no metrics: is the path right, such as /metrics? line 1: expected"
    assert (status, err.partition(page)[0]) == (1, f"asyncmetrics lint: {path}: ")


@pytest.mark.parametrize("source", ["http://127.0.0.1:1/metrics", "127.0.0.1:1", "nofile.txt", "nomodule:REGISTRY"])
def test_what_cannot_be_read_is_one_line_and_the_status_1(run_command, source):
    status, out, err = run_command("lint", source)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert source in err


@pytest.mark.parametrize("arguments", [(), ("-", "--format", "xml"), ("-", "--ignored", "AM001")])
def test_wrong_arguments_have_the_status_2(run_command, arguments):
    status, out, err = run_command("lint", *arguments)
    assert (status, out) == (2, "")
    assert "--help explains the arguments" in err


def test_json_has_every_field(run_command, write):
    status, out, _ = run_command("lint", write(WRONG), "--format", "json")
    found = json.loads(out)
    assert status == 3
    assert found[-1] == {
        "metric": "aB",
        "code": "AM111",
        "text": "the label 'job' is one that the server adds",
        "advice": "give it another name: the server adds its own job, and renames this one to exported_job",
        "label": "job",
    }


def test_json_without_a_problem_is_an_empty_list(run_command, write):
    status, out, _ = run_command("lint", write(CLEAN), "--format", "json")
    assert (status, json.loads(out)) == (0, [])


def test_github_annotations_are_single_lines_whose_texts_are_escaped(run_command, write):
    hostile = 'a{"x%0A::error::y"="1","job"="1"} 1\n'
    out = run_command("lint", write(hostile + "# HELP a 100 %\n"), "--format", "github").out
    assert out == (
        "::warning title=AM111::a: the label 'job' is one that the server adds; give it another name: the server adds "
        "its own job, and renames this one to exported_job\n"
    )


def test_a_name_cannot_begin_another_annotation(run_command, write):
    out = run_command("lint", write('{"a%0A\\n::error::b"} 1\n'), "--format", "github").out
    assert [line.partition("::")[0] for line in out.splitlines()] == [""] * len(out.splitlines())
    assert "%250A\\n::error" in out


def test_control_characters_of_a_name_are_escaped(run_command, write):
    out = run_command("lint", write('{"a\x1b[31m\u202e"} 1\n')).out
    assert out.startswith("a\\x1b[31m\\u202e: AM001 ")


def test_control_characters_of_a_refusal_are_escaped(run_command, serve_text):
    err = run_command("lint", serve_text({"text/plain": "\x1b]0;title\x07 no"}, status=403)).err
    assert "403" in err
    assert "\\x1b]0;title\\x07 no" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["AM001,AM003, AM010"], ["AM111"]),
        (["AM001", "AM003:aB", "AM010:x*"], ["AM010", "AM111"]),
        (["*:a*"], []),
    ],
)
def test_ignored_codes_are_left_out(run_command, write, ignore, left):
    options = [part for codes in ignore for part in ("--ignore", codes)]
    status, out, _ = run_command("lint", write(WRONG), *options)
    assert [line.split(" ")[1] for line in out.splitlines()] == left
    assert status == (3 if left else 0)


def test_an_unknown_code_is_one_line(run_command, write):
    status, out, err = run_command("lint", write(WRONG), "--ignore", "AM01")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "got 'AM01'; did you mean 'AM" in err


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is in Python 3.11")
def test_pyproject_and_the_option_add_up(run_command, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write('[tool.asyncmetrics.lint]\nignore = ["AM001", "AM111"]\n', "pyproject.toml")
    out = run_command("lint", write(WRONG), "--ignore", "AM003").out
    assert [line.split(" ")[1] for line in out.splitlines()] == ["AM010"]


def test_the_rules_of_promtool_alone(run_command, write):
    out = run_command("lint", write(WRONG), "--promtool").out
    assert [line.split(" ")[1] for line in out.splitlines()] == ["AM001", "AM003", "AM010"]


def test_settings_that_nothing_can_read_are_a_warning(run_command, write, monkeypatch):
    path = write(WRONG)
    write('[tool.asyncmetrics.lint]\nignore = ["AM001"]\n', "pyproject.toml")
    monkeypatch.chdir(path.parent)
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    status, out, err = run_command("lint", path)
    assert (status, len(out.splitlines())) == (3, 4)
    assert err.startswith("asyncmetrics lint: warning: its ignore is not applied: ")
    assert err.endswith("on Python 3.10 this file is read by the package tomli: pip install tomli\n")


def test_standard_input_is_read(run_command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WRONG.encode())))
    assert run_command("lint", "-").status == 3


def test_a_url_is_read(run_command, serve_text):
    url = serve_text({"text/plain": WRONG})
    assert run_command("lint", url).status == 3
    assert run_command("lint", url.removeprefix("http://")).status == 3


def test_a_registry_of_a_module_is_read(run_command, write, monkeypatch):
    path = write(
        "from asyncmetrics import CollectorRegistry, Gauge\n"
        "OWN = CollectorRegistry()\n"
        "Gauge('wait_ms', 'Time of waiting.', registry=OWN)\n",
        "a_shop_of_tests.py",
    )
    monkeypatch.syspath_prepend(str(path.parent))
    status, out, _ = run_command("lint", "a_shop_of_tests:OWN")
    assert (status, out.split(":")[0]) == (3, "wait_ms")


def test_the_help_explains_the_exit_status(run_command):
    status, out, _ = run_command("lint", "--help")
    assert status == 0
    assert "Exit status: 0 without a problem, 3 with problems" in out


def test_a_terminal_of_another_encoding_gets_escapes(write, monkeypatch):
    from asyncmetrics.cli import main

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["lint", str(write('{"größe"} 1\n'))]) == 3
    assert raw.getvalue().startswith(b"gr\\xf6\\xdfe: AM001")
