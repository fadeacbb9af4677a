"""when_imported(): once, now or later, and nobody notices."""

import importlib
import importlib.resources
import inspect
import logging
import sys
import zipfile

import pytest

from powertools_otel import _import_hooks
from powertools_otel._import_hooks import forget, when_imported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that nobody has imported yet, with a resource."""
    folder = tmp_path / "awaited"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import importlib.resources\n"
        "LOADER = type(__loader__).__name__\n"
        "TEXT = importlib.resources.files(__name__).joinpath('a.txt').read_text()\n"
        "def function(): pass\n"
    )
    (folder / "a.txt").write_text("resource")
    (folder / "inner.py").write_text("VALUE = 1\n")
    (folder / "failing.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("awaited")]:
        del sys.modules[name]
    assert _import_hooks._finder not in sys.meta_path


def test_a_module_that_is_there_is_taken_at_once():
    seen = []
    when_imported("json", seen.append)
    assert seen == [importlib.import_module("json")]


def test_a_module_is_taken_when_its_body_has_run(package):
    seen = []
    when_imported("awaited", lambda module: seen.append(module.function))
    assert seen == []
    module = importlib.import_module("awaited")
    assert seen == [module.function]
    importlib.reload(module)
    assert len(seen) == 1


def test_the_module_has_its_own_loader_and_resources(package):
    when_imported("awaited", [].append)
    module = importlib.import_module("awaited")
    assert module.LOADER == "SourceFileLoader"
    assert module.TEXT == "resource"
    assert module.__spec__.loader is module.__loader__
    assert "def function" in inspect.getsource(module)


def test_every_hook_is_called_also_after_one_that_fails(package, caplog):
    seen = []

    def fail(module):
        raise RuntimeError

    when_imported("awaited.inner", fail)
    when_imported("awaited.inner", lambda module: seen.append(module.VALUE))
    with caplog.at_level(logging.DEBUG):
        importlib.import_module("awaited.inner")
    assert seen == [1]
    assert "adapt awaited.inner" in caplog.text


def test_a_module_that_fails_to_import_fails_as_ever(package):
    seen = []
    hook = seen.append
    when_imported("awaited.failing", hook)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("awaited.failing")
    assert seen == []
    forget(hook)


def test_a_module_that_does_not_exist_stays_unknown():
    hook = [].append
    when_imported("awaited_nowhere", hook)
    with pytest.raises(ModuleNotFoundError, match="awaited_nowhere"):
        importlib.import_module("awaited_nowhere")
    forget(hook)


def test_a_hook_that_is_forgotten_is_not_called(package):
    seen = []
    hook = seen.append
    when_imported("awaited.inner", hook)
    forget(hook)
    importlib.import_module("awaited.inner")
    assert seen == []


def test_modules_in_a_zip_are_taken_too(tmp_path, monkeypatch):
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_one.py", "VALUE = 1\n")
        file.writestr("zipped_two.py", "VALUE = 2\n")
    monkeypatch.syspath_prepend(str(archive))
    seen = []
    when_imported("zipped_one", lambda module: seen.append(module.VALUE))
    assert importlib.import_module("zipped_two").VALUE == 2
    assert importlib.import_module("zipped_one").VALUE == 1
    assert seen == [1]
