"""The exposition as a file, for node_exporter's textfile collector: replaced as a whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from asyncmetrics.errors import TextfileError
from asyncmetrics.exposition.latest import generate_chunks
from asyncmetrics.model.checks import check_path
from asyncmetrics.registry import REGISTRY, Collectable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("write_to_textfile",)


def write_to_textfile(
    path: str | os.PathLike[str],
    registry: Collectable = REGISTRY,
    escaping: str = "underscores",
    tmpdir: str | os.PathLike[str] | None = None,
) -> None:
    """Write ``registry`` to ``path`` in the text format 0.0.4, atomically.

    The text is written to a temporary file in the same folder (or in ``tmpdir``, which must be on the same file system)
    and flushed to the disk. Then the temporary file replaces the old one; its permissions are those of any new file.

    Raises `TextfileError` (an OSError) if that is not possible. After any exception the old file is kept and
    the temporary one is removed.
    """
    from pathlib import Path  # here, as it imports urllib (on Python 3.11)

    check_path("path", path)
    if tmpdir is not None:
        check_path("tmpdir", tmpdir)
    target = Path(path)
    # node_exporter reads *.prom only, so the temporary name must not end like the target's.
    name = f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    temporary = Path(target.parent if tmpdir is None else tmpdir, name)
    try:
        _replace(target, temporary, generate_chunks(registry, escaping))
    except OSError as error:
        raise TextfileError(str(target), error) from error


def _replace(target: Path, temporary: Path, chunks: Iterable[bytes]) -> None:
    try:
        _write(temporary, chunks)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    # "x" follows no link, which another user of a shared folder could have put under the temporary name.
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
