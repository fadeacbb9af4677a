"""An exception as the attributes of one ``exception`` event."""

from __future__ import annotations

from powertools_otel import _values

_MESSAGE_LIMIT = 4_096
_STACK_LIMIT = 32_768


def exception_event(error: BaseException, *, private: bool) -> dict[str, str]:
    """``exception.type``, ``.message`` and ``.stacktrace`` (semantic conventions 1.44).

    Args:
        error: What was raised; its ``__str__`` may raise in turn.
        private: Only the type: neither message nor stack.
    """
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__
    attributes = {
        "exception.type": name if module == "builtins" else f"{module}.{name}"
    }
    if private:
        return attributes
    try:
        message = str(error)
    except Exception as failure:  # noqa: BLE001 - a user's __str__
        message = f"<{name}.__str__ raised {type(failure).__name__}>"
    message = str(_values.attribute(message, _MESSAGE_LIMIT))
    if message:
        attributes["exception.message"] = message
    attributes["exception.stacktrace"] = _stack(error)
    return attributes


def _stack(error: BaseException) -> str:
    """The formatted stack; its end, where the raise is, if it is long."""
    import traceback

    try:
        stack = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - formatting calls the user's __str__
        stack = "".join(traceback.format_tb(error.__traceback__))
    if len(stack) > _STACK_LIMIT:
        stack = _values.MARK + stack[-_STACK_LIMIT:]
    return _values.clean(stack)
