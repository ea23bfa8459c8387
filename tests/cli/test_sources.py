"""What a command reads: a URL, a file, standard input or a registry; and one clear line for what it cannot read."""

from __future__ import annotations

import io
import sys
from argparse import ArgumentParser, Namespace

import pytest

from asyncmetrics import REGISTRY, CollectorRegistry, Counter, start_http_server
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli.sources import add_source, load_registry, make_target, read_metrics
from asyncmetrics.errors import ScrapeError, SourceError

TEXT = "# TYPE jobs_total counter\njobs_total 3.0\n"


def _options(*arguments: str) -> Namespace:
    parser = ArgumentParser()
    add_source(parser)
    return parser.parse_args(["-", *arguments])


def _read(source: str, *arguments: str) -> str:
    read = read_metrics(source, _options(*arguments))
    assert isinstance(read, Exposition)
    return read.text


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A module ``shop_18`` in the working directory, with registries and others."""
    (tmp_path / "shop_18.py").write_text(
        "from asyncmetrics import CollectorRegistry\n"
        "class Shop:\n    registry = CollectorRegistry()\n"
        "REGISTRY, OTHER = CollectorRegistry(), 3\n"
    )
    (tmp_path / "broken_18.py").write_text("raise RuntimeError('no database')\n")
    (tmp_path / "ending_18.py").write_text("raise SystemExit\n")
    (tmp_path / "refusing_18.py").write_text("import sys\nsys.exit('no settings')\n")
    (tmp_path / "printing_18.py").write_text("print('hello')\n")
    (tmp_path / "foreign_18.py").write_text(
        "from prometheus_client import CollectorRegistry, Counter\n"
        "REGISTRY = CollectorRegistry()\nCOUNTER = Counter('jobs_total', 'Jobs.', registry=REGISTRY)\n"
    )
    (tmp_path / "package_18").mkdir()
    (tmp_path / "package_18" / "__init__.py").touch()
    (tmp_path / "folder_18").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_18")]:
        del sys.modules[name]


def test_a_file_is_read(tmp_path):
    path = tmp_path / "metrics.txt"
    path.write_text(TEXT)
    assert _read(str(path)) == TEXT


def test_a_minus_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert _read("-") == TEXT


def test_standard_input_that_is_closed_is_explained(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="^-: standard input is closed$"):
        _read("-")


def test_a_file_that_ends_with_eof_is_openmetrics(tmp_path):
    path = tmp_path / "metrics.txt"
    path.write_text("# TYPE jobs counter\njobs_total 3.0\n# EOF\n")
    read = read_metrics(str(path), _options())
    assert isinstance(read, Exposition)
    assert read.is_openmetrics


@pytest.mark.blocking
def test_a_url_is_scraped_with_the_token():
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    with start_http_server(0, registry=registry, auth="secret") as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        assert "jobs_total 3.0" in _read(url, "--token", "secret")
        with pytest.raises(ScrapeError, match=r"^cannot read http://127\.0\.0\.1:\d+/metrics: the answer is 401"):
            _read(url)


@pytest.mark.blocking
def test_a_url_is_scraped_with_basic_credentials():
    registry = CollectorRegistry()
    with start_http_server(0, registry=registry, auth=("ann", "secret")) as server:
        assert _read(f"http://127.0.0.1:{server.port}/metrics", "--user", "ann:secret") == ""


def test_a_header_is_sent():
    target = make_target("http://127.0.0.1/metrics", _options("--header", "X-Scope: a: b"))
    assert target.headers == {"X-Scope": "a: b"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--header", "X-Scope"], "expected 'NAME: VALUE', got 'X-Scope'"),
        (["--header", "X: a\r\nHost: b"], "expected 'NAME: VALUE', got"),
        (["--header", "X: €"], "expected 'NAME: VALUE', got 'X: €'"),
        (["--token", "a\nb"], "--token: expected printable ASCII characters without blanks"),
        (["--user", "ann"], "expected USER:PASSWORD"),
        (["--timeout", "soon"], "expected a number of seconds, such as 10, got 'soon'"),
        (["--timeout", "nan"], "expected a number of seconds, such as 10, got 'nan'"),
    ],
)
def test_a_wrong_option_says_what_is_expected(arguments, problem, capsys):
    with pytest.raises(SystemExit):
        _options(*arguments)
    assert problem in capsys.readouterr().err


def test_a_file_of_certificates_that_is_not_there_is_named():
    with pytest.raises(SourceError, match=r"^no/ca\.pem: there is no such file of certificates$"):
        make_target("https://127.0.0.1/", _options("--cacert", "no/ca.pem"))


def test_a_file_that_is_not_there_is_named_with_what_is_expected(shop):
    with pytest.raises(SourceError, match=r"^shop_metrics\.txt: No such file or directory; expected a URL with http"):
        _read("shop_metrics.txt")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "metrics.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match="it is not UTF-8 text"):
        _read(str(path))


@pytest.mark.parametrize("source", ["shop_18:REGISTRY", "shop_18:Shop.registry"])
def test_a_registry_of_a_module_in_the_working_directory_is_loaded(shop, source):
    registry = read_metrics(source, _options())
    module = sys.modules["shop_18"]
    assert registry in {module.REGISTRY, module.Shop.registry}


@pytest.mark.parametrize("source", ["shop_18", "shop_18:"])
def test_a_module_alone_has_the_default_registry(shop, source):
    assert read_metrics(source, _options()) is REGISTRY


def test_a_package_has_the_default_registry_though_its_folder_is_there(shop):
    assert read_metrics("package_18", _options()) is REGISTRY


def test_a_folder_that_is_no_package_cannot_be_read(shop):
    with pytest.raises(SourceError, match="^folder_18: Is a directory; expected a URL"):
        read_metrics("folder_18", _options())


def test_a_registry_of_prometheus_client_is_read(shop):
    assert load_registry("foreign_18:REGISTRY").get_sample_value("jobs_total") == 0.0


def test_what_a_module_prints_goes_to_standard_error(shop, capsys):
    load_registry("printing_18")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_file_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("asyncmetrics.cli.sources.MOST_BYTES", 1 << 20)
    with pytest.raises(SourceError, match="^/dev/zero: it is longer than 1 MiB$"):
        _read("/dev/zero")


def test_an_empty_source_is_explained():
    with pytest.raises(SourceError, match="^the source: it is an empty text; expected a URL with http"):
        _read("")


@pytest.mark.parametrize("source", ["shop/main.py:REGISTRY", "./shop/main.py:REGISTRY"])
def test_the_path_of_a_python_file_is_answered_with_the_name_of_its_module(source):
    with pytest.raises(SourceError, match=r"it is a Python file: give the name of the module, such as shop\.main:REG"):
        _read(source)


def test_a_file_is_read_even_if_a_module_has_its_name(shop):
    (shop / "shop_18").write_text(TEXT)
    assert _read("shop_18") == TEXT


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("shop_18:REGISTER", "shop_18:REGISTER: 'shop_18' has no 'REGISTER'; did you mean 'REGISTRY'?"),
        (
            "shop_18:OTHER",
            "shop_18:OTHER: expected a registry, got int; 'shop_18' alone stands for the default registry",
        ),
        ("shop_18:app", "shop_18:app: 'shop_18' has no 'app'; 'shop_18' alone stands for the default registry"),
        ("broken_18:REGISTRY", "broken_18:REGISTRY: importing 'broken_18' raises RuntimeError: no database"),
        ("ending_18", "ending_18: importing 'ending_18' ends the process by SystemExit"),
        ("refusing_18", "refusing_18: importing 'refusing_18' ends the process by SystemExit (no settings)"),
        ("foreign_18:Counter", "foreign_18:Counter: expected a registry, got the class Counter"),
        ("foreign_18:COUNTER", "foreign_18:COUNTER: expected a registry, got Counter"),
        ("no_such_18:REGISTRY", "no_such_18:REGISTRY: importing 'no_such_18' raises ModuleNotFoundError: No module"),
        (":REGISTRY", ":REGISTRY: expected a module before the colon, such as shop:REGISTRY"),
        ("..shop:REGISTRY", "..shop:REGISTRY: expected a module before the colon, such as shop:REGISTRY"),
    ],
)
def test_what_is_no_registry_is_explained(shop, source, problem):
    with pytest.raises(SourceError) as raised:
        load_registry(source)
    assert str(raised.value).startswith(problem)
