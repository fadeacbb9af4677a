"""The few places where Powertools' Tracer cannot be reached through its provider.

``aws_lambda_powertools.Tracer`` tells its provider neither the event nor the Lambda
context, keeps a generator's span current while the generator is suspended, takes
async handlers and async generators for plain functions, and imports the X-Ray SDK
when it is disabled (all seen in 3.37). :func:`install` puts a fork into these methods
of the class: a tracer whose provider is ours goes our way, any other goes on as ever.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

from powertools_otel import _invocation
from powertools_otel._guard import harmless
from powertools_otel.tracing._span_scope import attached

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from powertools_otel.tracing._provider import OTelTracingProvider

    Handler = Callable[..., Any]

_originals: dict[tuple[type, str], Any] = {}


_provider_class: type | None = None


def install(tracer_class: type, provider_class: type) -> None:
    """Put the forks into ``tracer_class``, once; a method it lacks is passed over.

    Args:
        tracer_class: Powertools' Tracer.
        provider_class: Whose instances' tracers go our way.
    """
    global _provider_class
    _provider_class = provider_class
    for name, fork in _FORKS.items():
        if (tracer_class, name) not in _originals and name in vars(tracer_class):
            original = getattr(tracer_class, name)
            _originals[tracer_class, name] = vars(tracer_class)[name]
            setattr(tracer_class, name, fork(original))


def uninstall() -> None:
    """Put the original methods back."""
    for (tracer_class, name), original in _originals.items():
        setattr(tracer_class, name, original)
    _originals.clear()


def _ours(tracer: Any) -> OTelTracingProvider | None:
    provider: OTelTracingProvider | None = getattr(tracer, "provider", None)
    if _provider_class is None or not isinstance(provider, _provider_class):
        return None
    return provider


def _fork_disable(original: Callable[[], None]) -> Handler:
    @functools.wraps(original)
    def disable_tracer_provider(self: Any = None) -> None:
        # Upstream switches the X-Ray SDK off, importing it for that.
        if _ours(self) is None:
            original()

    return disable_tracer_provider


def _fork_handler(original: Handler) -> Handler:
    @functools.wraps(original)
    def capture_lambda_handler(
        self: Any,
        lambda_handler: Handler | None = None,
        capture_response: bool | None = None,  # noqa: FBT001 - upstream's signature
        capture_error: bool | None = None,  # noqa: FBT001
    ) -> Handler:
        if lambda_handler is None or _ours(self) is None:
            decorated: Handler = original(
                self, lambda_handler, capture_response, capture_error
            )
            return decorated
        if inspect.iscoroutinefunction(lambda_handler):
            return _async_handler(self, lambda_handler, capture_response, capture_error)
        return _sync_handler(
            self, lambda_handler, capture_response, capture_error, original
        )

    return capture_lambda_handler


def _sync_handler(
    tracer: Any,
    handler: Handler,
    capture_response: bool | None,  # noqa: FBT001
    capture_error: bool | None,  # noqa: FBT001
    original: Handler,
) -> Handler:
    """Powertools' own decorator around the handler, within the invocation."""

    @functools.wraps(handler)
    def observed(event: Any, context: Any, **kwargs: Any) -> Any:
        response = handler(event, context, **kwargs)
        _note_response(response)
        return response

    decorated = original(tracer, observed, capture_response, capture_error)

    @functools.wraps(handler)
    def decorate(event: Any, context: Any, **kwargs: Any) -> Any:
        with _invocation.scope(event, context) as invocation:
            invocation.handler = handler
            return decorated(event, context, **kwargs)

    return decorate


def _async_handler(
    tracer: Any,
    handler: Handler,
    capture_response: bool | None,  # noqa: FBT001
    capture_error: bool | None,  # noqa: FBT001
) -> Handler:
    """What upstream does for a handler, around one that is a coroutine function.

    ``capture_method`` resolves the two flags and records response and error of a
    coroutine function; named as a handler's span it does all of it.
    """
    from aws_lambda_powertools.tracing import tracer as upstream

    async def observed(event: Any, context: Any, **kwargs: Any) -> Any:
        segment = _current_segment()
        try:
            response = await handler(event, context, **kwargs)
            _note_response(response)
            return response
        finally:
            cold_start = upstream._is_cold_start()  # noqa: SLF001 - as upstream's
            if segment is not None:
                segment.put_annotation("ColdStart", cold_start)
                if tracer.service:
                    segment.put_annotation("Service", tracer.service)

    functools.update_wrapper(observed, handler)
    observed.__module__, observed.__qualname__ = "", handler.__name__
    captured = tracer.capture_method(
        observed, capture_response=capture_response, capture_error=capture_error
    )

    @functools.wraps(handler)
    async def decorate(event: Any, context: Any, **kwargs: Any) -> Any:
        with _invocation.scope(event, context) as invocation:
            invocation.handler = handler
            return await captured(event, context, **kwargs)

    return decorate


def _current_segment() -> Any:
    invocation = _invocation.current()
    return None if invocation is None else invocation.root


def _note_response(response: Any) -> None:
    """Put an HTTP response's status on the invocation's span."""
    if not issubclass(type(response), dict):
        return
    with harmless("read the response's status"):
        answer = cast("dict[str, Any]", response)
        status = dict[str, Any].get(answer, "statusCode")
        segment = _current_segment()
        if segment is None or status is None or isinstance(status, bool):
            return
        code = int(status)
        if 100 <= code < 600:  # noqa: PLR2004 - RFC 9110, section 15
            segment.note_http_status(code)


def _fork_generator(original: Handler) -> Handler:
    @functools.wraps(original)
    def decorate_generator_function(
        self: Any,
        method: Handler,
        capture_response: bool | None = None,  # noqa: FBT001
        capture_error: bool | None = None,  # noqa: FBT001
        method_name: str | None = None,
    ) -> Handler:
        provider = _ours(self)
        if provider is None:
            decorated: Handler = original(
                self, method, capture_response, capture_error, method_name
            )
            return decorated

        @functools.wraps(method)
        def decorate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            def captured(result: Any, segment: Any) -> None:
                self._add_response_as_metadata(
                    method_name=method_name,
                    data=result,
                    subsegment=segment,
                    capture_response=capture_response,
                )

            return (
                yield from _run_generator(
                    provider,
                    f"## {method_name}",
                    method(*args, **kwargs),
                    captured,
                    private=not capture_error,
                )
            )

        return decorate

    return decorate_generator_function


def _run_generator(
    provider: OTelTracingProvider,
    name: str,
    generator: Generator[Any, Any, Any],
    captured: Callable[[Any, Any], None],
    *,
    private: bool,
) -> Generator[Any, Any, Any]:
    """Run a generator within a span that is current only while its body runs.

    Suspended, it leaves the context to its caller: interleaved generators do not
    become each other's parents, and an abandoned one nobody's.
    """
    begun = provider.begin(name, None, join_only=True)
    if begun is None:
        return (yield from generator)
    segment, context, _ = begun
    step: Callable[[Any], Any] = generator.send
    sent: Any = None
    try:
        while True:
            try:
                with attached(context):
                    value = step(sent)
            except StopIteration as stop:
                captured(stop.value, segment)
                return stop.value
            try:
                sent = yield value
                step = generator.send
            except GeneratorExit:
                with attached(context):
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown into the body
                step, sent = generator.throw, error
    except GeneratorExit:
        raise
    except BaseException as error:
        segment.fail(error, private=private)
        raise
    finally:
        segment.close()


def _fork_method(original: Handler) -> Handler:
    @functools.wraps(original)
    def capture_method(
        self: Any,
        method: Handler | None = None,
        capture_response: bool | None = None,  # noqa: FBT001
        capture_error: bool | None = None,  # noqa: FBT001
    ) -> Any:
        provider = _ours(self)
        if provider is None or not inspect.isasyncgenfunction(method):
            return original(self, method, capture_response, capture_error)
        return _async_generator(provider, method, capture_error)

    return capture_method


def _async_generator(
    provider: OTelTracingProvider,
    method: Handler,
    capture_error: bool | None,  # noqa: FBT001
) -> Handler:
    from aws_lambda_powertools.shared.functions import sanitize_xray_segment_name

    name = sanitize_xray_segment_name(f"{method.__module__}.{method.__qualname__}")
    private = not _capture_error(capture_error)

    @functools.wraps(method)
    async def decorate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun = provider.begin(f"## {name}", None, join_only=True)
        generator = method(*args, **kwargs)
        if begun is None:
            async for value in generator:
                yield value
            return
        segment, context, _ = begun
        step: Callable[[Any], Any] = generator.asend
        sent: Any = None
        try:
            while True:
                try:
                    with attached(context):
                        value = await step(sent)
                except StopAsyncIteration:
                    return
                try:
                    sent = yield value
                    step = generator.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown into the body
                    step, sent = generator.athrow, error
        except GeneratorExit:
            with attached(context):
                await generator.aclose()
            raise
        except BaseException as error:
            segment.fail(error, private=private)
            raise
        finally:
            segment.close()

    return decorate


def _fork_ignore_endpoint(original: Handler) -> Handler:
    @functools.wraps(original)
    def ignore_endpoint(
        self: Any, hostname: str | None = None, urls: list[str] | None = None
    ) -> None:
        # Upstream ignores nothing where the provider is not X-Ray's.
        if _ours(self) is None:
            original(self, hostname, urls)
            return
        with harmless("ignore an endpoint"):
            from powertools_otel import _patch

            _patch.ignore_endpoint(hostname, urls)

    return ignore_endpoint


def _capture_error(choice: bool | None) -> bool:  # noqa: FBT001
    import os

    from aws_lambda_powertools.shared import constants
    from aws_lambda_powertools.shared.functions import resolve_truthy_env_var_choice

    return bool(
        resolve_truthy_env_var_choice(
            env=os.getenv(constants.TRACER_CAPTURE_ERROR_ENV, "true"), choice=choice
        )
    )


_FORKS: dict[str, Callable[[Any], Handler]] = {
    "_disable_tracer_provider": _fork_disable,
    "capture_lambda_handler": _fork_handler,
    "_decorate_generator_function": _fork_generator,
    "capture_method": _fork_method,
    "ignore_endpoint": _fork_ignore_endpoint,
}
