"""The charts and tables of the page on performance are those of the results that are kept."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from scripts import charts

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made():
    return charts.draw_charts()


def test_the_page_is_up_to_date():
    text = charts.PAGE.read_text(encoding="utf-8")
    assert charts.update_page(text) == text, "run make charts"


@pytest.mark.parametrize("name", [f"{name}.svg" for name in charts.CHARTS])
def test_a_chart_is_up_to_date(made, name):
    assert (charts.PAGE.parent / "images" / name).read_text(encoding="utf-8") == made[name], "run make charts"


@pytest.mark.parametrize("name", [f"{name}.svg" for name in charts.CHARTS])
def test_every_chart_is_shown(name):
    assert f"(images/{name})" in charts.PAGE.read_text(encoding="utf-8")


def _ours(svg: str) -> list[str]:
    """Return the values that stand behind our bars."""
    texts = [found.text or "" for found in ET.fromstring(svg).iter(f"{SVG}text")]
    return [value for who, value in zip(texts, texts[1:], strict=False) if who == "asyncmetrics"]


def test_a_bar_has_the_best_round_of_its_row(made):
    found = {
        (row["benchmark"], row["discipline"]): row
        for row in charts.read_results()
        if row["contender"] == "asyncmetrics"
    }
    best = found["memory", "counter, 3 labels, after a scrape"]["figures"]["minimum"]
    assert _ours(made["memory.svg"])[0] == f"{best:,.0f} B"


def test_the_longest_bar_of_a_panel_is_the_largest_figure(made):
    bars = ET.fromstring(made["scrape.svg"]).findall(f"{SVG}rect")[1:]
    rows = [row for row in charts.read_results() if row["discipline"] == charts.CHARTS["scrape"].disciplines[0]]
    shown = [row for row in rows if row["contender"] not in charts.CHARTS["scrape"].left_out]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert len(widths) == len(shown)
    figures = [row["figures"]["minimum"] for row in shown]
    assert widths.index(max(widths)) == figures.index(max(figures))


def test_a_missed_target_is_shown():
    missed = [row for row in charts.read_results() if row["met"] is False]
    assert charts.PAGE.read_text(encoding="utf-8").count("**not met**") == len(missed)


def test_a_row_that_there_is_no_more_is_an_error(monkeypatch):
    monkeypatch.setitem(charts.CHARTS, "hot-path", charts.Chart("Gone", "hot_path", ("dec()",)))
    with pytest.raises(LookupError, match=r"dec\(\)"):
        charts.draw_charts()


def test_every_run_is_a_full_one_and_names_what_it_measured():
    for path in (charts.PAGE.parent / "benchmarks").glob("*.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        assert run["quick"] is False
        assert run["versions"]["prometheus_client"] != "not installed"
