"""Do something when a module has been imported: now, if it is there, or later.

One dictionary look-up for each module that Python finds, nothing for those that are
already loaded. The module keeps the loader that its finder gave it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Hook = Callable[[ModuleType], None]

_waiting: dict[str, list[Hook]] = {}


def when_imported(name: str, hook: Hook) -> None:
    """Call ``hook`` with the module ``name`` once its body has run.

    At once if it has run already. What the hook raises is logged, and neither reaches
    the importer nor another hook.
    """
    module = sys.modules.get(name)
    if module is not None and not _is_initializing(module):
        _call(hook, module)
        return
    _waiting.setdefault(name, []).append(hook)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget(hook: Hook) -> None:
    """Do not call ``hook`` any more for what is imported from now on."""
    for name in [name for name, hooks in _waiting.items() if hook in hooks]:
        _waiting[name].remove(hook)
        if not _waiting[name]:
            del _waiting[name]
    if not _waiting and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def _is_initializing(module: ModuleType) -> bool:
    # CPython notes it on the spec for as long as the module's body runs.
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _call(hook: Hook, module: ModuleType) -> None:
    with harmless(f"adapt {module.__name__}"):
        hook(module)


class _Finder:
    """Asks the finders after it, and has the loader of an awaited module tell us."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name not in _waiting:
            return None
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Loads as the loader that it stands for, and calls the hooks then.

    It puts that loader back in its place before the module's body runs, which may
    ask it for resources or sources.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        hooks = _waiting.pop(module.__name__, [])
        if not _waiting and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        for hook in hooks:
            _call(hook, module)


_finder: Any = _Finder()
