"""What was put in the place of something, and how to put that back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CellType, CodeType, FunctionType

_ABSENT = object()


class Replacements:
    """Replacements, and their way back: the last one first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner``'s own attribute, even where it inherits one of that name."""
        before: Any = owner.__dict__.get(name, _ABSENT)

        def undo() -> None:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        setattr(owner, name, value)
        self._undo.append(undo)

    def cell(self, cell: CellType, value: Any) -> None:
        """Set what a closure's variable holds."""
        before = cell.cell_contents

        def undo() -> None:
            cell.cell_contents = before

        cell.cell_contents = value
        self._undo.append(undo)

    def code(self, function: FunctionType, code: CodeType) -> None:
        """Have a function do something else, for everyone who has imported it."""
        before = function.__code__

        def undo() -> None:
            function.__code__ = before

        function.__code__ = code
        self._undo.append(undo)

    def then(self, undo: Callable[[], None]) -> None:
        """Call ``undo`` among the others, in its turn."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Take everything back."""
        while self._undo:
            self._undo.pop()()
