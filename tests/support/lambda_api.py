"""The Lambda Runtime API and Extensions API of one execution environment.

After the Lambda developer guide, "Runtime API" and "Extensions API". Where the guide
is silent on an error's name, and for the states in which a request is allowed, after
the Runtime Interface Emulator's source.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from socketserver import StreamRequestHandler, TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
Outcome = Literal["success", "error", "timeout", "exit"]

LOOPBACK = "127.0.0.1"
MAX_EXTENSIONS = 10
POLL_SECONDS = 0.02


class StrictLambdaError(Exception):
    """Superclass of what the strict server raises."""


class EnvironmentBusyError(StrictLambdaError):
    """The environment is busy: Lambda would have started another one."""


@dataclass(slots=True, eq=False, kw_only=True)
class Call:
    """An invocation under way. `sent` and `answered` are of the monotonic clock."""

    payload: bytes
    arn: str
    trace_header: str
    client_context: Json | None
    cognito_identity: Json | None
    timeout: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent: float = 0.0
    deadline_ms: int = 0
    answered: float | None = None
    answer: bytes = b""
    content_type: str = "application/json"
    failed: bool = False

    def send(self) -> None:
        """Start the clock."""
        self.sent = time.monotonic()
        self.deadline_ms = int((time.time() + self.timeout) * 1000)

    def headers(self) -> dict[str, str]:
        """Return the headers that the runtime gets with the payload."""
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
        }
        if self.trace_header:
            headers["Lambda-Runtime-Trace-Id"] = self.trace_header
        if self.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = json.dumps(self.client_context)
        if self.cognito_identity is not None:
            identity = json.dumps(self.cognito_identity)
            headers["Lambda-Runtime-Cognito-Identity"] = identity
        return headers

    def event(self) -> Json:
        """Return the INVOKE event that extensions get."""
        return {
            "eventType": "INVOKE",
            "deadlineMs": self.deadline_ms,
            "requestId": self.request_id,
            "invokedFunctionArn": self.arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": self.trace_header},
        }

    def result(self) -> Any:
        """Return what the handler returned, None if it failed."""
        if self.failed:
            return None
        is_json = self.content_type.startswith("application/json")
        return json.loads(self.answer) if is_json else self.answer

    def error(self) -> Json | None:
        """Return what the caller got as an error, if it got one."""
        return json.loads(self.answer) if self.failed else None


@dataclass(slots=True, eq=False)
class _Extension:
    name: str
    events: frozenset[str]
    waits: bool = False  # in /event/next
    seen: bool = False  # was there once
    failed: bool = False
    event: Json | None = None


@dataclass(slots=True, eq=False)
class _Poll:
    """A worker of the runtime in /invocation/next."""

    call: Call | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """A request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class _RefusedError(Exception):
    """A request gets an error answer, of which this is the type."""

    def __init__(self, kind: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(kind)
        self.answer = _json_answer({"errorType": kind, "errorMessage": kind}, status)


class _ClosedError(Exception):
    """The environment ended while a request was waiting: there is no answer."""


def _json_answer(
    body: Json,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> _Answer:
    kind = {"Content-Type": "application/json"}
    return _Answer(status, json.dumps(body).encode(), {**kind, **(headers or {})})


ACCEPTED = _json_answer({"status": "OK"}, HTTPStatus.ACCEPTED)


class LambdaApi:
    """The state of one environment, and the answers to its process.

    All is guarded by `changed`, which is notified of every change.

    Attributes:
        failure: The error that ended INIT or RESTORE, as it was posted.

        exited: The runtime's process has ended.

        ready_at: When someone last asked for an event, by the monotonic clock.

    """

    def __init__(
        self, *, function: Json, account_id: str, workers: int, snapshots: bool
    ) -> None:
        """Describe the environment.

        Args:
            function: What an extension learns of it when it registers.

            account_id: What it learns on request.

            workers: How many processes of the runtime ask for invocations.

            snapshots: INIT ends with a snapshot.

        """
        self.changed = threading.Condition()
        self.failure: Json | None = None
        self.exited = False
        self.ready_at = 0.0
        self._function = function
        self._account_id = account_id
        self._workers = workers
        self._snapshots = snapshots
        self._in_snapshot = False
        self._registration_open = True
        self._closed = False
        self._polls: deque[_Poll] = deque()
        self._extensions: dict[str, _Extension] = {}
        self._calls: dict[str, Call] = {}

    @property
    def extensions(self) -> dict[str, frozenset[str]]:
        """The events by the extension's name."""
        with self.changed:
            return {each.name: each.events for each in self._extensions.values()}

    @property
    def in_snapshot(self) -> bool:
        """Whether the runtime waits to be restored."""
        with self.changed:
            return self._in_snapshot

    def initialized(self) -> bool:
        """Return whether the runtime and all extensions wait for an event."""
        return self._runtime_ready() and all(
            each.seen for each in self._extensions.values()
        )

    def missing(self) -> str:
        """Say who keeps INIT from ending."""
        names = [each.name for each in self._extensions.values() if not each.seen]
        runtime = [] if self._runtime_ready() else ["the runtime"]
        waiting = runtime + [f"extension {name}" for name in names]
        return f"{' and '.join(waiting)} did not ask for an event in time"

    def restore(self) -> None:
        """Let the runtime go on from its snapshot."""
        with self.changed:
            self._in_snapshot = False
            self.changed.notify_all()

    def deliver(self, call: Call) -> None:
        """Hand an event to the worker that waited longest, and to extensions.

        Raises:
            EnvironmentBusyError: As many invocations as there are workers run.

        """
        with self.changed:
            if len(self._calls) >= self._workers or not self._polls:
                message = "an earlier invocation has not ended"
                raise EnvironmentBusyError(message)
            call.send()
            self._calls[call.request_id] = call
            self._polls.popleft().call = call
            for extension in self._extensions.values():
                if "INVOKE" in extension.events:
                    extension.waits = False
                    extension.event = call.event()
            self.changed.notify_all()

    def await_end(self, call: Call) -> tuple[Outcome, bool]:
        """Wait for the end of an invocation.

        Returns:
            The outcome, and whether only extensions were missing at a timeout.

        """
        with self.changed:
            self.changed.wait_for(
                lambda: self._ended(call) or self.exited,
                max(0.0, call.sent + call.timeout - time.monotonic()),
            )
            if self._ended(call):
                return ("error" if call.failed else "success"), False
            if self.exited:
                return "exit", False
            return "timeout", call.answered is not None and self._workers_back()

    def settle(self, call: Call, kind: str, reason: str) -> None:
        """Give the caller an error, unless it has an answer."""
        message = f"RequestId: {call.request_id} Error: {reason}"
        with self.changed:
            if call.answered is None:
                body = {"errorType": kind, "errorMessage": message}
                call.answer = json.dumps(body).encode()
                call.failed = True
                call.answered = time.monotonic()
                self.changed.notify_all()

    def forget(self, call: Call) -> None:
        """Make room for another invocation."""
        with self.changed:
            self._calls.pop(call.request_id, None)

    def close(self, *, exited: bool = False) -> None:
        """Leave all waiting requests without an answer."""
        with self.changed:
            self._closed = True
            self.exited = self.exited or exited
            self.changed.notify_all()

    def answer(self, request: _Request) -> _Answer:
        """Answer a request, which may take until the next invocation.

        Raises:
            _ClosedError: The environment ended meanwhile.

        """
        version, _, path = request.path.strip("/").partition("/")
        try:
            match version, path.split("/"):
                case "2018-06-01", ["runtime", *rest]:
                    return self._runtime(request, rest)
                case "2020-01-01", ["extension", *rest]:
                    return self._extensions_api(request, rest)
                case _:
                    return _Answer(HTTPStatus.NOT_FOUND)
        except _RefusedError as refused:
            return refused.answer

    def _runtime(self, request: _Request, path: list[str]) -> _Answer:
        match request.method, path:
            case "GET", ["invocation", "next"]:
                return self._invocation_next()
            case "POST", ["invocation", request_id, "response"]:
                return self._invocation_end(request, request_id, failed=False)
            case "POST", ["invocation", request_id, "error"]:
                return self._invocation_end(request, request_id, failed=True)
            case "GET", ["restore", "next"]:
                return self._restore_next()
            case "POST", ["init" | "restore", "error"]:
                return self._fail(json.loads(request.body))
            case _:
                return _Answer(HTTPStatus.NOT_FOUND)

    def _extensions_api(self, request: _Request, path: list[str]) -> _Answer:
        match request.method, path:
            case "POST", ["register"]:
                return self._register(request)
            case "GET", ["event", "next"]:
                return self._event_next(request)
            case "POST", ["init" | "exit", "error"]:
                return self._extension_error(request)
            case _:
                return _Answer(HTTPStatus.NOT_FOUND)

    def _invocation_next(self) -> _Answer:
        poll = _Poll()
        with self.changed:
            unanswered = any(call.answered is None for call in self._calls.values())
            if unanswered and self._workers == 1:
                kind = "InvalidStateTransition"
                raise _RefusedError(kind)
            self._polls.append(poll)
            self._note_ready()
            self._await(lambda: poll.call is not None)
            assert poll.call is not None
            return _Answer(HTTPStatus.OK, poll.call.payload, poll.call.headers())

    def _invocation_end(
        self, request: _Request, request_id: str, *, failed: bool
    ) -> _Answer:
        with self.changed:
            call = self._calls.get(request_id)
            if call is None:
                kind = "InvalidRequestID"
                raise _RefusedError(kind, HTTPStatus.BAD_REQUEST)
            if call.answered is not None:
                kind = "InvalidStateTransition"
                raise _RefusedError(kind)
            call.answer = request.body
            call.content_type = request.headers.get("content-type", call.content_type)
            call.failed = failed
            call.answered = time.monotonic()
            self.changed.notify_all()
        return ACCEPTED

    def _restore_next(self) -> _Answer:
        with self.changed:
            self._in_snapshot = self._snapshots
            self._note_ready()
            self._await(lambda: not self._in_snapshot)
        return _Answer(HTTPStatus.OK)

    def _fail(self, error: Json) -> _Answer:
        with self.changed:
            self.failure = self.failure or error
            self.changed.notify_all()
        return ACCEPTED

    def _register(self, request: _Request) -> _Answer:
        name = request.headers.get("lambda-extension-name", "")
        events = _requested_events(request.body)
        allowed = {"INVOKE"} if self._workers == 1 else set[str]()
        identifier = str(uuid.uuid4())
        with self.changed:
            names = {each.name for each in self._extensions.values()}
            problems = {
                "Extension.InvalidExtensionName": not name,
                "InvalidRequestFormat": events is None,
                "Extension.InvalidEventType": not set(events or ()) <= allowed,
                "Extension.RegistrationClosed": not self._registration_open,
                "Extension.TooManyExtensions": len(names) >= MAX_EXTENSIONS,
                "Extension.InvalidExtensionState": name in names,
            }
            for kind, applies in problems.items():
                if applies:
                    raise _RefusedError(kind)
            self._extensions[identifier] = _Extension(name, frozenset(events or ()))
        answer = dict(self._function)
        features = request.headers.get("lambda-extension-accept-feature", "")
        if "accountId" in (feature.strip() for feature in features.split(",")):
            answer["accountId"] = self._account_id
        return _json_answer(answer, headers={"Lambda-Extension-Identifier": identifier})

    def _event_next(self, request: _Request) -> _Answer:
        with self.changed:
            extension = self._extension(request)
            if extension.failed or extension.waits:
                kind = "Extension.InvalidExtensionState"
                raise _RefusedError(kind)
            extension.waits = extension.seen = True
            self._note_ready()
            self._await(lambda: extension.event is not None)
            event, extension.event = extension.event, None
        assert event is not None
        identifier = {"Lambda-Extension-Event-Identifier": str(uuid.uuid4())}
        return _json_answer(event, headers=identifier)

    def _extension_error(self, request: _Request) -> _Answer:
        with self.changed:
            extension = self._extension(request)
            kind = request.headers.get("lambda-extension-function-error-type")
            if kind is None:
                missing = "Extension.MissingHeader"
                raise _RefusedError(missing)
            extension.failed = True
            extension.waits = False
            if not extension.seen:
                message = f"extension {extension.name} reported {kind}"
                return self._fail({"errorType": kind, "errorMessage": message})
        return ACCEPTED

    def _extension(self, request: _Request) -> _Extension:
        identifier = request.headers.get("lambda-extension-identifier")
        if identifier is None:
            kind = "Extension.MissingHeader"
        elif identifier not in self._extensions:
            kind = "Extension.UnknownExtensionIdentifier"
        else:
            return self._extensions[identifier]
        raise _RefusedError(kind)

    def _note_ready(self) -> None:
        self.ready_at = time.monotonic()
        if self._runtime_ready():
            self._registration_open = False
        self.changed.notify_all()

    def _await(self, condition: Callable[[], bool]) -> None:
        self.changed.wait_for(lambda: condition() or self._closed)
        if not condition():
            raise _ClosedError

    def _runtime_ready(self) -> bool:
        return self._in_snapshot or len(self._polls) >= self._workers

    def _workers_back(self) -> bool:
        busy = sum(call.answered is None for call in self._calls.values())
        return len(self._polls) >= self._workers - busy

    def _ended(self, call: Call) -> bool:
        return (
            call.answered is not None
            and self._workers_back()
            and all(
                each.waits
                for each in self._extensions.values()
                if "INVOKE" in each.events
            )
        )


def _requested_events(body: bytes) -> list[str] | None:
    """Return the events of a registration, None if it has not the right form."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        return None
    match document:
        case {"events": [*events]}:
            return [str(event) for event in events]
        case _:
            return None


class LambdaApiServer(ThreadingMixIn, TCPServer):
    """An API on a free loopback port, from construction to `close`.

    Attributes:
        errors: What was raised here while a request was handled.

    """

    request_queue_size = 64

    def __init__(self, api: LambdaApi) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.api = api
        self.errors: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._handlers: list[threading.Thread] = []
        self._thread = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            daemon=True,
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port`, for `AWS_LAMBDA_RUNTIME_API`."""
        return f"{LOOPBACK}:{self.server_address[1]}"

    def close(self) -> None:
        """Stop, whoever still holds a connection."""
        self.api.close()
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # it has just been closed
                connection.shutdown(socket.SHUT_RDWR)
        for handler in self._handlers:
            handler.join()
        self.server_close()

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread that `close` waits for, and no one else."""
        self._connections.add(request)
        handler = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            daemon=True,
        )
        self._handlers = [*filter(threading.Thread.is_alive, self._handlers), handler]
        handler.start()

    @override
    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what is a bug here; a process that was killed hangs up."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (ConnectionError, _ClosedError)):
            self.errors.append(error)


class _Handler(StreamRequestHandler):
    """HTTP/1.1, as much as a runtime and an extension need.

    The standard library's handler allows 64 KiB for a header. The runtime client sends
    the cause of an error in one of up to 1 MiB.
    """

    disable_nagle_algorithm = True

    @override
    def handle(self) -> None:
        """Answer requests until the client hangs up."""
        assert isinstance(self.server, LambdaApiServer)
        while start := self.rfile.readline():
            method, path, _version = start.decode("latin-1").split()
            headers = self._headers()
            if headers.get("expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request = _Request(method, path, headers, self._body(headers))
            self.wfile.write(_encode(self.server.api.answer(request)))
            if headers.get("connection", "").lower() == "close":
                break

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", 0)))
        parts: list[bytes] = []
        while size := int(self._line(), 16):
            parts.append(self._exactly(size))
            self._line()
        self._headers()  # trailers
        return b"".join(parts)

    def _line(self) -> str:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            message = "the request ends in the middle"
            raise ConnectionError(message)
        return line.decode("latin-1").rstrip("\r\n")

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            message = "the request ends in the middle"
            raise ConnectionError(message)
        return data


def _encode(answer: _Answer) -> bytes:
    """Return an answer as one piece, which one packet may carry."""
    status = f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"
    headers = {**answer.headers, "Content-Length": len(answer.body)}
    lines = [status, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
