"""From a target to a connected stream: addresses, TCP, proxy tunnel, TLS."""

from __future__ import annotations

import errno
import math
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

from powertools_otel._delivery import _resolve
from powertools_otel._delivery._steps import WRITE, Wait
from powertools_otel._delivery._stream import Stream, send_now, send_rest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from powertools_otel._delivery._proxy import Proxy
    from powertools_otel._delivery._resolve import Address
    from powertools_otel._delivery._steps import Steps
    from powertools_otel._delivery._target import Target

STAGGER_S = 0.05
"""The head start of one address before the next is tried too (RFC 8305 says 0.25 s,
which would leave no time for a second one while probing)."""
_CONNECTED = (0, errno.EISCONN)
_CONNECTING = (
    errno.EINPROGRESS,
    errno.EALREADY,
    errno.EWOULDBLOCK,
    getattr(errno, "WSAEINVAL", errno.EALREADY),  # what Windows says for EALREADY
)


class Opening:
    """A connection being made; it can be continued after a deadline.

    Args:
        target: Where to.
        proxy: Through which proxy.

    Attributes:
        stage: How far it has come; changes with every step that is done.
        steps: What remains to be done, ending with the connected stream.
    """

    def __init__(self, target: Target, proxy: Proxy | None) -> None:
        self._target = target
        self._proxy = proxy
        self.stage = 0
        self.steps = self._run()

    def close(self) -> None:
        """Give up."""
        self.steps.close()

    def _run(self) -> Steps[Stream]:
        target, proxy = self._target, self._proxy
        host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
        addresses = yield from _resolve.resolve(host, port)
        self.stage += 1
        try:
            sock = yield from connect(addresses)
        except OSError:
            _resolve.forget(host)
            raise
        self.stage += 1
        stream = Stream(sock)
        try:
            if target.scheme == "https":
                if proxy:
                    yield from _tunnel(stream, target, proxy)
                    self.stage += 1
                from powertools_otel._delivery import _tls

                stream = encrypted = _tls.wrap(sock, target)
                yield from encrypted.handshake()
        except BaseException:  # also when it is given up, by GeneratorExit
            stream.close()
            raise
        return stream


def connect(addresses: Iterable[Address]) -> Steps[socket.socket]:
    """Connect to the address that answers first, none of them holding up the others.

    Raises:
        OSError: If all of them fail; the first error.
    """
    waiting: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
    todo = deque(addresses)
    failure: OSError | None = None
    next_start = -math.inf
    try:
        while todo or waiting:
            if todo and (not waiting or time.monotonic() >= next_start):
                family, place = todo.popleft()
                next_start = time.monotonic() + STAGGER_S
                try:
                    sock = socket.socket(family, socket.SOCK_STREAM)
                except OSError as error:  # no IPv6 here, or no more descriptors
                    failure = failure or error
                    continue
                sock.setblocking(False)  # noqa: FBT003 - the socket module's signature
                waiting[sock.fileno()] = (sock, place)
            for fd, (sock, place) in list(waiting.items()):
                status = sock.connect_ex(place)
                if status in _CONNECTED:
                    del waiting[fd]
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return sock
                if status not in _CONNECTING:
                    del waiting[fd]
                    sock.close()
                    failure = failure or _error(status)
            if waiting:
                yield Wait(
                    tuple((fd, WRITE) for fd in waiting),
                    next_start if todo else math.inf,
                )
    finally:
        for sock, _ in waiting.values():
            sock.close()
    raise failure or OSError(errno.EADDRNOTAVAIL, "the host has no address")


def _error(status: int) -> OSError:
    import os

    return OSError(status, os.strerror(status))


def _tunnel(stream: Stream, target: Target, proxy: Proxy) -> Steps[None]:
    from powertools_otel._delivery._answer import Answer

    place = f"[{target.host}]" if ":" in target.host else target.host
    lines = [
        f"CONNECT {place}:{target.port} HTTP/1.1",
        f"Host: {place}:{target.port}",
    ]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    yield from send_rest(stream, send_now(stream, [head]))
    answer = Answer(head_only=True)
    yield from answer.read(stream)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's classes of statuses
        msg = f"the proxy answered {answer.status}"
        raise ConnectionRefusedError(msg)
