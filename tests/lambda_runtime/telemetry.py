"""Where the function's telemetry arrives: a collector that can go away and return."""

import base64
import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

PATHS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Span(NamedTuple):
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    status: int
    attributes: dict
    resource: dict
    raw: bytes


class Receiver:
    """Takes OTLP/HTTP on a port that it keeps, also while it is stopped."""

    def __init__(self):
        self.requests = []
        self.connections = []
        self.delay_s = 0.0
        self._server = None
        self.port = 0
        self.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def stop(self):
        """Go away: connections are reset, new ones refused."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.hang_up()

    def clear(self):
        self.requests.clear()

    def spans(self):
        """All spans that arrived, in order, repetitions included."""
        return _spans(self.requests)

    def named(self, name):
        return [span for span in self.spans() if span.name == name]

    def points(self, name):
        """Values of all delta points of that name, and their resources."""
        return _points(self.requests, name)

    def wait_for(self, condition, timeout=5.0):
        """Wait until ``condition()`` holds, and return what it gave."""
        end = time.monotonic() + timeout
        while not (found := condition()) and time.monotonic() < end:
            time.sleep(0.005)
        return found


class Printed:
    """What a function wrote as OTLP/JSON lines, among others of its output."""

    def __init__(self, lines):
        self.requests = [
            message for line in lines if (message := _of_line(line)) is not None
        ]

    def spans(self):
        return _spans(self.requests)

    def points(self, name):
        return _points(self.requests, name)


def _of_line(line):
    for field, kind in (
        ("resourceSpans", ExportTraceServiceRequest),
        ("resourceMetrics", ExportMetricsServiceRequest),
    ):
        if line.startswith(f'{{"{field}"'):
            content = json.loads(line)
            _ids_to_base64(content)
            return json_format.ParseDict(content, kind())
    return None


def _ids_to_base64(node):
    """OTLP/JSON has ids in hexadecimal; protobuf's own JSON reads base64."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("traceId", "spanId", "parentSpanId"):
            node[key] = base64.b64encode(bytes.fromhex(value)).decode()
        elif isinstance(value, (dict, list)):
            _ids_to_base64(value)


def _spans(requests):
    return [
        Span(
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code,
            _plain(span.attributes),
            _plain(of_resource.resource.attributes),
            span.SerializeToString(deterministic=True),
        )
        for message in list(requests)
        if isinstance(message, ExportTraceServiceRequest)
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _points(requests, name):
    return [
        (point.as_double or point.as_int, _plain(of_resource.resource.attributes))
        for message in list(requests)
        if isinstance(message, ExportMetricsServiceRequest)
        for of_resource in message.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        if metric.name == name
        for point in metric.sum.data_points
    ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, receiver):
        self.receiver = receiver
        self.connections = set()
        super().__init__(("127.0.0.1", receiver.port), _Handler)

    def process_request(self, request, client_address):
        self.connections.add(request)
        self.receiver.connections.append(client_address)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """A function that was killed hangs up in the middle."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        receiver = self.server.receiver
        receiver.requests.append(PATHS[self.path].FromString(body))
        if receiver.delay_s:
            time.sleep(receiver.delay_s)
        self.send_response_only(200)
        self.send_header("content-length", "0")
        self.end_headers()


def _plain(attributes):
    return {each.key: _value(each.value) for each in attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
