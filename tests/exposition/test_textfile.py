"""The textfile: whole or not at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from asyncmetrics import Counter, Gauge, Metric
from asyncmetrics.errors import TextfileError
from asyncmetrics.exposition import generate_latest, write_to_textfile

OLD = "# what was there before\n"


@pytest.fixture
def target(tmp_path) -> Path:
    """A textfile that is there already, alone in its folder."""
    path = tmp_path / "jobs.prom"
    path.write_text(OLD)
    return path


@pytest.fixture
def filled(registry):
    Counter("jobs", "Jobs.", registry=registry).inc(3)
    return registry


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _is_untouched(path: Path) -> bool:
    return path.read_text() == OLD and _names(path.parent) == [path.name]


def test_it_holds_the_text_format(tmp_path, filled):
    write_to_textfile(str(tmp_path / "jobs.prom"), filled)
    assert (tmp_path / "jobs.prom").read_bytes() == generate_latest(filled)


def test_it_replaces_the_old_file_and_leaves_nothing_else(target, filled):
    write_to_textfile(target, filled)
    assert "jobs_total 3" in target.read_text()
    assert _names(target.parent) == [target.name]


def test_a_name_without_a_folder_is_in_the_current_one(tmp_path, filled, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_to_textfile("jobs.prom", filled)
    assert _names(tmp_path) == ["jobs.prom"]


def test_the_temporary_file_may_be_elsewhere(target, filled, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_to_textfile(target, filled, tmpdir=elsewhere)
    assert "jobs_total 3" in target.read_text()
    assert _names(elsewhere) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_its_permissions_are_those_of_any_new_file(target, filled, umask, mode):
    before = os.umask(umask)
    try:
        write_to_textfile(target, filled)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_node_exporter_never_sees_the_temporary_file(target, registry):
    """It reads every *.prom of the folder at any time."""
    seen = []

    class Spying(Metric):
        @property
        def samples(self):
            seen.extend(path.name for path in target.parent.iterdir())
            return []

    class Spy:
        def collect(self):
            return [Spying("spy", "Looks into the folder.", "gauge")]

    registry.register(Spy())
    write_to_textfile(target, registry)
    assert len(set(seen)) == 2, "the collector has seen the temporary file, so it is written while it is rendered"
    assert [name for name in set(seen) if name.endswith(".prom")] == [target.name]


def test_many_threads_may_write_the_same_file(target, filled):
    """Each leaves a whole one."""
    threads = [threading.Thread(target=write_to_textfile, args=(target, filled)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == generate_latest(filled)
    assert _names(target.parent) == [target.name]


def test_a_missing_folder_is_an_error_with_its_path(tmp_path, filled):
    path = tmp_path / "nowhere" / "jobs.prom"
    with pytest.raises(TextfileError, match="old content is kept: No such file or directory") as caught:
        write_to_textfile(path, filled)
    assert (caught.value.path, caught.value.errno) == (str(path), errno.ENOENT)
    assert isinstance(caught.value, OSError)


def test_a_target_that_is_a_folder_is_an_error_and_nothing_is_left_over(tmp_path, filled):
    folder = tmp_path / "jobs.prom"
    folder.mkdir()
    with pytest.raises(TextfileError):
        write_to_textfile(folder, filled)
    assert _names(tmp_path) == ["jobs.prom"]


def test_a_temporary_folder_on_another_file_system_is_an_error_and_the_old_file_stays(target, filled):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == target.parent.stat().st_dev:
        pytest.skip("there is no second file system here")
    before = set(_names(other))
    with pytest.raises(TextfileError):
        write_to_textfile(target, filled, tmpdir=other)
    assert _is_untouched(target)
    assert not [name for name in set(_names(other)) - before if "jobs.prom" in name]


def test_a_folder_without_permission_is_an_error_and_the_old_file_stays(filled):
    """Root may write anywhere, so the test changes its user meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "jobs.prom")
        target.parent.chmod(0o755)
        target.write_text(OLD)
        os.seteuid(65534)
        try:
            with pytest.raises(TextfileError, match="Permission denied"):
                write_to_textfile(target, filled)
        finally:
            os.seteuid(0)
        assert _is_untouched(target)


def test_a_file_that_may_not_grow_is_an_error_and_the_old_one_stays(target, paged):
    """The limit of the process strikes in the middle of a write, as a quota does."""
    registry, _ = paged(5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
    try:
        with pytest.raises(TextfileError, match="File too large"):
            write_to_textfile(target, registry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _is_untouched(target)


def test_a_full_disk_is_an_error_and_the_old_file_stays(tmp_path, paged):
    registry, _ = paged(5)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        target = tmp_path / "jobs.prom"
        target.write_text(OLD)
        with pytest.raises(TextfileError, match="No space left on device"):
            write_to_textfile(target, registry)
        assert _is_untouched(target)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("step", ["fsync", "replace", "unlink"])
def test_a_fault_at_any_step_is_an_error_and_the_old_file_stays(target, filled, monkeypatch, step):
    def fail(*args, **kwargs) -> None:
        raise OSError(errno.EIO, "Input/output error")

    where = os if step == "fsync" else Path
    monkeypatch.setattr(where, step, fail)
    if step == "unlink":  # which comes after another fault
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(TextfileError, match="Input/output error"):
        write_to_textfile(target, filled)
    assert target.read_text() == OLD


@pytest.mark.parametrize("raised", [KeyboardInterrupt, LookupError])
def test_an_exception_that_is_no_fault_of_the_disk_passes_and_the_old_file_stays(target, filled, monkeypatch, raised):
    def interrupt(descriptor: int) -> None:
        raise raised

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(raised):
        write_to_textfile(target, filled)
    assert _is_untouched(target)


def test_a_link_at_the_target_is_replaced_not_followed(target, filled, tmp_path_factory):
    precious = tmp_path_factory.mktemp("elsewhere") / "precious"
    precious.write_text(OLD)
    target.unlink()
    target.symlink_to(precious)
    write_to_textfile(target, filled)
    assert precious.read_text() == OLD and not target.is_symlink()


def test_a_temporary_file_that_is_there_already_is_never_written_to(target, filled, monkeypatch):
    """A link planted under its name is refused, should the name ever be guessed."""
    precious = target.parent / "precious"
    precious.write_text(OLD)
    monkeypatch.setattr("secrets.token_hex", lambda size: "guessed")
    (target.parent / f".{target.name}.{os.getpid()}.guessed.tmp").symlink_to(precious)
    with pytest.raises(TextfileError, match="File exists"):
        write_to_textfile(target, filled)
    assert precious.read_text() == OLD


def test_names_are_escaped_as_requested(target, registry):
    Gauge("a.b", "A number.", registry=registry).set(1)
    write_to_textfile(target, registry, "dots")
    assert "a_dot_b 1" in target.read_text()
