"""Who may read: bearer tokens, basic credentials, predicates; over ASGI, WSGI and the port of its own."""

from __future__ import annotations

from base64 import b64encode

import anyio
import httpx
import pytest

import asyncmetrics
from asyncmetrics import Counter, make_asgi_app, make_wsgi_app
from asyncmetrics.errors import DefinitionError


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def sent(authorization: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", authorization.encode())]


@pytest.fixture
def registry(registry):
    Counter("jobs", "Jobs.", registry=registry).inc()
    return registry


ADMITTED = [
    ("s3cret", "Bearer s3cret"),
    ("s3cret", "bearer   s3cret "),
    ("s3cr\u00e9t", "Bearer s3cr\u00e9t"),
    (("user", "password"), basic("user", "password")),
    (("user", "pass:w\u00f6rd"), basic("user", "pass:w\u00f6rd")),
    (("user", "password"), basic("user", "password").replace("Basic", "bAsIc")),
]
REFUSED = [
    ("s3cret", ""),
    ("s3cret", "Bearer"),
    ("s3cret", "Bearer "),
    ("s3cret", "Bearer s3cre"),
    ("s3cret", "Bearer s3crett"),
    ("s3cret", "Basic s3cret"),
    ("s3cret", "s3cret"),
    ("s3cret", "Bearer s3cret, Bearer s3cret"),
    (("user", "password"), basic("user", "Password")),
    (("user", "password"), basic("user", "")),
    (("user", "password"), basic("", "password")),
    (("user", "password"), "Basic user:password"),
    (("user", "password"), "Basic ????"),
    (("user", "password"), "Basic \u00fc"),
    (("user", "password"), "Bearer user:password"),
]


@pytest.mark.parametrize(("auth", "authorization"), ADMITTED)
def test_the_right_credentials_are_admitted(registry, ask, auth, authorization):
    assert "jobs_total 1.0" in ask(make_asgi_app(registry, auth=auth), headers=sent(authorization)).text


@pytest.mark.parametrize(("auth", "authorization"), REFUSED)
def test_others_get_401_and_learn_nothing(registry, ask, auth, authorization):
    answer = ask(make_asgi_app(registry, auth=auth), headers=sent(authorization))
    assert (answer.status, "jobs" in answer.text) == (401, False)


@pytest.mark.parametrize(
    ("auth", "challenge"),
    [("token", 'Bearer realm="metrics"'), (("user", "password"), 'Basic realm="metrics", charset="UTF-8"')],
)
def test_a_refusal_says_what_would_help(registry, ask, auth, challenge):
    assert ask(make_asgi_app(registry, auth=auth)).headers["www-authenticate"] == challenge


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "EVIL"])
def test_every_method_is_refused_alike(registry, ask, method):
    answer = ask(make_asgi_app(registry, auth="token"), method=method)
    assert answer.status == 401
    assert (answer.text == "") == (method == "HEAD")


async def _later(scope) -> bool:
    await anyio.sleep(0)
    return scope["path"] == "/open"


@pytest.mark.parametrize("predicate", [lambda scope: scope["path"] == "/open", _later])
@pytest.mark.parametrize(("path", "status"), [("/open", 200), ("/closed", 403)])
def test_a_predicate_decides_by_the_scope(registry, ask, backend, predicate, path, status):
    assert ask(make_asgi_app(registry, auth=predicate), path=path, backend=backend).status == status


def test_a_predicate_that_raises_admits_nobody_and_is_counted(registry, ask, caplog):
    answer = ask(make_asgi_app(registry, auth=lambda scope: scope["nothing"]))
    assert answer.status == 403
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exposition.auth"}) == 1


@pytest.mark.parametrize(
    "auth",
    ["", " token", "to\nken", (), ("user",), ("", "p"), ("us:er", "p"), ("user", ""), 7, ["user", "p"], ("u", 1)],
)
def test_what_can_admit_nobody_is_refused_at_once(registry, auth):
    with pytest.raises(DefinitionError, match="auth: expected"):
        make_asgi_app(registry, auth=auth)


@pytest.mark.parametrize("auth", [("us:er", "hunter2"), ("hunter2", ""), "hunter2 "])
def test_the_error_does_not_tell_the_credentials(registry, auth):
    with pytest.raises(DefinitionError) as caught:
        make_asgi_app(registry, auth=auth)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("auth", "authorization", "expected"),
    [
        ("token", "Bearer token", "200 OK"),
        ("token", "Bearer other", "401 Unauthorized"),
        (("user", "password"), basic("user", "password"), "200 OK"),
        (lambda environ: environ["PATH_INFO"] == "/metrics", "", "200 OK"),
        (lambda environ: False, "", "403 Forbidden"),
        (lambda environ: 1 / 0, "", "403 Forbidden"),
        (_later, "", "403 Forbidden"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine '_later' was never awaited")
def test_the_same_holds_under_wsgi(registry, auth, authorization, expected, caplog):
    statuses = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "HTTP_AUTHORIZATION": authorization}
    list(make_wsgi_app(registry, auth=auth)(environ, lambda status, headers: statuses.append(status)))
    assert statuses == [expected]


def test_the_same_holds_for_the_port_of_its_own(registry, start):
    url = f"http://127.0.0.1:{start(registry, auth=('user', 'password'))}/metrics"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("user", "password")).status_code == 200


def test_the_same_holds_for_an_instrumented_application(registry, serve):
    from starlette.applications import Starlette

    base = serve(asyncmetrics.instrument(Starlette(), registry=registry, auth="token"))
    assert httpx.get(f"{base}/metrics").status_code == 401
    assert httpx.get(f"{base}/metrics", headers={"authorization": "Bearer token"}).status_code == 200


def test_refusals_are_counted_as_scrapes(registry, ask):
    ask(make_asgi_app(registry, auth="token"))
    assert registry.get_sample_value("asyncmetrics_scrapes_total", {"outcome": "denied"}) == 1
