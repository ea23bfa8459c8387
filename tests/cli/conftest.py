"""Runs commands in this process: ``status, out, err = run_command("lint", path)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from asyncmetrics.cli import main


class Done(NamedTuple):
    """The exit status and the two streams of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def run_command(capsys) -> Callable[..., Done]:
    """Run a command with these arguments."""

    def run_command(*arguments: object) -> Done:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        return Done(status, *capsys.readouterr())

    return run_command


@pytest.fixture
def write(tmp_path):
    """Write a file: ``path = write("a 1\\n")``."""

    def write(text: str, name: str = "metrics.txt"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture
def serve_text(serve):
    """Serve texts by content type, the first one by default: ``url = serve_text({"text/plain": "a 1\\n"})``."""

    def serve_text(texts: dict[str, str], status: int = 200) -> str:
        async def app(scope, receive, send):
            accept = dict(scope["headers"]).get(b"accept", b"").decode()
            kind = next((kind for kind in texts if kind in accept.partition(",")[0]), next(iter(texts)))
            headers = [(b"content-type", kind.encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": texts[kind].encode()})

        return f"{serve(app)}/metrics"

    return serve_text
