"""``asyncmetrics check``."""

from __future__ import annotations

import pytest

OPENMETRICS = "application/openmetrics-text"


def test_a_valid_text_has_the_status_0(run_command, write):
    assert run_command("check", write("# TYPE a gauge\na 1\nb 2\n")) == (
        0,
        "text format: valid, 2 metrics with 2 samples\n",
        "",
    )


def test_a_broken_rule_is_printed_with_its_line(run_command, write):
    status, out, err = run_command("check", write("a 1\nb 1\na 2\n"))
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "text format: line 3: the lines of 'a' have to stand together: 'a 2'",
        "text format: line 3: the series occurs twice, first in line 1: 'a 2'",
    ]


def test_a_broken_line_is_printed(run_command, write):
    status, out, err = run_command("check", write("a 1\n\nb x\n"))
    assert (status, err) == (1, "")
    assert out == "text format: line 3: expected a number, got 'x': 'b x'\n"


def test_a_file_in_openmetrics_is_checked_as_such(run_command, write):
    status, out, _ = run_command("check", write("# TYPE a counter\na_total 1\nb 2\na_total 1\n# EOF\n"))
    assert status == 1
    assert out.startswith("OpenMetrics: line ")


def test_the_number_of_printed_problems_is_bounded(run_command, write):
    out = run_command("check", write("a 1\n" * 1000)).out.splitlines()
    assert len(out) == 51
    assert out[-1] == "text format: 949 more problems"


def test_a_line_of_any_length_and_with_control_characters_is_short_text(run_command, write):
    out = run_command("check", write('a{x="\x1b[31m' + "y" * 100_000 + "\n")).out
    assert len(out) < 1000
    assert "\x1b" not in out


def test_a_url_is_asked_for_both_formats(run_command, serve_text):
    url = serve_text({"text/plain": "a 1\n", OPENMETRICS: "a 1\n"})
    status, out, _ = run_command("check", url)
    assert status == 1
    assert out.splitlines()[0] == "text format: valid, 1 metrics with 1 samples"
    assert out.splitlines()[1].startswith("OpenMetrics: line 1: the last line has to be '# EOF'")


def test_a_server_with_one_format_is_valid_in_that_one(run_command, serve_text):
    assert run_command("check", serve_text({"text/plain": "a 1\n"})) == (
        0,
        "text format: valid, 1 metrics with 1 samples\nOpenMetrics: the server does not have it\n",
        "",
    )


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_page_is_no_exposition(run_command, serve_text, kind):
    status, out, err = run_command("check", serve_text({kind: ""}))
    assert (status, out) == (1, "")
    assert f"expected metrics as text/plain or {OPENMETRICS}, got '{kind}'" in err


def test_a_registry_is_written_in_both_formats(run_command, write, monkeypatch):
    path = write("from asyncmetrics import CollectorRegistry, Gauge\nOWN = CollectorRegistry()\n"
                 "Gauge('größe', 'Some text.', registry=OWN).set(1)\n", "another_shop_of_tests.py")  # fmt: skip
    monkeypatch.syspath_prepend(str(path.parent))
    status, out, _ = run_command("check", "another_shop_of_tests:OWN")
    assert (status, out.count("valid, 1 metrics with 1 samples")) == (0, 2)


def test_nothing_is_valid(run_command, write):
    assert run_command("check", write("")).status == 0
