"""An OTLP endpoint for tests, in this process: it keeps what it gets, and fails on demand.

Needs the official OTLP messages (``pip install powertools-otel[otlp]``), since what it
keeps are those; gRPC needs ``grpcio`` from the same extra.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from base64 import b64encode
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

from typing_extensions import override

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
_POLL_S = 0.01
_PATHS = {"/v1/traces": "traces", "/v1/metrics": "metrics"}
_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "identity": bytes,
}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_GRPC_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "RESOURCE_EXHAUSTED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a request is answered other than at once and by 200. Combine at will."""

    delay_s: float = 0.0
    """Wait this long, in s, before answering."""
    status: int = 200
    """Answer with this HTTP status; a gRPC client gets the code that is closest."""
    retry_after: str | None = None
    """The value of ``Retry-After``: seconds or an HTTP date (RetryInfo for gRPC)."""
    body: bytes | None = None
    """The answer's body instead of an export response."""
    rejected: int = 0
    """Partial success: how many items are not accepted."""
    message: str = ""
    """The error message of a partial success."""
    hang: bool = False
    """Read the request and never answer."""
    trickle_s: float | None = None
    """Send the answer byte by byte, this many s apart."""
    close: bool = False
    """Close the connection without an answer."""

    @property
    def accepts(self) -> bool:
        """Whether what the request holds counts as received."""
        return self.status == 200 and not self.hang and not self.close  # noqa: PLR2004


HEALTHY = Fault()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One export request."""

    signal: Literal["traces", "metrics"]
    protocol: Literal["http/protobuf", "http/json", "grpc"]
    headers: Mapping[str, str]
    """Headers, or gRPC metadata, by lower-case name."""
    message: Any
    """The official ``ExportTraceServiceRequest`` or ``ExportMetricsServiceRequest``."""
    size: int
    """Bytes of the body as it travelled."""
    connection: str
    """The client's address: requests on one connection have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """A span with what surrounds it."""

    span: Span
    scope: InstrumentationScope
    resource: Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMetric:
    """A metric with what surrounds it."""

    metric: Metric
    scope: InstrumentationScope
    resource: Resource


@dataclass(slots=True)
class _State:
    """What all of a receiver's threads share."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: list[ReceivedRequest] = field(default_factory=list["ReceivedRequest"])
    attempts: int = 0
    next_faults: deque[Fault] = field(default_factory=deque["Fault"])
    fault: Fault = HEALTHY
    stopping: threading.Event = field(default_factory=threading.Event)

    def take(self, request: ReceivedRequest) -> Fault:
        """Keep a request if it is accepted; return how to answer it."""
        with self.lock:
            self.attempts += 1
            fault = self.next_faults.popleft() if self.next_faults else self.fault
            if fault.accepts:
                self.requests.append(request)
        return fault


class OTLPReceiver:
    """An OTLP endpoint on a free loopback port, from construction to ``close``.

    Use it as a context manager, and point ``OTEL_EXPORTER_OTLP_ENDPOINT`` to its
    :attr:`endpoint` (for gRPC: :attr:`grpc_endpoint`).

    Args:
        grpc: Serve gRPC, too.
        tls: Serve HTTPS by this context.

    Raises:
        ImportError: If the OTLP messages, or grpcio for gRPC, are not installed.
    """

    def __init__(
        self, *, grpc: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        _message("traces")
        self._state = _State()
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        """The port for HTTP, the same for the receiver's whole life."""
        self._listen()
        self._grpc = _GrpcServer(self._state) if grpc else None

    def __enter__(self) -> Self:
        """Return the receiver, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @property
    def endpoint(self) -> str:
        """The base URL for OTLP over HTTP."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    @property
    def grpc_endpoint(self) -> str:
        """The URL for OTLP over gRPC.

        Raises:
            RuntimeError: If it does not serve gRPC.
        """
        if self._grpc is None:
            msg = "use OTLPReceiver(grpc=True)"
            raise RuntimeError(msg)
        return f"http://{LOOPBACK}:{self._grpc.port}"

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """The accepted requests, in the order of their arrival."""
        with self._state.lock:
            return tuple(self._state.requests)

    @property
    def attempts(self) -> int:
        """How many requests have come, those included that were not accepted."""
        with self._state.lock:
            return self._state.attempts

    @property
    def spans(self) -> Sequence[ReceivedSpan]:
        """Every span of the accepted requests, a span sent twice twice."""
        return [
            ReceivedSpan(span=span, scope=inner.scope, resource=outer.resource)
            for request in self.requests
            if request.signal == "traces"
            for outer in request.message.resource_spans
            for inner in outer.scope_spans
            for span in inner.spans
        ]

    @property
    def metrics(self) -> Sequence[ReceivedMetric]:
        """Every metric of the accepted requests."""
        return [
            ReceivedMetric(metric=metric, scope=inner.scope, resource=outer.resource)
            for request in self.requests
            if request.signal == "metrics"
            for outer in request.message.resource_metrics
            for inner in outer.scope_metrics
            for metric in inner.metrics
        ]

    def fail(self, fault: Fault = HEALTHY) -> None:
        """Answer every request like this from now on; without a fault, properly."""
        with self._state.lock:
            self._state.fault = fault
            self._state.next_faults.clear()

    def fail_next(self, *faults: Fault) -> None:
        """Answer the next requests like this, one fault each, then as before."""
        with self._state.lock:
            self._state.next_faults.extend(faults)

    def refuse(self) -> None:
        """Stop listening and break all HTTP connections, until :meth:`accept`."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.break_connections()
            server.server_close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def accept(self) -> None:
        """Listen again, on the same port."""
        if self._server is None:
            self._state.stopping.clear()
            self._listen()

    def clear(self) -> None:
        """Forget what was received so far."""
        with self._state.lock:
            self._state.requests.clear()
            self._state.attempts = 0

    def wait_for(
        self, condition: Callable[[Self], object], timeout_s: float = 5
    ) -> None:
        """Wait until ``condition(receiver)`` is true.

        Raises:
            TimeoutError: If it is not in time.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() >= deadline:
                msg = f"not in {timeout_s} s; {len(self.requests)} requests so far"
                raise TimeoutError(msg)
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Stop serving; what was received stays readable."""
        self._state.stopping.set()
        self.refuse()
        if self._grpc is not None:
            self._grpc.close()

    def _listen(self) -> None:
        self._server = _Server((LOOPBACK, self.port), self._state, self._tls)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": _POLL_S},
            name="otlp-receiver",
            daemon=True,
        )
        self._thread.start()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them, so nothing leaks
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], state: _State, tls: ssl.SSLContext | None
    ) -> None:
        self.state = state
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._tracking = threading.Lock()
        super().__init__(address, _Handler)

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            # The handshake takes place at the first read, in the handler's thread.
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._tracking:
            self._connections.add(connection)
        return connection, address

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._tracking:
            self._connections.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are what the tests are about."""

    def break_connections(self) -> None:
        self.state.stopping.set()
        with self._tracking:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _state(self) -> _State:
        return cast("_Server", self.server).state

    def do_POST(self) -> None:
        """Keep the request, and answer as the fault of the moment says."""
        raw = self._read_body()
        signal = _PATHS.get(self.path.partition("?")[0])
        if signal is None:
            self._answer(404, b"no such path", "text/plain", HEALTHY)
            return
        kind = self.headers.get("Content-Type", "")
        try:
            request = self._decode(cast("Any", signal), kind, raw)
        except Exception as error:  # noqa: BLE001 - whatever cannot be decoded is a 400
            self._answer(400, str(error).encode(), "text/plain", HEALTHY)
            return
        fault = self._state.take(request)
        if fault.delay_s and self._state.stopping.wait(fault.delay_s):
            fault = Fault(close=True)
        if fault.hang:
            self._state.stopping.wait()
        if fault.hang or fault.close:
            self.close_connection = True
            return
        body = fault.body
        if body is None:
            body = _response(request, fault) if fault.accepts else b""
        self._answer(fault.status, body, kind, fault)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _decode(
        self, signal: Literal["traces", "metrics"], kind: str, raw: bytes
    ) -> ReceivedRequest:
        coding = self.headers.get("Content-Encoding", "identity")
        body = _DECODERS[coding](raw)
        is_json = "json" in kind
        message = _message(signal)
        if is_json:
            parse = import_module("google.protobuf.json_format").ParseDict
            parse(
                _with_base64_ids(json.loads(body)), message, ignore_unknown_fields=True
            )
        elif kind == "application/x-protobuf":
            message.ParseFromString(body)
        else:
            msg = f"unknown content type {kind!r}"
            raise ValueError(msg)
        return ReceivedRequest(
            signal=signal,
            protocol="http/json" if is_json else "http/protobuf",
            headers={name.lower(): value for name, value in self.headers.items()},
            message=message,
            size=len(raw),
            connection=f"{self.client_address[0]}:{self.client_address[1]}",
        )

    def _answer(self, status: int, body: bytes, kind: str, fault: Fault) -> None:
        lines = [
            f"HTTP/1.1 {status} {self.responses.get(cast('Any', status), ('',))[0]}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
        ]
        if fault.retry_after is not None:
            lines.append(f"Retry-After: {fault.retry_after}")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        if fault.trickle_s is None:
            self.wfile.write(data)
            return
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            if self._state.stopping.wait(fault.trickle_s):
                break


class _GrpcServer:
    """The two Export methods on a free port."""

    def __init__(self, state: _State) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._grpc: Any = import_module("grpc")
        self._state = state
        self._server = self._grpc.server(ThreadPoolExecutor(8))
        for signal, method in _METHODS.items():
            _, service, name = method.split("/")
            handler = self._grpc.unary_unary_rpc_method_handler(
                self._exporter(cast("Any", signal))
            )
            self._server.add_generic_rpc_handlers(
                (self._grpc.method_handlers_generic_handler(service, {name: handler}),)
            )
        self.port: int = self._server.add_insecure_port(f"{LOOPBACK}:0")
        self._server.start()

    def close(self) -> None:
        """Stop, breaking off what is in progress."""
        self._state.stopping.set()
        self._server.stop(0).wait()

    def _exporter(
        self, signal: Literal["traces", "metrics"]
    ) -> Callable[[bytes, Any], bytes]:
        def export(body: bytes, context: Any) -> bytes:
            message = _message(signal)
            message.ParseFromString(body)
            request = ReceivedRequest(
                signal=signal,
                protocol="grpc",
                headers=dict(context.invocation_metadata()),
                message=message,
                size=len(body),
                connection=context.peer(),
            )
            return self._respond(request, self._state.take(request), context)

        return export

    def _respond(self, request: ReceivedRequest, fault: Fault, context: Any) -> bytes:
        codes = self._grpc.StatusCode
        self._state.stopping.wait(fault.delay_s)
        if fault.hang or fault.trickle_s is not None:
            self._state.stopping.wait()
        if fault.close:
            context.abort(codes.UNAVAILABLE, "closing")
        if fault.status != 200:  # noqa: PLR2004 - HTTP's OK
            if fault.retry_after is not None:
                details = _retry_info(float(fault.retry_after))
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            name = _GRPC_CODES.get(fault.status, "UNAVAILABLE")
            context.abort(codes[name], fault.message or str(fault.status))
        return fault.body if fault.body is not None else _response(request, fault)


def _message(signal: str) -> Any:
    """An empty request.

    Raises:
        ImportError: If the official messages are not installed; it says how to.
    """
    name = "trace" if signal == "traces" else signal
    try:
        module = import_module(
            f"opentelemetry.proto.collector.{name}.v1.{name}_service_pb2"
        )
    except ImportError as error:
        msg = "OTLPReceiver needs the OTLP messages: pip install powertools-otel[otlp]"
        raise ImportError(msg) from error
    return getattr(module, f"Export{name.capitalize()}ServiceRequest")()


def _response(request: ReceivedRequest, fault: Fault) -> bytes:
    """The export response in the protocol of the request."""
    name = "trace" if request.signal == "traces" else "metrics"
    module = import_module(
        f"opentelemetry.proto.collector.{name}.v1.{name}_service_pb2"
    )
    response = getattr(module, f"Export{name.capitalize()}ServiceResponse")()
    partial = response.partial_success
    if request.signal == "traces":
        partial.rejected_spans = fault.rejected
    else:
        partial.rejected_data_points = fault.rejected
    partial.error_message = fault.message
    if request.protocol == "http/json":
        to_json = import_module("google.protobuf.json_format").MessageToJson
        return str(to_json(response)).encode()
    return bytes(response.SerializeToString())


def _retry_info(seconds: float) -> bytes:
    status = import_module("google.rpc.status_pb2").Status()
    info = import_module("google.rpc.error_details_pb2").RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    status.details.add().Pack(info)
    return bytes(status.SerializeToString())


def _with_base64_ids(node: Any) -> Any:
    """OTLP/JSON as protobuf's JSON: ids in base64, which OTLP writes in hexadecimal."""
    if isinstance(node, dict):
        return {
            key: b64encode(bytes.fromhex(value)).decode()
            if key in _IDS and isinstance(value, str)
            else _with_base64_ids(value)
            for key, value in cast("dict[str, Any]", node).items()
        }
    if isinstance(node, list):
        return [_with_base64_ids(item) for item in cast("Iterable[Any]", node)]
    return node
