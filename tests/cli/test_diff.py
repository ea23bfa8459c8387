"""``asyncmetrics diff``."""

from __future__ import annotations

import json

A = '# HELP a Some text.\n# TYPE a gauge\na{x="1"} 1\nb 1\n'
B = '# HELP a Other text.\n# TYPE a gauge\na{x="1"} 2\na{x="2"} 1\n'


def test_equal_sources_have_the_status_0_and_print_nothing(run_command, write):
    path = write(A)
    assert run_command("diff", path, path) == (0, "", "")


def test_differences_have_the_status_1_and_a_line_each(run_command, write):
    assert run_command("diff", write(A, "a"), write(B, "b")) == (
        1,
        '! a: help Some text. -> Other text.\n+ a{x="2"}\n- b: untyped with 1 series\n',
        "",
    )


def test_values_are_compared_on_request(run_command, write):
    out = run_command("diff", write(A, "a"), write(B, "b"), "--values").out
    assert '! a{x="1"}: value 1.0 -> 2.0\n' in out


def test_series_can_be_left_out(run_command, write):
    status, out, _ = run_command("diff", write(A, "a"), write(B, "b"), "--series", "no", "--values")
    assert (status, out) == (1, "! a: help Some text. -> Other text.\n- b: untyped with 1 series\n")


def test_json_has_both_sides(run_command, write):
    found = json.loads(run_command("diff", write(A, "a"), write(B, "b"), "--format", "json").out)
    assert found[0] == {"name": "a", "what": "help", "first": "Some text.", "second": "Other text."}
    assert found[1] == {"name": 'a{x="2"}', "what": "series", "first": None, "second": 'a{x="2"}'}


def test_what_cannot_be_read_has_the_status_2(run_command, write):
    status, out, err = run_command("diff", write(A), "nofile")
    assert (status, out) == (2, "")
    assert err.startswith("asyncmetrics diff: nofile: ")
    assert err.count("\n") == 1


def test_standard_input_can_be_one_source_only(run_command):
    status, _, err = run_command("diff", "-", "-")
    assert (status, err) == (2, "asyncmetrics diff: -: only one of the sources can be standard input\n")


def test_a_broken_source_is_named_and_has_the_status_2(run_command, write):
    broken = write("a x\n", "b")
    status, _, err = run_command("diff", write(A, "a"), broken)
    assert (status, err) == (2, f"asyncmetrics diff: {broken}: line 1: expected a number, got 'x': 'a x'\n")


def test_control_characters_are_escaped(run_command, write):
    out = run_command("diff", write("", "a"), write('# HELP a \x1b[1m\na{x="\x1b[31m"} 1\n', "b")).out
    assert "\x1b" not in out
    out = run_command("diff", write("a 1\n", "a"), write('# HELP a \x1b[1m\na{x="\x1b[31m"} 1\n', "b")).out
    assert '+ a{x="\\x1b[31m"}\n' in out
    assert "\\x1b[1m" in out
