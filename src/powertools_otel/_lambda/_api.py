"""HTTP to Lambda's own API on the loopback interface; ``http.client`` costs 14 ms."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader

_LONGEST_LINE = 65_536
_ENDED = "the connection ended"


class Reply(NamedTuple):
    """An HTTP response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Api:
    """One kept-alive connection to ``AWS_LAMBDA_RUNTIME_API``.

    Args:
        address: ``host:port``, as Lambda gives it.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]") or "127.0.0.1", int(port))
        self._host = address
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None,
    ) -> Reply:
        """Ask, and wait for the answer.

        Args:
            method: ``GET`` or ``POST``.
            path: Beginning with ``/``.
            headers: Further headers.
            body: What is posted.
            timeout_s: Longest wait for each part of the answer in s; None: for ever,
                as a long poll has to, whose answer comes with the next invocation.

        Raises:
            OSError: Not connected, or the connection ended.
            ValueError: What came is not HTTP.
        """
        self.ask(method, path, headers, body, timeout_s=timeout_s)
        return self.answer()

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None,
    ) -> None:
        """Ask, and wait until there is an answer, without reading it.

        Raises:
            OSError: Not connected, or the connection ended.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        try:
            connection = self._connect(timeout_s)
            connection.sendall("\r\n".join(lines).encode("latin-1") + body)
            _wait_for_data(connection)
        except BaseException:
            self.close()
            raise

    def answer(self) -> Reply:
        """The answer to what was asked last.

        Raises:
            OSError: Nothing was asked, or the connection ended.
            ValueError: What came is not HTTP.
        """
        if self._reader is None:
            raise ConnectionError(_ENDED)
        try:
            reply = _read(self._reader)
        except BaseException:
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        for part in (self._reader, self._socket):
            if part is not None:
                part.close()
        self._reader = self._socket = None

    def _connect(self, timeout_s: float | None) -> socket.socket:
        if self._socket is None or self._reader is None:
            self._socket = socket.create_connection(self._address, timeout_s or 1.0)
            self._reader = self._socket.makefile("rb")
        self._socket.settimeout(timeout_s)
        return self._socket


def _wait_for_data(connection: socket.socket) -> None:
    if not connection.recv(1, socket.MSG_PEEK):
        raise ConnectionError(_ENDED)


def _read(reader: BufferedReader) -> Reply:
    version, _, rest = _line(reader).partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        msg = f"not HTTP: {version[:40]!r}"
        raise ValueError(msg)
    headers: dict[str, str] = {}
    while line := _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Reply(int(rest[:3]), headers, _body(reader, headers))


def _body(reader: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return _exactly(reader, int(headers.get("content-length", "0")))
    body = b""
    while size := int(_line(reader).partition(";")[0], 16):
        body += _exactly(reader, size)
        _line(reader)
    while _line(reader):
        pass  # trailers
    return body


def _line(reader: BufferedReader) -> str:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionError(_ENDED)
    return line.rstrip(b"\r\n").decode("latin-1")


def _exactly(reader: BufferedReader, size: int) -> bytes:
    body = reader.read(size)
    if len(body) != size:
        raise ConnectionError(_ENDED)
    return body
