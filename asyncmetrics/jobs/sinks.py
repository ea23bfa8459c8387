"""The sinks of batch jobs: where a job sends its metrics when it has ended.

Both sinks block while they send; `BatchJob` calls them beside the event loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Literal, Protocol, final, runtime_checkable

from asyncmetrics.bridges.pushgateway import Handler, basic_auth_handler, pushadd_to_gateway
from asyncmetrics.interruptions import ignoring
from asyncmetrics.model.checks import (
    check_choice,
    check_mapping,
    check_path,
    check_seconds,
    check_text,
    make_refusal,
)
from asyncmetrics.model.names import check_label_names
from asyncmetrics.registry.collectables import Collectable

__all__ = ("Pushgateway", "Sink", "TextFile", "make_sink")

_JOB_LABEL = "batch_job"
_MAX_FILE_NAME = 160  # file systems allow 255 bytes, and each letter beyond ASCII takes 6 or more


@runtime_checkable
class Sink(Protocol):
    """A destination of a batch job's metrics; write a class of your own for another one."""

    def recall_success(self, job: str, metric: str, known: float | None) -> float | None:
        """Return the time of the last success for the metrics of a run that has failed.

        ``metric`` is the name of the metric that has it, and ``known`` the time that this process knows. Return None if
        the sink keeps the time by itself. Called before `send`, in the same thread; an exception is logged.
        """
        ...

    def send(self, job: str, metrics: Collectable) -> None:
        """Send the metrics of one job, and wait until they are there; an exception is logged."""
        ...


@final
class Pushgateway:
    """A Pushgateway, to which a batch job pushes its metrics.

    - ``gateway``: its ``host:port`` or URL.
    - ``job``: the label ``job`` of the group; by default the name of the batch job.
    - ``grouping_key``: more labels of the group, such as ``instance_ip_grouping_key()`` for a job that runs on several
      machines. The label ``batch_job`` is always one of them, so that no job replaces the metrics of another one.
    - ``timeout``: seconds.
    - ``username`` and ``password``: basic credentials, sent with each push.
    - ``handler``: a function that sends the request instead, see `asyncmetrics.bridges.pushgateway`.
    - ``compression``: ``"gzip"`` compresses the request.

    The gateway keeps the time of the last success: a run that has failed replaces only the other metrics.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    def __init__(
        self,
        gateway: str,
        *,
        job: str | None = None,
        grouping_key: Mapping[str, object] | None = None,
        timeout: float = 10.0,
        username: str | None = None,
        password: str | None = None,
        handler: Handler | None = None,
        compression: Literal["gzip"] | None = None,
    ) -> None:
        check_text("gateway", gateway, "localhost:9091")
        if not gateway:
            raise make_refusal("gateway", "a host and port, or a URL, such as 'localhost:9091'", gateway)
        if job is not None:
            check_text("job", job, "nightly")
        check_mapping("grouping_key", grouping_key or {}, "label names to values")
        taken = {"job", _JOB_LABEL}.intersection(grouping_key or {})
        if taken:
            expected = "labels beside 'job' and 'batch_job', which the sink adds itself"
            raise make_refusal("grouping_key", expected, grouping_key)
        check_seconds("timeout", timeout)
        check_label_names("grouping_key", grouping_key or {})
        if (username is None) != (password is None):
            missing, other = ("username", "password") if username is None else ("password", "username")
            raise make_refusal(missing, f"a str, as there is {other}=", None)
        if handler is not None and not callable(handler):
            raise make_refusal(
                "handler", "a function such as asyncmetrics.bridges.pushgateway.default_handler", handler
            )
        check_choice("compression", compression, (None, "gzip"))
        self._gateway = gateway
        self._job = job
        self._grouping_key = dict(grouping_key or {})
        self._timeout = timeout
        self._credentials = (username, password)
        self._handler = handler
        self._compression: Literal["gzip"] | None = compression

    def recall_success(self, job: str, metric: str, known: float | None) -> None:
        """Return None: the gateway keeps the time of the last success."""

    def send(self, job: str, metrics: Collectable) -> None:
        """Push the metrics of one job. Raises `PushError` (an OSError) if the gateway is not there, or refuses."""
        pushadd_to_gateway(
            self._gateway,
            job if self._job is None else self._job,
            metrics,
            {_JOB_LABEL: job, **self._grouping_key},
            self._timeout,
            self._handler or self._make_request,
            self._compression,
        )

    def _make_request(
        self, url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, *self._credentials)

    def __repr__(self) -> str:
        return f"Pushgateway({self._gateway!r})"


@final
class TextFile:
    """A file that the node exporter's textfile collector reads.

    ``path`` is a folder, in which each job has a file of its own by its name; or a file that ends in ``.prom``, for
    one job alone. A run that has failed keeps the time of the last success that the file has.

    Raises `DefinitionError` for what is no path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path("path", path)
        self._path = os.fspath(path)

    def find_file(self, job: str) -> str:
        """Return the path of the file of a job."""
        if self._path.endswith(".prom"):
            return self._path
        from pathlib import Path  # here, as it imports urllib (on Python 3.11)
        from urllib.parse import quote

        name = quote(job, safe="")
        if len(name) > _MAX_FILE_NAME:
            name = f"{name[:_MAX_FILE_NAME]}-{sha256(name.encode()).hexdigest()[:16]}"
        return str(Path(self._path, f"{name}.prom"))

    def recall_success(self, job: str, metric: str, known: float | None) -> float | None:
        """Return the later one of the time that the file has and the one that is known. Raises OSError."""
        times = [] if known is None else [known]
        # The file is one of ours, so its lines are in the form in which the library writes them.
        escaped = job.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        beginning = f'{metric}{{{_JOB_LABEL}="{escaped}"}} '
        for line in self._read_lines(job):
            if line.startswith(beginning):
                with ignoring(ValueError):
                    times.append(float(line.removeprefix(beginning)))
        return max(times, default=None)

    def _read_lines(self, job: str) -> Iterator[str]:
        from pathlib import Path

        try:
            with Path(self.find_file(job)).open(encoding="utf-8", errors="replace") as file:
                yield from file
        except FileNotFoundError:  # the first run
            return

    def send(self, job: str, metrics: Collectable) -> None:
        """Replace the file of a job. Raises `TextfileError` (an OSError) if it cannot be written."""
        from asyncmetrics.exposition.textfile import write_to_textfile

        write_to_textfile(self.find_file(job), metrics)

    def __repr__(self) -> str:
        return f"TextFile({self._path!r})"


def make_sink(value: object) -> Sink | None:
    """Return the sink that ``sink=`` means: a sink, a URL of a Pushgateway, a path of a ``.prom`` file, or None.

    Raises `DefinitionError` for anything else.
    """
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return Pushgateway(value)
    if isinstance(value, (str, os.PathLike)) and os.fspath(value).endswith(".prom"):
        return TextFile(value)
    if value is None or (isinstance(value, Sink) and not isinstance(value, type)):
        return value
    expected = "a Pushgateway, a TextFile, an object with their methods, a URL, a path that ends in '.prom', or None"
    is_close = isinstance(value, (str, type))
    remedy = "write Pushgateway('host:9091') or TextFile('folder')" if is_close else ""
    raise make_refusal("sink", expected, value, remedy)
