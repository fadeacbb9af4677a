"""Our own calls make no spans, whoever instrumented the libraries they go through."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def untraced() -> Generator[None]:
    """Keep instrumentors from tracing what is called in a ``with`` block.

    By the context key that ``opentelemetry.instrumentation.utils`` sets for that. Our
    own sockets need no such thing: nothing instruments them.
    """
    context: Any = sys.modules.get("opentelemetry.context")
    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    if key is None:
        yield
        return
    token = context.attach(context.set_value(key, True))  # noqa: FBT003 - its signature
    try:
        yield
    finally:
        context.detach(token)
