"""OTLP requests from spans and metrics, without protobuf's runtime or any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal, TypeAlias

    from opentelemetry.sdk.trace import ReadableSpan

    from powertools_otel._otlp._model import Resource, Scope

    Protocol: TypeAlias = Literal["http/protobuf", "http/json", "grpc"]
    Signal: TypeAlias = Literal["traces", "metrics"]

__all__ = ["Encoding", "encoding"]


class Encoding:
    """How the requests of one protocol are written.

    Attributes:
        content_type: The media type of a request.
        encode_spans: Encodes spans as a fragment of a request.
        encode_metrics: Encodes one resource's metrics as a fragment of a request.
        frame: Joins fragments of a signal into the body of one request.
    """

    __slots__ = ("content_type", "encode_metrics", "encode_spans", "frame")

    def __init__(
        self,
        content_type: str,
        encode_spans: Callable[[Iterable[ReadableSpan]], bytes],
        encode_metrics: Callable[[Resource, Iterable[Scope]], bytes],
        frame: Callable[[Signal, Iterable[bytes]], bytes],
    ) -> None:
        self.content_type = content_type
        self.encode_spans = encode_spans
        self.encode_metrics = encode_metrics
        self.frame = frame


def encoding(protocol: Protocol) -> Encoding:
    """The encoding of a protocol, importing no module of another one."""
    if protocol == "http/json":
        from powertools_otel._otlp import _json

        return Encoding(
            "application/json", _json.encode_spans, _json.encode_metrics, _json.frame
        )
    from powertools_otel._otlp import _protobuf

    return Encoding(
        "application/grpc" if protocol == "grpc" else "application/x-protobuf",
        _protobuf.encode_spans,
        _protobuf.encode_metrics,
        _protobuf.frame,
    )
