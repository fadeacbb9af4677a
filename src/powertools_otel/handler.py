"""The handler to name where no exec wrapper runs: in container images.

``CMD ["powertools_otel.handler.lambda_handler"]`` with
``ENV POWERTOOLS_OTEL_HANDLER=app.lambda_handler`` has :func:`powertools_otel.install`
called first, and then the function's own handler take every event.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from powertools_otel import _install

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["lambda_handler"]

_VARIABLE = "POWERTOOLS_OTEL_HANDLER"


def _load(name: str) -> Callable[..., Any]:
    """Find the function's handler, failing as the runtime client would.

    Args:
        name: ``module.function``, as in the function's ``Handler`` setting.

    Raises:
        RuntimeError: The variable names no handler.
        Exception: Whatever the runtime client raises where there is no such handler,
            and whatever the handler's module does.
    """
    module, _, function = name.strip().rpartition(".")
    if not module or module == __name__:
        message = (
            f"{_VARIABLE} is {name!r}: it must name the function's own handler, "
            "as in 'app.lambda_handler'"
        )
        raise RuntimeError(message)
    runtime_client = sys.modules.get("awslambdaric.bootstrap")
    find = getattr(runtime_client, "_get_handler", None)
    if find is not None:
        # Its errors are worded, and typed, as they are without us.
        handler: Callable[..., Any] = find(name.strip())
    else:
        handler = getattr(import_module(module.replace("/", ".")), function)
    return handler


_install.activate("the handler redirect")
lambda_handler = _load(os.environ.get(_VARIABLE, ""))
