"""The sources of `problems`, and which problems are left out."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.core import Metric
from asyncmetrics.errors import DefinitionError, ParseError, ScrapeError, SourceError
from asyncmetrics.lint import problems, read_ignored

TEXT = '# HELP aB_ms Some text.\n# TYPE aB_ms gauge\naB_ms{user_id="1"} 1\n'
CODES = ["AM010", "AM012", "AM113"]


def _codes(source, **options) -> list[str]:
    return [problem.code for problem in problems(source, **{"ignore": (), **options})]


def test_a_text_is_judged():
    assert _codes(TEXT) == CODES


def test_an_exposition_is_judged():
    assert _codes(Exposition(TEXT)) == CODES


def test_a_text_in_openmetrics_is_judged_as_such():
    text = '# TYPE aB_ms counter\n# HELP aB_ms Some text.\naB_ms_total{user_id="1"} 1\naB_ms_created{user_id="1"} 5\n'
    assert _codes(f"{text}# EOF\n") == CODES


@pytest.mark.parametrize("buckets", [(), (1, 2)])
def test_a_native_histogram_is_no_problem(registry, buckets):
    Histogram("job_seconds", "Jobs.", ["kind"], buckets=buckets, native=True, registry=registry).labels("a").observe(1)
    assert _codes(registry) == _codes(generate_latest(registry).decode()) == []


def test_a_registry_is_judged(registry):
    Gauge("aB_ms", "Some text.", ["user_id"], registry=registry).labels("1").set(1)
    assert _codes(registry) == CODES


def test_a_metric_of_a_registry_needs_no_series(registry):
    Gauge("aB_ms", "Some text.", ["user_id"], registry=registry)
    assert _codes(registry) == CODES


def test_an_empty_registry_has_no_problem(registry):
    assert problems(registry, ignore=()) == []


def test_a_registry_and_its_text_have_the_same_problems(registry):
    Counter("aB", "x", registry=registry)
    Summary("b_ms_count", "", registry=registry).observe(1)
    Histogram("c_histogram", "C histogram", ["job"], registry=registry).labels("a").observe(1)
    Info("d", "Some text.", registry=registry).info({"a": "b"})
    Enum("e_days", "Some text.", states=["on", "off"], registry=registry)
    found = problems(registry, ignore=())
    assert found == problems(generate_latest(registry).decode(), ignore=())
    assert {problem.metric for problem in found} == {"aB_total", "b_ms_count", "c_histogram", "e_days"}


def test_families_of_a_custom_collector_are_judged(registry):
    class Collector:
        def collect(self):
            family = Metric("a.percent", "Some text.", "gauge")
            family.add_sample("a.percent", {"job": "x"}, 1)
            yield family

    registry.register(Collector())
    assert _codes(registry) == ["AM111"]


def test_a_url_is_scraped_and_judged(serve):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": TEXT.encode()})

    assert _codes(serve(app)) == CODES


def test_a_url_that_nobody_serves_is_an_error():
    with pytest.raises(ScrapeError, match="cannot read http://127.0.0.1:1/metrics"):
        problems("http://127.0.0.1:1/metrics", ignore=())


def test_a_text_that_no_server_accepts_is_an_error():
    with pytest.raises(ParseError, match="line 2"):
        problems('a 1\na{b="c} 1\n', ignore=())


@given(st.text(st.sampled_from('ab \t\n\\"{}=,#:_1.eHELPTYms%/@-')))
def test_nothing_but_a_parse_error_is_raised_for_a_text(text):
    try:
        problems(text, ignore=())
    except ParseError:
        pass


def test_something_else_than_a_source_is_an_error():
    with pytest.raises(DefinitionError, match="expected a CollectorRegistry"):
        problems(7, ignore=())


def test_the_problems_are_sorted_by_metric_and_code():
    found = problems("# HELP b_ms x\n# TYPE b_ms counter\nb_ms 1\na 1\n", ignore=())
    assert [(problem.metric, problem.code) for problem in found] == [
        ("a", "AM001"),
        ("b_ms", "AM003"),
        ("b_ms", "AM012"),
    ]


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["AM010"], ["AM012", "AM113"]),
        (["AM010", " AM012 "], ["AM113"]),
        ({"AM010", "AM012"}, ["AM113"]),
        (["AM010:aB_*"], ["AM012", "AM113"]),
        (["AM010:ab_*"], CODES),
        (["*:aB_*"], []),
        ([], CODES),
    ],
)
def test_ignored_codes_and_metrics_are_left_out(ignore, left):
    assert _codes(TEXT, ignore=ignore) == left


@pytest.mark.parametrize(
    ("ignore", "message"),
    [
        (["AM999"], "got 'AM999'"),
        (["am010"], "did you mean 'AM010'"),
        (["AM010:"], "behind the colon"),
        (["*"], "behind the colon"),
        ("AM010", r"write \['AM010'\]"),
        ([7], "each a str"),
    ],
)
def test_a_wrong_ignore_is_an_error(ignore, message):
    with pytest.raises(DefinitionError, match=message):
        problems(TEXT, ignore=ignore)


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Write a pyproject.toml and work in a folder below it: ``configured(text)``."""
    below = tmp_path / "src/shop"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return lambda text: (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")


needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is in Python 3.11")


@needs_toml
def test_names_of_tables_may_be_in_quotes(configured):
    configured('["tool"."asyncmetrics"."lint"]\nignore = ["AM010"]\n')
    assert read_ignored() == ["AM010"]


@needs_toml
def test_pyproject_in_a_folder_above_leaves_problems_out(configured):
    configured('[tool.asyncmetrics.lint]\nignore = ["AM010", "AM113:aB*"]\n')
    assert _codes(TEXT, ignore=None) == ["AM012"]


@needs_toml
def test_the_argument_replaces_pyproject(configured):
    configured('[tool.asyncmetrics.lint]\nignore = ["AM010"]\n')
    assert _codes(TEXT, ignore=["AM012"]) == ["AM010", "AM113"]


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1\n", "this is not TOML"])
def test_a_pyproject_without_our_table_says_nothing(configured, text):
    configured(text)
    assert read_ignored() == []


@needs_toml
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("asyncmetrics = [", "it is not TOML"),
        ('[tool.asyncmetrics.lint]\nignore = "AM001"\n', "expected ignore to be a list of codes"),
        ("[tool.asyncmetrics.lint]\nignore = [1]\n", "expected ignore to be a list of codes"),
        ('[tool.asyncmetrics.lint]\nignored = ["AM001"]\n', "no setting 'ignored'; did you mean 'ignore'?"),
        ("[tool.asyncmetrics]\nlint = 1\n", "expected a table"),
    ],
)
def test_a_wrong_pyproject_is_an_error_that_names_the_file(configured, text, message):
    configured(text)
    with pytest.raises(SourceError, match="pyproject.toml") as caught:
        read_ignored()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("[tool.asyncmetrics.lint]\n", True),
        ("[tool.asyncmetrics]\nlint = {}\n", True),
        ("[tool]\nasyncmetrics.lint.ignore = []\n", True),
        ("[tool.other]\n", False),
        ('[project]\ndependencies = ["asyncmetrics-prometheus[cli]"]\n', False),
        ('[tool.poetry.dependencies]\nasyncmetrics-prometheus = "^1"\n# see asyncmetrics.lint\n', False),
    ],
)
def test_without_a_reader_of_toml_only_a_file_with_our_table_is_an_error(configured, monkeypatch, text, fails):
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    configured(text)
    if fails:
        with pytest.raises(SourceError, match="pip install tomli"):
            read_ignored()
    else:
        assert read_ignored() == []


def test_without_a_pyproject_nothing_is_left_out(tmp_path):
    assert read_ignored(tmp_path) == []
