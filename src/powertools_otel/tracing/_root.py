"""What the invocation's span is called, and what is known of the invocation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from powertools_otel.tracing import _events, _propagation

if TYPE_CHECKING:
    from collections.abc import Callable

    from powertools_otel._invocation import Invocation
    from powertools_otel._settings import Settings

_ARN_PARTS = 7
_ACCOUNT = 4


class Root(NamedTuple):
    """The invocation's span before it begins."""

    name: str
    attributes: dict[str, Any]
    consumer: _events.Consumer | None


def describe(
    invocation: Invocation | None,
    handler: Callable[..., Any],
    settings: Settings,
    fallback: str,
) -> Root:
    """Name and attributes of the invocation's span.

    As the FaaS, AWS Lambda and HTTP semantic conventions (1.44) have them: the name is
    ``{method} {route}`` for an HTTP event with a route, else the function's.

    Args:
        invocation: Event and context, as far as known.
        handler: The user's handler.
        settings: Ours.
        fallback: The name where the function's is not known.
    """
    context = None if invocation is None else invocation.context
    described = _describe(invocation, settings)
    attributes: dict[str, Any] = dict(described.attributes)
    attributes["faas.coldstart"] = invocation is not None and invocation.cold_start
    attributes["code.function.name"] = (
        f"{getattr(handler, '__module__', '')}.{getattr(handler, '__qualname__', '')}"
    )
    if invocation is not None and invocation.request_id:
        attributes["faas.invocation_id"] = invocation.request_id
    attributes.update(_identity(getattr(context, "invoked_function_arn", None)))
    name = described.name or _function_name(context) or fallback
    return Root(name, attributes, described.consumer)


def remote_context(
    invocation: Invocation | None,
    settings: Settings,
    hook: _propagation.Hook | None,
) -> _propagation.RemoteContext:
    """Where the trace continues from, by the event, the context and Lambda."""
    event = None if invocation is None else invocation.event
    context = None if invocation is None else invocation.context
    return _propagation.extract(
        _describe(invocation, settings),
        event,
        context,
        os.environ.get("_X_AMZN_TRACE_ID"),
        settings,
        os.environ.get("OTEL_PROPAGATORS"),
        hook,
    )


def _describe(
    invocation: Invocation | None, settings: Settings
) -> _events.EventDescription:
    """What the invocation's event is, looked at once."""
    if invocation is None:
        return _events.describe(None, settings)
    if invocation.described is None:
        invocation.described = _events.describe(
            invocation.event, settings, _known_methods()
        )
    described: _events.EventDescription = invocation.described
    return described


def _known_methods() -> frozenset[str]:
    """The HTTP methods that are recorded as they are, as the HTTP conventions ask."""
    named = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")
    if not named:
        return _events.KNOWN_METHODS
    return frozenset(word.strip() for word in named.split(",") if word.strip())


def _function_name(context: object) -> str | None:
    name = getattr(context, "function_name", None)
    if isinstance(name, str) and name:
        return name
    return os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or None


def _identity(arn: object) -> dict[str, str]:
    """``cloud.resource_id`` (the ARN without an alias) and ``cloud.account.id``."""
    if not isinstance(arn, str):
        return {}
    parts = arn.split(":")
    if len(parts) < _ARN_PARTS or parts[0] != "arn":
        return {}
    found = {"cloud.resource_id": ":".join(parts[:_ARN_PARTS])}
    if parts[_ACCOUNT]:
        found["cloud.account.id"] = parts[_ACCOUNT]
    return found
