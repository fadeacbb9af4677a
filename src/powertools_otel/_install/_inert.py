"""A tracing provider that does nothing, for where no other can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Inert:
    """Takes every call of Powertools' Tracer, of X-Ray's recorder and its segments."""

    __module__ = __name__

    def __getattr__(self, name: str) -> Any:
        # Copying, pickling and inspecting ask for special names: none of them is.
        if name.startswith("__"):
            raise AttributeError(name)
        return self._do_nothing

    def _do_nothing(self, *args: Any, **options: Any) -> Inert:
        return self

    def __call__(self, function: Any) -> Any:
        """Decorate a function: it stays as it is."""
        return function

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None
