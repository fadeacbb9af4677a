"""Our own faults stay ours: they are logged, never raised into the function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger("powertools_otel")

_said: set[str] = set()


class harmless:  # noqa: N801 - reads as a statement: ``with harmless("annotate")``
    """Context manager that logs an exception of ours and carries on.

    ``KeyboardInterrupt``, ``SystemExit`` and other non-``Exception`` ends pass:
    they belong to the application or the runtime.

    Args:
        doing: What was being done, for the log: ``"annotate a span"``.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        if isinstance(error, Exception):
            note(self._doing, error)
            return True
        return False


def note(doing: str, error: Exception) -> None:
    """Log an exception of ours, where a ``try`` does for :class:`harmless`.

    That is where every microsecond counts: a context manager takes half of one.
    """
    logger.debug("Could not %s", doing, exc_info=error)


def warn_once(key: str, message: str, *args: object) -> None:
    """Log a warning the first time ``key`` is seen in this process."""
    if key not in _said:
        _said.add(key)
        logger.warning(message, *args)


def forget_warnings() -> None:
    """Let every :func:`warn_once` speak again, for tests."""
    _said.clear()
