"""A backend on loopback: keeps OTLP/HTTP requests of any path, decoded."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from typing_extensions import Self, override

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


@dataclass(frozen=True)
class Received:
    """One export request: its path, its headers by lower-case name, its message."""

    path: str
    headers: dict[str, str]
    message: Any


@dataclass
class StandIn:
    """A backend from `with` to its end."""

    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.received = self.received
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def of(self, signal: str) -> list[Received]:
        return [item for item in self.received if item.path.endswith(f"/v1/{signal}")]

    def spans(self) -> list[Any]:
        return [
            span
            for item in self.of("traces")
            for resource in item.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> list[Any]:
        return [
            metric
            for item in self.of("metrics")
            for resource in item.message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def wait(self, condition: Callable[[StandIn], object], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, [item.path for item in self.received]
            time.sleep(0.02)


class _Server(ThreadingHTTPServer):
    received: list[Received]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        suffix = self.path[self.path.rfind("/v1/") :]
        message = MESSAGES[suffix].FromString(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.path, headers, message))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""
