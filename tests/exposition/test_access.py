"""Who may read: bearer tokens, basic credentials, predicates; over ASGI, WSGI and the port of its own."""

from __future__ import annotations

from base64 import b64encode

import anyio
import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics import Counter, make_asgi_app, make_wsgi_app
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.access import Access


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
    ("voil\u00e0", "Bearer voil\u00e0"),
    ("voil\u00e0", "Bearer voil\u00e0 \t"),
    ("\u00e5ngstr\u00f6m\u00c5", "Bearer \u00e5ngstr\u00f6m\u00c5"),
    ("two  words", "Bearer two  words"),
    ("s3cret", " \tBEARER \t s3cret\t"),
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
    ("s3cret", "Bearer\u00a0s3cret"),
    ("s3cret", "Bearer s3cret\u00a0"),
    ("s3cret", "\x85Bearer s3cret"),
    ("s3cret", "Bearer\x0bs3cret"),
    ("s3cret", "Bearer s3cret\x1f"),
    ("two  words", "Bearer two words"),
    (("user", "password"), basic("user", "password") + "\u00a0"),
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


def test_a_predicate_that_raises_admits_no_client_and_is_counted(registry, ask, caplog):
    answer = ask(make_asgi_app(registry, auth=lambda scope: scope["nothing"]))
    assert answer.status == 403
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exposition.auth"}) == 1


@pytest.mark.parametrize(
    "auth",
    ["", " ", " token", "token ", "to\nken", "token\u00a0", "tok\ud800en", 7, ["user", "p"]]
    + [(), ("user",), ("", "p"), ("us:er", "p"), ("user", ""), ("u", 1), ("user", "p\n"), ("us\ter", "p")]
    + [("user", "p\x85"), ("us\ud800er", "p"), ("user", "\udfff")],
)
def test_an_option_that_can_admit_no_client_is_refused_at_once(registry, auth):
    with pytest.raises(DefinitionError, match="auth: expected"):
        make_asgi_app(registry, auth=auth)


@pytest.mark.parametrize("auth", [("us:er", "hunter2"), ("hunter2", ""), "hunter2 "])
def test_the_error_does_not_contain_the_credentials(registry, auth):
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


# Characters whose UTF-8 begins or ends with a byte that `str.strip` takes for whitespace, and any others.
LETTERS = st.characters() | st.sampled_from("\u00e0\u00c5\u0160\u2026\u00a0\u0085 \t:,?\x1f\ud800")
TEXTS = st.text(LETTERS, min_size=1, max_size=8)


def accepted(auth):
    """Return ``auth`` if the option takes it, and reject the example otherwise."""
    try:
        Access(auth)
    except DefinitionError:
        assume(False)
    return auth


TOKENS = TEXTS.map(accepted)
PAIRS = st.tuples(TEXTS, TEXTS).map(accepted)


def field(auth) -> bytes:
    """Return the Authorization header of a client that has these credentials, as UTF-8."""
    return f"Bearer {auth}".encode() if isinstance(auth, str) else basic(*auth).encode()


def status_over_asgi(auth, value: bytes) -> int:
    statuses = []
    headers = [(b"authorization", value)]
    scope = {"type": "http", "method": "HEAD", "path": "/", "query_string": b"", "headers": headers}

    async def send(message) -> None:
        statuses.append(message.get("status"))

    anyio.run(make_asgi_app(asyncmetrics.CollectorRegistry(), auth=auth), scope, anyio.sleep_forever, send)
    return statuses[0]


def status_over_wsgi(auth, value: bytes) -> int:
    statuses = []
    environ = {"REQUEST_METHOD": "HEAD", "HTTP_AUTHORIZATION": value.decode("latin-1")}
    app = make_wsgi_app(asyncmetrics.CollectorRegistry(), auth=auth)
    list(app(environ, lambda status, headers: statuses.append(status)))
    return int(statuses[0][:3])


OVER = pytest.mark.parametrize("status_over", [status_over_asgi, status_over_wsgi], ids=["asgi", "wsgi"])


@OVER
@example(auth="voil\u00e0")
@example(auth="\u00c5")
@example(auth=("\u00e0", "\u00c5\u00a0"))
@given(auth=TOKENS | PAIRS)
def test_credentials_that_the_option_takes_admit_a_client_that_sends_them(status_over, auth):
    assert status_over(auth, field(auth)) == 200


@OVER
@example(auth="voil\u00e0", other="voil\u00c3")
@example(auth="voil\u00e0", other="voil?")
@example(auth=("a", "b"), other=("a", "b "))
@given(auth=TOKENS | PAIRS, other=TOKENS | PAIRS)
def test_credentials_that_the_option_takes_admit_no_other_client(status_over, auth, other):
    assume(auth != other)
    assert status_over(auth, field(other)) == 401


@given(auth=TOKENS, value=st.binary(max_size=12))
def test_other_bytes_than_those_of_the_token_are_refused(auth, value):
    assume(value.strip(b" \t") != auth.encode())
    assert status_over_wsgi(auth, b"Bearer " + value) == 401
