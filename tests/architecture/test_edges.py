"""The table of edges that `make matrix` prints has what the reports of the tests say, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "edges.py"
CASE = """<testcase><properties><property name="topic" value="route"/><property name="edge" value="{edge}"/>
<property name="framework" value="{framework}"/>{asserted}</properties>{outcome}</testcase>"""


@pytest.fixture
def made(tmp_path):
    """Make the table of some cases: its lines without the first two, and the exit status."""

    def make(*cases):
        report, written = tmp_path / "report.xml", tmp_path / "edges.md"
        filled = [CASE.format(**{"edge": "a 405", "asserted": "", "outcome": "", **case}) for case in cases]
        report.write_text(f"<testsuites><testsuite>{''.join(filled)}<testcase/></testsuite></testsuites>")
        command = [sys.executable, str(SCRIPT), str(written), str(report)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env={"PYTHONUTF8": "1"}, check=False)
        assert done.stdout == written.read_text(encoding="utf-8"), done.stderr
        return done.stdout.splitlines(), done.returncode

    return make


def test_versions_are_columns_in_their_order(made):
    (head, *_), _ = made(
        {"framework": "fastapi 0.9.1"}, {"framework": "starlette 1.10"}, {"framework": "starlette 1.9"}
    )
    assert head == "| topic | edge | asserted in full | starlette 1.9 | starlette 1.10 | fastapi 0.9.1 |"


@pytest.mark.parametrize(
    ("outcomes", "cell", "status"),
    [(["", "<failure/>"], "✗", 1), (["", "<skipped/>"], "✓", 0), (["<skipped/>"], "–", 0), (["<error/>", ""], "✗", 1)],
)
def test_a_cell_is_the_worst_that_came_of_an_edge(made, outcomes, cell, status):
    lines, code = made(*[{"framework": "quart 1", "outcome": one} for one in outcomes])
    assert (lines[2], code) == (f"| route | a 405 |  | {cell} |", status)


def test_where_an_edge_was_not_tried_it_is_not_applicable(made):
    lines, _ = made({"framework": "quart 1"}, {"framework": "django 5", "edge": "another"})
    assert lines[2:4] == ["| route | a 405 |  | ✓ | – |", "| route | another |  | – | ✓ |"]


def test_an_assertion_is_listed_once_in_each_wording(made):
    said = '<property name="asserted" value="{}"/>'.format
    texts = ("/x is /{y}", "/x is /&lt;y&gt;", "/x is /{y}")
    lines, _ = made(*[{"framework": "quart 1", "asserted": said(text)} for text in texts])
    assert lines[2] == "| route | a 405 | `/x is /{y}`<br>`/x is /<y>` | ✓ |"


def test_no_reports_are_no_success(made):
    assert made()[1] == 1
