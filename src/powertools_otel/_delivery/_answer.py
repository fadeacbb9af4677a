"""An HTTP/1.1 answer while it arrives (RFC 9112), bounded in every respect."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from powertools_otel._delivery._steps import Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from powertools_otel._delivery._steps import Steps
    from powertools_otel._delivery._stream import Stream

HEAD_LIMIT = 65_536
"""Bytes of status line and headers, or of one chunk's size line."""
BODY_LIMIT = 65_536
"""Bytes of the body that are read; the messages that matter are far smaller."""
INTERIM_LIMIT = 16
"""How many 1xx answers may come first."""
_SWITCHING_PROTOCOLS = 101
_WITHOUT_BODY = (204, 304)
_MALFORMED_CHUNKS = "the answer's chunks are malformed"


class ProtocolError(OSError):
    """What the peer says is no HTTP answer, or one beyond the bounds."""


class Answer:
    """An answer, complete or as far as it has come.

    Args:
        head_only: Whether a body cannot follow, as after CONNECT.
    """

    def __init__(self, *, head_only: bool = False) -> None:
        self._head_only = head_only
        self._buffer = b""
        self.started = False
        """Whether any byte has arrived."""
        self.status = 0
        """The status, once the head is complete."""
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.reusable = False
        """Whether the connection can serve another request."""

    def take(self, data: bytes | None) -> bool:
        """Take in what arrives first; whether it is a whole answer, as it mostly is.

        If not, or where there is more to think about, :meth:`read` goes on.
        """
        if not data:
            return False
        self.started = True
        self._buffer = data
        head, end, body = data.partition(b"\r\n\r\n")
        if not end or not head.startswith(b"HTTP/1.1 2"):
            return False
        _, status, headers = _parse_head(head)
        if (
            headers.get("content-length") != str(len(body))
            or len(body) > BODY_LIMIT
            or "transfer-encoding" in headers
            or "connection" in headers
        ):
            return False
        self._buffer = b""
        self.status, self.headers, self.body = status, headers, body
        self.reusable = True
        return True

    def read(self, stream: Stream) -> Steps[None]:
        """Read the rest of the answer.

        Raises:
            ProtocolError: If it is malformed or too large.
            OSError: If the connection ends before the answer does.
        """
        version = yield from self._read_head(stream)
        connection = self.headers.get("connection", "").lower()
        self.reusable = "close" not in connection and (
            version == "HTTP/1.1" or "keep-alive" in connection
        )
        if self._head_only or self.status in _WITHOUT_BODY:
            pass
        elif "transfer-encoding" in self.headers:
            yield from self._read_chunks(stream)
        elif "content-length" in self.headers:
            yield from self._read_counted(stream)
        else:
            self.reusable = False
            yield from self._read_to_end(stream)
        if self._buffer:
            self.reusable = False

    def _more(self, stream: Stream) -> Steps[bool]:
        while True:
            data = stream.receive()
            if data is not None:
                break
            yield Wait(((stream.fd, stream.wants),))
        if not data:
            return False
        self.started = True
        self._buffer = self._buffer + data if self._buffer else data
        return True

    def _need_more(self, stream: Stream) -> Steps[None]:
        more = yield from self._more(stream)
        if not more:
            msg = "the connection was closed without a complete answer"
            raise ConnectionResetError(msg)

    def _read_head(self, stream: Stream) -> Steps[str]:
        for _ in range(INTERIM_LIMIT):
            while True:
                head, end, rest = self._buffer.partition(b"\r\n\r\n")
                if end:
                    break
                if len(head) > HEAD_LIMIT or not head.startswith(
                    b"HTTP/1."[: len(head)]
                ):
                    msg = "the answer is not HTTP/1.1"
                    raise ProtocolError(msg)
                yield from self._need_more(stream)
            self._buffer = rest
            version, status, headers = _parse_head(head)
            if status >= 200 or status == _SWITCHING_PROTOCOLS:  # noqa: PLR2004
                self.headers, self.status = headers, status
                return version
        msg = "too many interim answers"
        raise ProtocolError(msg)

    def _read_counted(self, stream: Stream) -> Steps[None]:
        text = self.headers["content-length"]
        if not (text.isascii() and text.isdigit()):
            msg = "the answer's Content-Length is not a number"
            raise ProtocolError(msg)
        length = int(text[:18])
        if length > BODY_LIMIT:
            length, self.reusable = BODY_LIMIT, False
        while len(self._buffer) < length:
            yield from self._need_more(stream)
        self.body, self._buffer = self._buffer[:length], self._buffer[length:]
        if not self.reusable:
            self._buffer = b""

    def _read_to_end(self, stream: Stream) -> Steps[None]:
        while len(self._buffer) < BODY_LIMIT:
            more = yield from self._more(stream)
            if not more:
                break
        self.body, self._buffer = self._buffer[:BODY_LIMIT], b""

    def _read_chunks(self, stream: Stream) -> Steps[None]:
        chunks: list[bytes] = []
        # Every chunk costs 3 bytes at least, which bounds their number.
        budget = BODY_LIMIT
        while True:
            size = _chunk_size((yield from self._read_line(stream)))
            if size == 0:
                break
            budget -= size + 3
            if budget < 0:
                self.body, self._buffer = b"".join(chunks), b""
                self.reusable = False
                return
            while len(self._buffer) < size + 2:
                yield from self._need_more(stream)
            if self._buffer[size : size + 2] != b"\r\n":
                raise ProtocolError(_MALFORMED_CHUNKS)
            chunks.append(self._buffer[:size])
            self._buffer = self._buffer[size + 2 :]
        self.body = b"".join(chunks)
        while budget > 0:
            trailer = yield from self._read_line(stream)
            if not trailer:
                return
            budget -= len(trailer)
        self.reusable = False

    def _read_line(self, stream: Stream) -> Steps[bytes]:
        while True:
            line, end, rest = self._buffer.partition(b"\r\n")
            if end:
                self._buffer = rest
                return line
            if len(line) > HEAD_LIMIT:
                raise ProtocolError(_MALFORMED_CHUNKS)
            yield from self._need_more(stream)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if digits.isalnum() and len(digits) <= 16:  # noqa: PLR2004 - of 64 bits
        try:
            return int(digits, 16)
        except ValueError:
            pass
    raise ProtocolError(_MALFORMED_CHUNKS)


# An environment that is busy gets the same head many times a second.
@lru_cache(maxsize=4)
def _parse_head(head: bytes) -> tuple[str, int, Mapping[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not (status.isascii() and status.isdigit() and len(status) == 3):  # noqa: PLR2004
        msg = "the answer's status line is malformed"
        raise ProtocolError(msg)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "content-length" and headers.get(name, value) != value:
            msg = "the answer has two lengths"
            raise ProtocolError(msg)
        headers[name] = value
    return version, int(status), headers
