"""What the invocation's span is called, and what is known of the invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from powertools_otel import _resource
from powertools_otel.tracing import _events, _propagation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from powertools_otel._invocation import Invocation
    from powertools_otel._settings import Settings


class Root(NamedTuple):
    """The invocation's span before it begins."""

    name: str
    attributes: dict[str, Any]
    consumer: _events.Consumer | None


class Roots:
    """Finds out, of an invocation, what its span is and where its trace continues.

    Args:
        settings: Ours.
        environ: The environment; its standard variables are read once.
        hook: The user's own way to find the caller's context.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        hook: _propagation.Hook | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._hook = hook
        self._propagators = environ.get("OTEL_PROPAGATORS")
        self._known_methods = _known_methods(environ)

    def describe(
        self, invocation: Invocation | None, handler: Callable[..., Any], fallback: str
    ) -> Root:
        """Name and attributes of the invocation's span.

        As the FaaS, AWS Lambda and HTTP semantic conventions (1.44) have them: the
        name is ``{method} {route}`` for an HTTP event with a route, else the
        function's.

        Args:
            invocation: Event and context, as far as known.
            handler: The user's handler.
            fallback: The name where the function's is not known.
        """
        context = None if invocation is None else invocation.context
        described = self._describe(invocation)
        attributes: dict[str, Any] = dict(described.attributes)
        attributes["faas.coldstart"] = invocation is not None and invocation.cold_start
        attributes["code.function.name"] = (
            f"{getattr(handler, '__module__', '')}."
            f"{getattr(handler, '__qualname__', '')}"
        )
        if invocation is not None and invocation.request_id:
            attributes["faas.invocation_id"] = invocation.request_id
        arn = getattr(context, "invoked_function_arn", None)
        attributes.update(_resource.function_identity(arn))
        name = described.name or self._function_name(context) or fallback
        return Root(name, attributes, described.consumer)

    def remote_context(
        self, invocation: Invocation | None
    ) -> _propagation.RemoteContext:
        """Where the trace continues from, by the event, the context and Lambda."""
        return _propagation.extract(
            self._describe(invocation),
            None if invocation is None else invocation.event,
            None if invocation is None else invocation.context,
            # The runtime sets it anew for each invocation.
            self._environ.get("_X_AMZN_TRACE_ID"),
            self._settings,
            self._propagators,
            None if invocation is None else self._hook,
        )

    def _describe(self, invocation: Invocation | None) -> _events.EventDescription:
        """What the invocation's event is, looked at once."""
        if invocation is None:
            return _events.describe(None, self._settings)
        if invocation.described is None:
            invocation.described = _events.describe(
                invocation.event, self._settings, self._known_methods
            )
        described: _events.EventDescription = invocation.described
        return described

    def _function_name(self, context: object) -> str | None:
        name = getattr(context, "function_name", None)
        if isinstance(name, str) and name:
            return name
        return self._environ.get("AWS_LAMBDA_FUNCTION_NAME") or None


def _known_methods(environ: Mapping[str, str]) -> frozenset[str]:
    """The HTTP methods that are recorded as they are, as the HTTP conventions ask."""
    named = environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")
    if not named:
        return _events.KNOWN_METHODS
    return frozenset(word.strip() for word in named.split(",") if word.strip())
