"""Where the page reads, with which credentials, what it asks of large servers, and what it does when one is down."""

from __future__ import annotations

import pytest

from tests.patience import wait_until
from tests.real.live.conftest import Upstream

pytestmark = pytest.mark.real

ONE = "apples 1\n"


@pytest.mark.parametrize(
    ("path", "metrics"),
    [
        ("/metrics/live", "/metrics"),
        ("/metrics/live/", "/metrics"),
        ("/shop/prefix/metrics/live", "/shop/prefix/metrics"),
        ("/live", "/"),
        ("//127.0.0.2/live", "//127.0.0.2"),
    ],
)
def test_the_page_reads_its_own_path_without_live(open_page, path, metrics):
    view = open_page(Upstream(ONE), path)
    assert view.upstream.requests[0]["path"] == metrics
    assert view.find("#status").inner_text() == "live"


def test_the_page_accepts_the_text_format_and_openmetrics(open_page):
    view = open_page(Upstream(ONE))
    accepted = view.upstream.read_header("accept")
    assert accepted.startswith("text/plain;version=0.0.4")
    assert "application/openmetrics-text" in accepted


def test_a_token_is_asked_for_and_kept_in_memory_alone(open_page):
    upstream = Upstream("no\n", status=401, headers={"www-authenticate": 'Bearer realm="metrics"'})

    def respond(scope):
        is_right = dict(scope["headers"]).get(b"authorization") == "Bearer geheim-ü".encode()
        upstream.status = 200 if is_right else 401
        return ONE

    upstream.respond = respond
    view = open_page(upstream)
    assert view.find("#token-form").is_visible()
    number = view.count_reads()
    view.find("#token").fill("wrong")
    view.find("#token").press("Enter")
    view.wait_for_reads(number + 1)
    assert view.find("#token-problem").inner_text() == "The server refuses this token."
    view.find("#token").fill("geheim-ü")
    view.find("#token").press("Enter")
    view.wait_for_reads(number + 2)
    assert view.find("#token-form").is_hidden()
    assert view.find("#status").inner_text() == "live"
    kept = view.page.evaluate(
        "[localStorage.length, sessionStorage.length, document.cookie, location.search, token.value]"
    )
    assert kept == [0, 0, "", "", ""]


def test_basic_credentials_are_those_of_the_browser(open_page):
    upstream = Upstream(ONE)
    view = open_page(upstream, http_credentials={"username": "anna", "password": "geheim"})
    upstream.status, upstream.headers = 401, {"www-authenticate": 'Basic realm="metrics"'}
    upstream.respond = lambda scope: ONE
    number = len(upstream.requests)
    view.read()
    sent = [dict(scope["headers"]).get(b"authorization", b"") for scope in upstream.requests[number:]]
    assert any(value.startswith(b"Basic ") for value in sent)


@pytest.mark.parametrize(
    ("status", "content_type", "text", "problem"),
    [
        (503, "text/plain", "Too many concurrent scrapes (limit 8).\n", "503: Too many concurrent scrapes (limit 8)."),
        (500, "text/html", "<h1>no</h1>", "the answer is 500."),
        (200, "text/html", "<h1>login</h1>", "the answer is text/html and no metrics"),
    ],
)
def test_a_server_that_has_no_metrics_is_named_and_the_page_goes_on(open_page, status, content_type, text, problem):
    upstream = Upstream(ONE)
    view = open_page(upstream)
    upstream.status, upstream.content_type = status, content_type
    view.read(text)
    assert view.find("#status").inner_text() == "down"
    shown = view.find("#problem").inner_text()
    assert problem in shown
    assert ".." not in shown
    assert view.list_cells("metrics")[0][0] == "apples"
    upstream.status, upstream.content_type = 200, "text/plain"
    view.read("apples 2\n", seconds=3)
    assert view.find("#status").inner_text() == "live"
    assert view.find("#problem").is_hidden()
    assert "2" in view.list_cells("metrics")[0]


def test_a_server_that_is_gone_is_down_and_the_page_stays(open_page, serving):
    upstream = Upstream(ONE)
    with serving(upstream) as base:
        view = open_page(upstream, base=base)
    view.read()
    assert view.find("#status").inner_text() == "down"
    assert "the server cannot be reached" in view.find("#problem").inner_text()
    assert view.list_cells("metrics")[0][0] == "apples"


def test_a_redirect_to_another_host_is_not_followed(open_page, serving):
    other = Upstream(ONE)
    with serving(other) as elsewhere:
        upstream = Upstream(
            "", status=302, headers={"location": f"{elsewhere}/metrics", "access-control-allow-origin": "*"}
        )
        view = open_page(upstream)
        assert view.find("#status").inner_text() == "down"
        assert other.requests == []
        view.errors.clear()  # the browser notes that its policy has refused the redirect


def _write_many(scope) -> str:
    """Return 21,000 series, or those with the names that the query has."""
    query = scope["query_string"].decode()
    families = {f"many_{number}": "".join(f'many_{number}{{n="{n}"}} 1\n' for n in range(2100)) for number in range(10)}
    families["process_open_fds"] = "# TYPE process_open_fds gauge\nprocess_open_fds 9\n"
    return "".join(text for name, text in families.items() if not query or f"={name}&" in f"{query}&")


def test_a_large_server_is_asked_by_name_and_counted_on_demand(open_page):
    view = open_page(Upstream(respond=_write_many))
    assert view.find("#facts").inner_text().startswith("21,001 series")
    view.read()
    assert view.upstream.requests[-1]["query_string"] == b"name[]=process_open_fds"
    assert "a part of 21,001 series" in view.find("#facts").inner_text()
    assert view.get_tiles()["Open files"] == "9"
    assert view.get_row("cardinality", "many_3")["series"] == "2,100"
    number = view.count_reads()
    view.find("#cardinality button:has-text('Count now')").click()
    view.wait_for_reads(number + 1)
    assert view.upstream.requests[-1]["query_string"] == b""


def test_a_metric_of_the_library_with_too_many_series_is_not_read(open_page):
    def respond(scope):
        large = "".join(f'queue_length{{queue="{n}"}} 1\n' for n in range(21_000))
        return _write_many(scope) + ("" if scope["query_string"] else large)

    view = open_page(Upstream(respond=respond))
    view.read()
    assert view.find("#status").inner_text() == "live"
    assert "not read" in view.get_row("metrics", "queue_length")["now"]


def test_a_filter_asks_a_large_server_for_what_it_finds(open_page):
    view = open_page(Upstream(respond=_write_many))
    view.find("#metrics input[type=search]").fill("many_3")
    view.read()
    assert view.upstream.requests[-1]["query_string"] == b"name[]=many_3&name[]=process_open_fds"
    view.find("#metrics .open").first.click()
    wait_until(lambda: len(view.list_cells("metrics")) > 10)


def _write_large(scope) -> str:
    query = scope["query_string"].decode()
    large = "".join(f'large{{n="{n}"}} 1\n' for n in range(21_000)) if not query or "=large&" in f"{query}&" else ""
    return f"{large}# TYPE process_open_fds gauge\nprocess_open_fds 9\n"


def test_a_metric_that_alone_is_too_large_is_read_if_it_is_wanted(open_page):
    view = open_page(Upstream(respond=_write_large))
    view.read()
    assert view.get_row("metrics", "large")["now"] == "not read"
    note = view.find("#metrics .note")
    assert note.inner_text().startswith("1 metric is not read")
    view.find("#metrics input[type=search]").fill("large")
    view.read()
    assert view.get_row("metrics", "large")["now"] == "1"
    assert view.get_tiles()["Open files"] == "9"
    assert note.inner_text() == ""


def test_a_large_server_that_cannot_filter_is_read_whole(open_page):
    view = open_page(Upstream(respond=lambda scope: _write_many({"query_string": b""})))
    view.read()
    view.read()
    assert view.upstream.requests[-1]["query_string"] == b""
    assert "a part" not in view.find("#facts").inner_text()


def test_a_page_that_is_paused_reads_nothing(open_page):
    view = open_page(Upstream(ONE))
    view.find("#pause").click()
    number = len(view.upstream.requests)
    view.page.clock.run_for(60_000)
    assert len(view.upstream.requests) == number
    assert view.find("#status").inner_text() == "paused"
    view.find("#pause").click()
    wait_until(lambda: len(view.upstream.requests) == number + 1)


def test_a_page_that_is_hidden_reads_twice_a_minute(open_page):
    view = open_page(Upstream(ONE))
    view.page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    view.read()
    number = len(view.upstream.requests)
    view.page.clock.run_for(29_000)
    assert len(view.upstream.requests) == number
    view.read(seconds=1.5)
    assert len(view.upstream.requests) == number + 1


def test_a_fault_of_the_page_itself_does_not_end_it(open_page):
    view = open_page(Upstream(ONE))
    view.page.evaluate("void (Element.prototype.matches = () => { throw new Error('fault'); })")
    view.read()
    assert "the page cannot show this text (fault)" in view.find("#problem").inner_text()
    view.errors.clear()  # the page has logged it
    number = len(view.upstream.requests)
    view.read(seconds=3)
    assert len(view.upstream.requests) == number + 1
    view.errors.clear()
