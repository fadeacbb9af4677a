"""A connected socket that never blocks: it says what it would wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._delivery._steps import READ, WRITE, Wait

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from powertools_otel._delivery._steps import Steps

RECEIVE_SIZE = 16_384


class Stream:
    """A connected, non-blocking socket.

    Args:
        sock: The socket, which the stream closes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.wants = READ
        """What to wait for after ``receive`` or ``send`` could do nothing."""
        self._unread: bytes | None = None

    def receive(self) -> bytes | None:
        """What has arrived: None if nothing yet, ``b""`` if the peer has closed.

        Raises:
            OSError: If the connection is broken.
        """
        if self._unread is not None:
            data, self._unread = self._unread, None
            return data
        return self._receive()

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as is possible now and return how many bytes that is.

        Raises:
            OSError: If the connection is broken.
        """
        self.wants = WRITE
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def has_news(self) -> bool:
        """Whether the peer has said something, or closed; ``receive`` tells what.

        Raises:
            OSError: If the connection is broken.
        """
        if self._unread is None:
            self._unread = self._receive()
        return self._unread is not None

    def close(self) -> None:
        """Close without ceremony."""
        self.sock.close()

    def is_idle(self) -> bool:
        """Whether a kept-alive connection is still open and has nothing to say."""
        try:
            return not self.has_news()
        except OSError:
            return False

    def _receive(self) -> bytes | None:
        self.wants = READ
        try:
            return self.sock.recv(RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return None


def send_now(stream: Stream, parts: Sequence[bytes]) -> Sequence[memoryview]:
    """Send what can be sent without waiting, and return the rest.

    Raises:
        OSError: If the connection is broken.
    """
    for number, part in enumerate(parts):
        sent = stream.send(part)
        if sent < len(part):
            rest = [memoryview(part)[sent:]]
            return rest + [memoryview(later) for later in parts[number + 1 :]]
    return ()


def send_rest(stream: Stream, parts: Sequence[memoryview]) -> Steps[bool]:
    """Send all that :func:`send_now` could not.

    Returns:
        False if the peer said something before everything was sent: an answer that
        does not wait for the rest, which then is not sent.

    Raises:
        OSError: If the connection broke before everything was handed to the system.
    """
    for part in parts:
        rest = part
        while rest:
            yield Wait(((stream.fd, READ | stream.wants),))
            if stream.has_news():
                return False
            rest = rest[stream.send(rest) :]
    return True
