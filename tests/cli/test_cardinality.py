"""``asyncmetrics cardinality``."""

from __future__ import annotations

import json

import pytest

TEXT = "# TYPE orders_total counter\n" + "".join(
    f'orders_total{{user_id="u{user}",status="{status}"}} 1\n' for user in range(100) for status in ("ok", "failed")
)


def test_metrics_and_labels_are_printed_with_their_numbers(run_command, write):
    status, out, err = run_command("cardinality", write(TEXT + "size 1\n"))
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "201 series of 2 metrics, with 2 labels",
        "",
        "series share metric",
        "200 99.5% orders_total (counter), user_id: 100, status: 2",
        "without the label user_id there are 198 fewer series",
        "1 0.5% size (untyped)",
        "",
        "values saves label, with the values of most series",
        '100 198 user_id: "u0" (2), "u1" (2), "u10" (2), …',
        '2 100 status: "failed" (100), "ok" (100)',
        "",
        "saves: the series that there would be less without the label",
    ]


def test_json_has_all_metrics_and_labels(run_command, write):
    found = json.loads(run_command("cardinality", write(TEXT), "--format", "json").out)
    assert found["series"] == 200
    assert found["metrics"][0]["labels"][0] == {
        "name": "user_id",
        "values": 100,
        "saves": 198,
        "top": [["u0", 2], ["u1", 2], ["u10", 2], ["u11", 2], ["u12", 2]],
    }
    assert [label["name"] for label in found["labels"]] == ["user_id", "status"]


def test_the_number_of_rows_is_an_option(run_command, write):
    text = "".join(f"metric{number} 1\n" for number in range(30))
    assert run_command("cardinality", write(text), "--top", 4).out.count("(untyped)") == 4


def test_nothing_has_no_series(run_command, write):
    assert run_command("cardinality", write("")) == (0, "0 series of 0 metrics, with 0 labels\n", "")


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "9" * 5000, "٣"])
def test_a_wrong_number_of_rows_is_one_line_and_the_status_2(run_command, write, number):
    status, out, err = run_command("cardinality", write(TEXT), f"--top={number}")
    assert (status, out) == (2, "")
    assert "expected a whole number from 1 on" in err


def test_hostile_texts_are_short_and_without_control_characters(run_command, write):
    text = f'{{"a\x1b[31m","l\x1b[1m"="{"v" * 10_000}\x1b"}} 1\n{{"a\x1b[31m","l\x1b[1m"="w"}} 1\n'
    out = run_command("cardinality", write(text)).out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) < 300


def test_a_broken_text_is_one_line_and_the_status_1(run_command, write):
    status, out, err = run_command("cardinality", write("a x\n"))
    assert (status, out, err.count("\n")) == (1, "", 1)
