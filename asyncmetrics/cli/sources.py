"""Where a command reads metrics: a URL, a file, ``-`` for standard input, or ``module:registry``."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from base64 import b64encode
from collections.abc import Collection
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from asyncmetrics.bridges.prometheus_client import PrometheusClientCollector, TheirRegistry
from asyncmetrics.bridges.scraping import MOST_BYTES, TEXT_FIRST, Exposition, Target
from asyncmetrics.errors import ParseError, SourceError, suggest
from asyncmetrics.model.escaping import ALLOW_UTF_8
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.registry.refusals import is_of_prometheus_client

__all__ = (
    "add_native",
    "add_source",
    "add_url",
    "explain_parse_error",
    "find_natives",
    "is_url",
    "load_registry",
    "make_target",
    "read_exposition",
    "read_metrics",
)

_EXPECTED = "expected a URL with http://, a file, or module[:registry]"
_HOST_AND_PORT = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/|$)")


def add_url(parser: ArgumentParser) -> None:
    """Add the argument ``url`` and the options of a request."""
    parser.add_argument("url", metavar="URL", help="where the metrics are, such as http://127.0.0.1:8000/metrics")
    _add_request_options(parser)


def add_source(parser: ArgumentParser, *names: str) -> None:
    """Add arguments of a URL, a file or a registry, ``source`` by default, and the options of a request."""
    for name in names or ("source",):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a URL, a file, - for standard input, or module[:registry], such as shop.main:REGISTRY",
        )
    _add_request_options(parser)


def _add_request_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("options of the request")
    group.add_argument(
        "--header",
        action="append",
        default=[],
        type=_parse_header,
        metavar="'NAME: VALUE'",
        help="send this header too",
    )
    group.add_argument("--token", metavar="TOKEN", type=_parse_token, help="send this bearer token")
    group.add_argument("--user", metavar="USER:PASSWORD", type=_parse_user, help="send these basic credentials")
    group.add_argument("--cacert", metavar="FILE", help="trust these certificates (PEM) in addition")
    group.add_argument(
        "--timeout",
        type=_parse_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long the answer may take (default: 10)",
    )


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not _is_latin(text):
        raise ArgumentTypeError(f"expected 'NAME: VALUE', got {text!r}")
    return name.strip(), value.strip()


def _is_latin(text: str) -> bool:
    """Return whether HTTP can send ``text`` in a header."""
    return all(char <= "\xff" for char in text)


def _parse_token(text: str) -> str:
    if not text or not text.isprintable() or not text.isascii() or " " in text:  # the message must not have the token
        raise ArgumentTypeError("expected printable ASCII characters without blanks")
    return text


def _parse_user(text: str) -> str:
    if ":" not in text:
        raise ArgumentTypeError("expected USER:PASSWORD")
    return text


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise ArgumentTypeError(f"expected a number of seconds, such as 10, got {text!r}")
    return seconds


def is_url(text: str) -> bool:
    """Return whether ``text`` is meant as a URL: ``localhost:8000`` too, as no name begins with a digit."""
    return text.lower().startswith(("http://", "https://")) or _HOST_AND_PORT.match(text) is not None


def make_target(url: str, options: Namespace) -> Target:
    """Return the target of ``url``, with the options of the command. Raises `SourceError` for an unreadable file."""
    headers = dict(options.header)
    if options.token:
        headers["Authorization"] = f"Bearer {options.token}"
    if options.user:
        credentials = options.user.encode("utf-8", "surrogateescape")  # as it was given, if that is no UTF-8
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    if options.cacert and not Path(options.cacert).is_file():
        raise SourceError(options.cacert, "there is no such file of certificates")
    return Target(url if "://" in url else f"http://{url}", headers, options.cacert, options.timeout)


def read_exposition(source: str, options: Namespace, accept: str = TEXT_FIRST) -> Exposition:
    """Return the exposition at a URL, in a file or of standard input.

    Raises `ScrapeError` for a URL and `SourceError` for a file that cannot be read.
    """
    if is_url(source):
        return make_target(source, options).scrape(accept=accept)
    try:
        text = _read_bytes(source).decode("utf-8")
    except SourceError:  # which is an OSError too
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 text: {error}"
        raise SourceError(source, f"{reason}; {_EXPECTED}") from error
    return Exposition.from_text(text)


def _read_bytes(source: str) -> bytes:
    """Return what a file or standard input has. Raises `SourceError` for what is no exposition at first sight."""
    if not source:
        raise SourceError("the source", f"it is an empty text; {_EXPECTED}")
    module, suffix, rest = source.partition(".py")
    if suffix and rest[:1] in {"", ":"}:
        name = ".".join(part for part in Path(module).parts if part.isidentifier())
        raise SourceError(source, f"it is a Python file: give the name of the module, such as {name}{rest}")
    if source == "-" and sys.stdin is None:
        raise SourceError(source, "standard input is closed")
    if source == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with Path(source).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise SourceError(source, f"it is longer than {MOST_BYTES >> 20} MiB")
    return data


def read_metrics(source: str, options: Namespace) -> Exposition | CollectorRegistry:
    """Return the exposition at a URL or in a file, or the registry that `load_registry` finds.

    A file takes precedence over a module of its name.
    """
    module, colon, path = source.partition(":")
    is_named = _is_dotted(module) and (not path or _is_dotted(path)) and (bool(colon) or _is_importable(module))
    if is_named and not is_url(source) and not _is_file(source):
        return load_registry(source)
    return read_exposition(source, options)


def add_native(parser: ArgumentParser) -> None:
    """Add the option ``--native``, which `find_natives` reads."""
    parser.add_argument(
        "--native",
        action="store_true",
        help="query the native histograms of the source instead of the classic ones beside them (of a file: all)",
    )


def find_natives(source: str, options: Namespace, escaping: str = ALLOW_UTF_8) -> bool | Collection[str]:
    """Return whether native histograms are asked for; of a URL, which it has. Raises `ScrapeError`."""
    wanted: bool = options.native
    return make_target(source, options).find_natives(escaping) if wanted and is_url(source) else wanted


def explain_parse_error(source: str, error: ParseError) -> SourceError:
    """Return the error for a source with a broken text: it names the source, and says so if the text is a page."""
    is_page = error.line_number == 1 and error.line.lstrip().lower().startswith(("<!doctype", "<html", "<?xml"))
    hint = "it is an HTML or XML page, and no metrics: is the path right, such as /metrics? " if is_page else ""
    return SourceError(source, f"{hint}{error}")


def load_registry(source: str) -> CollectorRegistry:
    """Import the module of ``module:registry``, and return the registry; ``module`` alone has the default one.

    The current directory is searched for the module too. A registry of prometheus_client is read through the bridge.
    What the module prints while it is imported goes to standard error. Raises `SourceError`.
    """
    module_name, _, path = source.partition(":")
    if not _is_dotted(module_name):
        raise SourceError(source, "expected a module before the colon, such as shop:REGISTRY")
    _search_working_directory()
    try:
        with redirect_stdout(sys.stderr):  # standard output is the command's, and may be JSON
            found: object = import_module(module_name)
    except SystemExit as error:
        detail = "" if error.code is None else f" ({error.code})"
        raise SourceError(source, f"importing {module_name!r} ends the process by SystemExit{detail}") from error
    except Exception as error:
        raise SourceError(source, f"importing {module_name!r} raises {type(error).__name__}: {error}") from error
    default = f"; {module_name!r} alone stands for the default registry"
    for name in path.split(".") if path else ():
        if not hasattr(found, name):
            raise SourceError(source, f"{module_name!r} has no {path!r}{suggest(name, dir(found)) or default}")
        found = getattr(found, name)
    registry = found if path else REGISTRY
    if _is_foreign_registry(registry):
        bridge = CollectorRegistry()
        PrometheusClientCollector(registry, bridge, leave_out=())
        return bridge
    if not isinstance(registry, CollectorRegistry):
        kind = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise SourceError(source, f"expected a registry, got {kind}{default}")
    return registry


def _is_dotted(text: str) -> bool:
    return all(map(str.isidentifier, text.split(".")))


def _is_foreign_registry(found: object) -> TypeGuard[TheirRegistry]:
    return is_of_prometheus_client(found) and hasattr(found, "collect") and hasattr(found, "register")


def _is_file(source: str) -> bool:
    """Return whether ``source`` can be read; a directory cannot, and may be a package."""
    return Path(source).exists() and not Path(source).is_dir()


def _is_importable(module: str) -> bool:
    _search_working_directory()
    package, dot, _ = module.partition(".")
    try:
        found = find_spec(package)
    except ValueError:  # a module without a specification, such as __main__
        return False
    return found is not None and (bool(dot) or found.has_location)  # else any directory would be a module


def _search_working_directory() -> None:
    """Let imports find the modules in the working directory, as ``python -m`` does, and the script of pip does not."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
