"""One span behind Powertools' segment interface."""

from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.tracing.base import BaseSegment
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from typing_extensions import Self, override

from powertools_otel import _values
from powertools_otel._guard import harmless, logger, note
from powertools_otel.tracing._errors import exception_event
from powertools_otel.tracing._light_span import LightSpan

if TYPE_CHECKING:
    import numbers
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.trace import Span

    from powertools_otel._invocation import Invocation

ANNOTATIONS = "aws.xray.annotations"
"""The attribute that names the annotations, so that AWS' exporters index them."""
METADATA = "aws.xray.metadata."
"""What precedes the namespace in the attribute that holds its metadata."""

# X-Ray's names for facts of an HTTP call (aws_xray_sdk.core.models.http) to the
# stable HTTP conventions'.
_HTTP = {
    "url": "url.full",
    "method": "http.request.method",
    "user_agent": "user_agent.original",
    "client_ip": "client.address",
    "status": "http.response.status_code",
    "content_length": "http.response.body.size",
}
_SERVER_ERROR = 500


class OTelSegment(BaseSegment):
    """What ``in_subsegment()`` yields: Powertools' segment, backed by a span.

    Every method is total: a value that cannot be recorded is logged at DEBUG level
    and never disturbs the caller.

    Args:
        span: The span; its attributes are what Powertools calls annotations.
        limit: Most bytes of one annotation's text and of one metadata attribute.
        redact: Called with key and value of each metadata entry before it is
            recorded; what it returns is recorded instead.

    Attributes:
        span: The OpenTelemetry span.
        inner: The CONSUMER span within the invocation's span, where there is one:
            the user's spans go under it, annotations to the outer one.
        invocation: The invocation the span belongs to.
        error_captured: Whether Powertools handed us the exception, which it does
            where ``capture_error`` is on.
    """

    __slots__ = (
        "_annotations",
        "_ended",
        "_limit",
        "_metadata",
        "_put",
        "_redact",
        "detach",
        "error_captured",
        "inner",
        "invocation",
        "span",
    )

    def __init__(
        self,
        span: Span,
        limit: int,
        redact: Callable[[str, Any], Any] | None = None,
    ) -> None:
        self.span = span
        # Ours take what is fit for OTLP without another look.
        self._put = span.put if isinstance(span, LightSpan) else span.set_attributes
        self.inner: Span | None = None
        self.invocation: Invocation | None = None
        self.detach: Callable[[], None] | None = None
        self.error_captured = False
        self._limit = limit
        self._redact = redact
        self._annotations: tuple[str, ...] = ()
        self._metadata: dict[str, dict[str, Any]] | None = None
        self._ended = False

    @override
    def put_annotation(self, key: str, value: str | float | numbers.Number) -> None:
        """Set the attribute ``key``, and name it among the annotations."""
        try:
            name = key if type(key) is str else str(key)
            if not name:
                logger.debug("An annotation without a key was left out")
                return
            name = _values.clean(name)
            written = _values.attribute(value, self._limit)
            if name in self._annotations:
                self._put({name: written})
            else:
                self._annotations = (*self._annotations, name)
                self._put({name: written, ANNOTATIONS: self._annotations})
        except Exception as error:  # noqa: BLE001 - ours stay ours
            note("put an annotation", error)

    @override
    def put_metadata(
        self, key: str, value: Any, namespace: str | None = "default"
    ) -> None:
        """Add ``key`` to the JSON object that is the namespace's attribute."""
        if isinstance(value, BaseException):
            # Powertools hands over the exception that is about to leave the span;
            # leaving it makes the one exception event.
            self.error_captured = True
            if str(key).endswith(" error"):
                return
        with harmless("put metadata"):
            space = str(namespace or "default")
            name = key if type(key) is str else str(key)
            if self._redact is not None:
                value = self._redact(name, value)
            if self._metadata is None:
                self._metadata = {}
            entries = self._metadata.setdefault(space, {})
            entries[_values.clean(name)] = _values.plain(value, self._limit)
            written = _values.object_to_json(entries, self._limit)
            self._put({METADATA + _values.clean(space): written})

    @override
    def add_exception(
        self, exception: BaseException, stack: Any = None, remote: bool = False
    ) -> None:
        """Record a caught exception as the span's error."""
        with harmless("add an exception"):
            self.fail(exception)
            if remote:
                self.span.set_attribute("aws.remote.error", value=True)

    def fail(self, error: BaseException, *, private: bool = False) -> None:
        """Mark the span as failed by ``error``, with one ``exception`` event.

        Args:
            error: What was raised.
            private: Leave message and stack out (``capture_error=False``).
        """
        span = self.span
        if not span.is_recording():
            return
        with harmless("record an exception"):
            event = exception_event(error, private=private)
            span.add_event("exception", event)
            span.set_attribute("error.type", event["exception.type"])
            span.set_status(
                Status(StatusCode.ERROR, event.get("exception.message") or None)
            )

    def fail_inner(self, error: BaseException) -> None:
        """Mark the CONSUMER span too; the event is told once, on the outer span."""
        if self.inner is not None:
            with harmless("mark the consumer span"):
                event = exception_event(error, private=True)
                self.inner.set_attribute("error.type", event["exception.type"])
                self.inner.set_status(Status(StatusCode.ERROR))

    def _resume(self) -> None:
        """Take up what the span carries already, annotated by someone else."""
        carried: dict[str, Any] = dict(getattr(self.span, "attributes", None) or {})
        self._annotations = tuple(carried.get(ANNOTATIONS, ()))
        for key, value in carried.items():
            if key.startswith(METADATA) and isinstance(value, str):
                with harmless("resume metadata"):
                    space = key.removeprefix(METADATA)
                    self._metadata = self._metadata or {}
                    self._metadata[space] = dict(json.loads(value))

    def note_http_status(self, code: int) -> None:
        """Record an HTTP response's status; from 500 on, the span is an error."""
        self.span.set_attribute("http.response.status_code", code)
        if code >= _SERVER_ERROR:
            self.span.set_attribute("error.type", str(code))
            self.span.set_status(Status(StatusCode.ERROR))

    @override
    def close(self, end_time: float | None = None) -> None:
        """End the span, once.

        Args:
            end_time: Seconds since the epoch; now, if not given.
        """
        if self._ended:
            return
        self._ended = True
        try:
            end_ns = None if end_time is None else int(end_time * 1e9)
            if self.inner is not None:
                self.inner.end(end_ns)
            self.span.end(end_ns)
        except Exception as error:  # noqa: BLE001 - ours stay ours
            note("end a span", error)
        # Once, and gone: a cycle would keep all of it until the next collection.
        detach, self.detach = self.detach, None
        if detach is not None:
            detach()

    @override
    def add_subsegment(self, subsegment: Any) -> None:
        """Nothing to do: a span's parent is fixed when it begins."""

    @override
    def remove_subsegment(self, subsegment: Any) -> None:
        """Nothing to do: spans are sent whether their parent is or not."""

    # What the X-Ray SDK's segments offer beyond Powertools' interface.

    @property
    def id(self) -> str:
        """The span id, 16 hexadecimal digits."""
        return f"{self.span.get_span_context().span_id:016x}"

    @property
    def trace_id(self) -> str:
        """The trace id in X-Ray's form, ``1-<8 digits>-<24 digits>``."""
        digits = f"{self.span.get_span_context().trace_id:032x}"
        return f"1-{digits[:8]}-{digits[8:]}"

    @property
    def parent_id(self) -> str | None:
        """The parent's span id, or None for a root."""
        parent = getattr(self.span, "parent", None)
        return None if parent is None else f"{parent.span_id:016x}"

    @property
    def name(self) -> str:
        """The span's name."""
        return str(getattr(self.span, "name", ""))

    @property
    def sampled(self) -> bool:
        """Whether the span will be sent."""
        return self.span.get_span_context().trace_flags.sampled

    @property
    def in_progress(self) -> bool:
        """Whether the span has not ended."""
        return not self._ended

    def set_user(self, user: object) -> None:
        """Record who the request was for (X-Ray's ``user``)."""
        with harmless("set the user"):
            self.span.set_attribute("enduser.id", _values.attribute(user, self._limit))

    def put_http_meta(self, key: str, value: Any) -> None:
        """Record a fact of an HTTP call by X-Ray's name for it."""
        with harmless("put HTTP metadata"):
            if key == "status":
                self.apply_status_code(value)
            elif key in _HTTP:
                self.span.set_attribute(
                    _HTTP[key], _values.attribute(value, self._limit)
                )

    def apply_status_code(self, status_code: object) -> None:
        """Record the status of an HTTP call; from 400 on the call is an error."""
        with harmless("apply a status code"):
            code = int(str(status_code))
            self.note_http_status(code)
            if code >= 400:  # noqa: PLR2004 - what a client calls an error
                self.add_error_flag()

    def add_error_flag(self) -> None:
        """Mark the span as failed."""
        with harmless("mark an error"):
            self.span.set_status(Status(StatusCode.ERROR))

    add_fault_flag = add_error_flag
    add_throttle_flag = add_error_flag

    def set_sql(self, sql: dict[str, Any]) -> None:
        """Record a database call: X-Ray's ``sanitized_query`` and its like."""
        with harmless("set SQL"):
            self.put_metadata("sql", sql, "aws")

    def set_aws(self, aws_meta: dict[str, Any]) -> None:
        """Record an AWS call's facts."""
        with harmless("set AWS metadata"):
            self.put_metadata("aws", aws_meta, "aws")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self.fail(error)
        self.close()


_foreign: weakref.WeakKeyDictionary[Span, OTelSegment] = weakref.WeakKeyDictionary()


def segment_of(
    span: Span, limit: int, redact: Callable[[str, Any], Any] | None
) -> OTelSegment:
    """The segment of a span that others began, the same one each time."""
    segment = _foreign.get(span)
    if segment is None:
        segment = OTelSegment(span, limit, redact)
        segment._resume()  # noqa: SLF001 - this module's own class
        _foreign[span] = segment
    return segment


NO_SEGMENT = OTelSegment(trace.INVALID_SPAN, 0)
"""The segment of a disabled Tracer: takes everything, records nothing."""
