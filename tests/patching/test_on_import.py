"""`on_import`: what waits for a module is called once the module has run, in any order of events."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from contextlib import ExitStack

import pytest

from asyncmetrics.patching import on_import
from tests.patience import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.blocking


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that is not imported yet."""
    name = f"waited_for_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def wait():
    """Wait for a module until the test ends; return the list of the values that it had when it had run."""
    with ExitStack() as stack:

        def wait(name):
            seen = []
            stack.callback(on_import(name, lambda found: seen.append(found.value)))
            return seen

        yield wait


def test_a_module_that_is_imported_later_is_seen_after_it_has_run(module, wait):
    seen = wait(module)
    assert seen == []
    importlib.import_module(module)
    assert seen == [1]


def test_a_module_that_is_imported_already_is_seen_now(module, wait):
    importlib.import_module(module)
    assert wait(module) == [1]


def test_two_that_wait_for_one_module_both_see_it(module, wait):
    first, second = wait(module), wait(module)
    importlib.import_module(module)
    assert (first, second) == ([1], [1])


def test_a_reload_is_not_seen_again(module, wait):
    seen = wait(module)
    importlib.reload(importlib.import_module(module))
    assert seen == [1]


def test_a_search_without_an_import_is_not_seen(module, wait):
    seen = wait(module)
    spec = importlib.util.find_spec(module)
    assert seen == []
    importlib.import_module(module)
    assert seen == [1]
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert seen == [1]


def test_an_exception_of_what_waits_is_logged_and_the_import_goes_on(module, wait, caplog):
    undo = on_import(module, lambda _: 1 / 0)
    seen = wait(module)
    assert importlib.import_module(module).value == 1
    assert seen == [1]
    assert f"the import of {module} has failed" in caplog.text
    undo()


def test_an_import_that_fails_is_seen_when_it_is_tried_again(module, wait, tmp_path):
    path = tmp_path / f"{module}.py"
    path.write_text("raise RuntimeError\n")
    seen = wait(module)
    with pytest.raises(RuntimeError):
        importlib.import_module(module)
    assert seen == []
    path.write_text("value = 'mended'\n")
    importlib.invalidate_caches()
    importlib.import_module(module)
    assert seen == ["mended"]


def test_a_module_that_another_thread_imports_now_is_seen_when_it_has_run(module, wait, tmp_path, monkeypatch):
    has_begun, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "events_of_the_test", (has_begun, may_end), raising=False)
    lines = (
        "import sys",
        "has_begun, may_end = sys.events_of_the_test",
        "has_begun.set()",
        "may_end.wait()",
        "value = 2",
    )
    (tmp_path / f"{module}.py").write_text("\n".join(lines))
    threads = [threading.Thread(target=importlib.import_module, args=(module,))]
    threads[0].start()
    assert has_begun.wait(PATIENCE_SECONDS)
    seen = []
    threads.append(threading.Thread(target=lambda: seen.append(wait(module))))
    finders = len(sys.meta_path)
    threads[1].start()
    wait_for(lambda: len(sys.meta_path), finders + 1)
    may_end.set()
    for thread in threads:
        thread.join()
    assert seen == [[2]]


def test_what_waits_no_more_is_not_called(module):
    seen = []
    on_import(module, seen.append)()
    importlib.import_module(module)
    assert seen == []


def test_the_finder_is_there_while_something_waits(module, wait):
    before = list(sys.meta_path)
    first, second = on_import(module, print), on_import(module, len)
    assert len(sys.meta_path) == len(before) + 1
    first()
    first()
    assert len(sys.meta_path) == len(before) + 1
    second()
    assert sys.meta_path == before
    wait(module)
    importlib.import_module(module)
    assert sys.meta_path == before


class _Proxy:
    """A loader around another one, as wrapt's: what is set on it is set on the inner one."""

    def __init__(self, inner):
        object.__setattr__(self, "inner", inner)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __setattr__(self, name, value):
        setattr(self.inner, name, value)

    def exec_module(self, module):
        self.inner.exec_module(module)


def test_a_loader_of_another_tool_runs_the_module_once(module, wait, monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name != module:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            spec.loader = _Proxy(spec.loader)
            return spec

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    seen = wait(module)
    imported = importlib.import_module(module)
    assert seen == [1]
    assert type(imported.__spec__.loader) is type(imported.__loader__) is _Proxy


def test_the_finder_leaves_a_list_that_another_import_iterates_over(module, wait):
    wait(module)
    found = []
    for finder in sys.meta_path:
        if not found:
            importlib.import_module(module)  # the last one that waits: our finder goes
        found.append(finder)
    assert importlib.machinery.PathFinder in found


def test_a_loader_without_exec_module_is_left_alone(module, wait, monkeypatch):
    class Loader:
        def load_module(self, name):
            raise AssertionError

    class Finder:
        def find_spec(self, name, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, Loader()) if name == module else None

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    wait(module)
    assert isinstance(importlib.util.find_spec(module).loader, Loader)
