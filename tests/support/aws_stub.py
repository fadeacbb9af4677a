"""Loopback stand-ins for AWS X-Ray and CloudWatch Logs that keep what is sent.

For the Collector's `awsxray` and `awsemf` exporters and for boto3. They answer as
the service API references say, errors included, and check no signature.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message
    from types import TracebackType

    from typing_extensions import Self

Json = dict[str, Any]

LOOPBACK = "127.0.0.1"
REGION = "eu-west-1"
POLL_SECONDS = 0.02

# Credentials to sign with. The instance metadata service must not be asked for
# others: that would leave the machine.
DUMMY_CREDENTIALS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One API call as it arrived; `signed` says a SigV4 signature was there."""

    operation: str
    body: Json
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One event of PutLogEvents, with the time in milliseconds since the epoch."""

    group: str
    stream: str
    timestamp_ms: int
    message: str


class ServiceError(Exception):
    """An error answer of the service, by the name its API gives it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class AwsStub:
    """An AWS service on a free loopback port, from construction to `close`."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._errors: list[str] = []
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            daemon=True,
        )
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the stub, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @property
    def endpoint(self) -> str:
        """The base URL."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def exporter(self) -> Json:
        """Settings that bring a Collector exporter here instead of to AWS."""
        return {"endpoint": self.endpoint, "region": REGION, "local_mode": True}

    @property
    def calls(self) -> list[Call]:
        """Every call so far, refused ones included."""
        with self._lock:
            return list(self._calls)

    @property
    def errors(self) -> list[str]:
        """The names of the error answers given so far."""
        with self._lock:
            return list(self._errors)

    def close(self) -> None:
        """Stop serving; what arrived stays readable."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def operation(self, path: str, target: str) -> str:
        """Return the operation a request asks for."""
        raise NotImplementedError

    def perform(self, operation: str, body: Json) -> Json:
        """Return the answer; called with the lock held. Raises ServiceError."""
        raise NotImplementedError

    def answer(
        self, path: str, headers: Message, raw: bytes
    ) -> tuple[HTTPStatus, Json]:
        """Keep one request and return the status and body of its answer."""
        if headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        operation = self.operation(path, headers.get("X-Amz-Target", ""))
        body = json.loads(raw or b"{}")
        signature = headers.get("Authorization", "")
        call = Call(
            operation=operation,
            body=body,
            signed=signature.startswith("AWS4-HMAC-SHA256 "),
        )
        with self._lock:
            self._calls.append(call)
            try:
                return HTTPStatus.OK, self.perform(operation, body)
            except ServiceError as error:
                self._errors.append(error.name)
                answer = {"__type": error.name, "message": error.name}
                return HTTPStatus.BAD_REQUEST, answer

    def _wait(self, read: Callable[[], list[Any]], count: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while len(read()) < count:
            if time.monotonic() >= deadline:
                message = (
                    f"{len(read())} of {count} after {timeout} s, errors: {self.errors}"
                )
                raise TimeoutError(message)
            time.sleep(POLL_SECONDS)


class XRayStub(AwsStub):
    """AWS X-Ray's PutTraceSegments and PutTelemetryRecords."""

    def documents(self) -> list[Json]:
        """Return the segment documents in the order of their arrival."""
        return [
            json.loads(text)
            for call in self.calls
            if call.operation == "TraceSegments"
            for text in call.body["TraceSegmentDocuments"]
        ]

    def wait_for(self, count: int = 1, timeout: float = 10.0) -> list[Json]:
        """Return the documents once there are `count` at least; else TimeoutError."""
        self._wait(self.documents, count, timeout)
        return self.documents()

    @override
    def operation(self, path: str, target: str) -> str:
        return path.strip("/")  # a REST API: /TraceSegments

    @override
    def perform(self, operation: str, body: Json) -> Json:
        if operation == "TraceSegments":
            return {"UnprocessedTraceSegments": []}
        if operation == "TelemetryRecords":
            return {}
        raise ServiceError("InvalidRequestException")


class LogsStub(AwsStub):
    """CloudWatch Logs: groups and streams have to be created before events.

    Both exist once only, so a client sees `ResourceNotFoundException` and
    `ResourceAlreadyExistsException` where it would from AWS.
    """

    def __init__(self) -> None:
        self._streams: dict[str, set[str]] = {}
        self._events: list[LogEvent] = []
        super().__init__()

    def events(self) -> list[LogEvent]:
        """Return the log events in the order of their arrival."""
        with self._lock:
            return list(self._events)

    def emf(self) -> list[Json]:
        """Return the events that are EMF documents: JSON with an `_aws` object."""
        parsed = [_object(event.message) for event in self.events()]
        return [document for document in parsed if "_aws" in document]

    def wait_for(self, count: int = 1, timeout: float = 10.0) -> list[Json]:
        """Return `emf()` once there are `count` at least; else TimeoutError."""
        self._wait(self.emf, count, timeout)
        return self.emf()

    @override
    def operation(self, path: str, target: str) -> str:
        return target.removeprefix("Logs_20140328.")

    @override
    def perform(self, operation: str, body: Json) -> Json:
        group = body.get("logGroupName", "")
        match operation:
            case "CreateLogGroup":
                if group in self._streams:
                    raise ServiceError("ResourceAlreadyExistsException")
                self._streams[group] = set()
                return {}
            case "CreateLogStream":
                streams = self._group(group)
                if body["logStreamName"] in streams:
                    raise ServiceError("ResourceAlreadyExistsException")
                streams.add(body["logStreamName"])
                return {}
            case "PutRetentionPolicy":
                self._group(group)
                return {}
            case "PutLogEvents":
                return self._put(group, body["logStreamName"], body["logEvents"])
            case _:
                raise ServiceError("UnknownOperationException")

    def _group(self, group: str) -> set[str]:
        if group not in self._streams:
            raise ServiceError("ResourceNotFoundException")
        return self._streams[group]

    def _put(self, group: str, stream: str, events: list[Json]) -> Json:
        if stream not in self._group(group):
            raise ServiceError("ResourceNotFoundException")
        self._events.extend(
            LogEvent(
                group=group,
                stream=stream,
                timestamp_ms=event["timestamp"],
                message=event["message"],
            )
            for event in events
        )
        return {"nextSequenceToken": str(len(self._events))}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: AwsStub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds a silent connection is kept
    # Status, headers and body in one segment: AWS' Go SDK now and then closes the
    # connection between them, and reports an error answer as a broken connection.
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        status, answer = self.server.stub.answer(
            self.path, self.headers, self.rfile.read(length)
        )
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the stub keeps the calls."""


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
