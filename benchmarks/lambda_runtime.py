"""A function under Lambda's own runtime client, and the APIs that it asks.

As strict as Lambda: an invocation is handed out only when the runtime, and the
extension if one has registered, have asked for it. One function, one thread, plain
sockets, so that little of the two processors goes to what is not measured.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:benchmark"
TIMEOUT_S = 30
PIPE_BYTES = 1 << 20
EVENT = b'{"eventType":"INVOKE","requestId":"%s","deadlineMs":%d}'

_ACCEPTED = 202
_OK = 200


class FunctionError(Exception):
    """The function ended, was silent, or did what Lambda would have refused."""


class Times(NamedTuple):
    """An invocation, in ns of ``time.perf_counter_ns``."""

    handed_out: int
    """The runtime is about to get it."""
    answered: int
    """The response is there."""
    ready: int
    """The runtime and the extension have both asked for the next."""


class Function:
    """The server's side of one execution environment; see `running`.

    Attributes:
        extended: Whether an extension that wants to know of invocations registered.
        output: What it prints can be read from this descriptor, and has to be, before
            there is a MiB of it.
    """

    def __init__(self, listener: socket.socket, output: int) -> None:
        self.extended = False
        self.output = output
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._buffers: dict[socket.socket, bytearray] = {}
        self._listener = listener
        self._runtime: socket.socket | None = None
        self._extension: socket.socket | None = None
        self._number = 0
        self._handed_out = self._answered = self._ready = 0

    def invoke(self) -> Times:
        """Hand an invocation out, and wait until all have asked for the next.

        Raises:
            FunctionError: There was no response, or an error instead.
        """
        self.wait()
        assert self._runtime is not None
        self._number += 1
        request_id = f"00000000-0000-4000-8000-{self._number:012d}"
        deadline_ms = int((time.time() + TIMEOUT_S) * 1000)
        root = f"1-5759e988-{self._number:024x}"
        told, asked = self._extension, self._runtime
        self._extension = self._runtime = None
        self._answered = 0
        # The extension first, as in AWS's own emulator.
        if told is not None:
            event = EVENT % (request_id.encode(), deadline_ms)
            told.sendall(_message(_OK, event))
        message = _message(
            _OK,
            b"{}",
            {
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": ARN,
                "Lambda-Runtime-Trace-Id": (
                    f"Root={root};Parent=53995c3f42cd8ad8;Sampled=1"
                ),
            },
        )
        self._handed_out = time.perf_counter_ns()
        asked.sendall(message)
        self.wait()
        return Times(self._handed_out, self._answered, self._ready)

    def wait(self) -> None:
        """Wait until all have asked for an invocation.

        Raises:
            FunctionError: Someone did not within 30 s, or hung up.
        """
        while self._runtime is None or (self.extended and self._extension is None):
            events = self._selector.select(TIMEOUT_S)
            if not events:
                msg = "neither a response nor a request for another invocation"
                raise FunctionError(msg)
            for key, _ in events:
                if key.fileobj is self._listener:
                    self._connect()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._receive(key.fileobj)

    def close(self) -> None:
        """Hang up."""
        for connection in self._buffers:
            connection.close()
        self._selector.close()

    def _connect(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffers[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> None:
        data = connection.recv(65_536)
        now = time.perf_counter_ns()
        if not data:
            msg = "the function hung up"
            raise FunctionError(msg)
        buffer = self._buffers[connection]
        buffer += data
        head, found, body = bytes(buffer).partition(b"\r\n\r\n")
        if found and len(body) >= _content_length(head):
            buffer.clear()  # nobody sends another request before the answer
            method, path, _ = head.decode("latin-1").split(" ", 2)
            self._answer(connection, method, path, body, now)

    def _answer(
        self, connection: socket.socket, method: str, path: str, body: bytes, now: int
    ) -> None:
        match method, path.split("/")[2:]:
            case "GET", ["runtime", "invocation", "next"]:
                if self._handed_out and not self._answered:
                    msg = "the runtime asked for another invocation without a response"
                    raise FunctionError(msg)
                self._runtime = connection
                self._ready = now
            case "GET", ["extension", "event", "next"]:
                # Without events, as an extension for SIGTERM's sake, it waits for ever.
                if self.extended:
                    self._extension = connection
                    self._ready = now
            case "POST", ["runtime", "invocation", _, "response"]:
                self._answered = now
                connection.sendall(_message(_ACCEPTED))
            case "POST", ["extension", "register"]:
                self.extended = "INVOKE" in json.loads(body)["events"]
                connection.sendall(
                    _message(
                        _OK,
                        json.dumps({"accountId": ACCOUNT}).encode(),
                        {"Lambda-Extension-Identifier": "the-only-one"},
                    )
                )
            case _:
                msg = f"{method} {path}: {body.decode(errors='replace')}"
                raise FunctionError(msg)


@contextmanager
def running(handler: str, environment: Mapping[str, str]) -> Generator[Function]:
    """A function that has been initialised, for the time of a ``with`` block.

    Args:
        handler: ``module.function``, as Lambda is told it.
        environment: The process's variables, the API's address excepted.

    Raises:
        FunctionError: INIT failed.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            env={
                **environment,
                "_HANDLER": handler,
                "AWS_LAMBDA_RUNTIME_API": address,
                # As every runtime since: the main thread does not itself wait.
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
            },
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
        ) as process:
            assert process.stdout is not None
            function = Function(listener, process.stdout.fileno())
            try:
                function.wait()
                yield function
            finally:
                process.kill()
                function.close()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def _message(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A response as one piece, which one packet carries."""
    lines = [
        f"HTTP/1.1 {status} -",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
