"""The decorator's frame around a handler: when values are flushed, and what wins."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless
from powertools_otel.metrics import _sink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def decorated(
    handler: Callable[..., Any],
    publish: Callable[[Any], None],
    rescue: Callable[[], None],
) -> Callable[..., Any]:
    """Run ``publish(context)`` after the handler, whether it returns or raises.

    What ``publish`` raises reaches the caller of a handler that returned, as with
    EMF (``SchemaValidationError``); it never replaces the handler's own exception.
    An ``async def`` handler is published after its ``await``. While the handler runs,
    ``rescue`` stands by for an invocation that is about to be killed.
    """
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def decorate_async(
            event: Any, context: Any, *args: Any, **kwargs: Any
        ) -> Any:
            running = handler(event, context, *args, **kwargs)
            frame = _sink.Frame(event, context, rescue)
            return await _awaited(running, frame, publish, context)

        return decorate_async

    @functools.wraps(handler)
    def decorate(event: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        frame = _sink.Frame(event, context, rescue)
        awaited = False
        try:
            try:
                response = handler(event, context, *args, **kwargs)
            except BaseException:
                _publish_quietly(publish, context)
                raise
            if inspect.iscoroutine(response):
                # A wrapped ``async def`` that does not look like one.
                awaited = True
                return _awaited(response, frame, publish, context)
            publish(context)
            return response
        finally:
            if not awaited:
                frame.close()

    return decorate


async def _awaited(
    running: Coroutine[Any, Any, Any],
    frame: _sink.Frame,
    publish: Callable[[Any], None],
    context: Any,
) -> Any:
    try:
        try:
            response = await running
        except BaseException:
            _publish_quietly(publish, context)
            raise
        publish(context)
        return response
    finally:
        frame.close()


def _publish_quietly(publish: Callable[[Any], None], context: Any) -> None:
    with harmless("publish the metrics of a handler that failed"):
        publish(context)
