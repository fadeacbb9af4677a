"""Endpoints that misbehave on real loopback sockets, proxies, and certificates."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator
    from types import TracebackType

    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Peer:
    """The server's side of one connection."""

    def __init__(
        self,
        connection: socket.socket,
        stopping: threading.Event,
        broken_at_close: list[socket.socket],
    ) -> None:
        self.connection = connection
        self._stopping = stopping
        self._broken_at_close = broken_at_close
        self._buffer = b""

    def read_request(self) -> tuple[str, dict[str, str], bytes] | None:
        """The request line, the headers by lower-case name, and the body."""
        head = self.read_head()
        if head is None:
            return None
        first, headers = head
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return first, headers, body

    def read_head(self) -> tuple[str, dict[str, str]] | None:
        """Only what comes before the body."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return first, {name.strip().lower(): value.strip() for name, _, value in pairs}

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Shake hands by TLS, and go on encrypted."""
        self.connection = context.wrap_socket(
            self.connection, server_side=True, do_handshake_on_connect=False
        )
        self._broken_at_close.append(self.connection)
        self.connection.do_handshake()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def trickle(self, data: bytes, interval_s: float) -> None:
        """Send one byte at a time."""
        for at in range(len(data)):
            self.connection.sendall(data[at : at + 1])
            if self._stopping.wait(interval_s):
                return

    def wait(self, timeout_s: float | None = None) -> None:
        """Do nothing until the server is closed, or for some time."""
        self._stopping.wait(timeout_s)

    def reset(self) -> None:
        """Close by RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def _more(self) -> bool:
        try:
            data = self.connection.recv(65_536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)


class RawServer:
    """Runs ``converse(peer)`` in a thread for every connection.

    Args:
        converse: What to say; the connection is closed when it returns.
        tls: Serve TLS by this context.
        port: Listen there; any free port if 0.
    """

    def __init__(
        self,
        converse: Callable[[Peer], object],
        *,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._converse = converse
        self._tls = tls
        self._stopping = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.connected = 0
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """Stop listening, break all connections, wait for the threads."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
            assert not thread.is_alive()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connected += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        peer = Peer(connection, self._stopping, self._connections)
        with suppress(OSError):  # the client has given up
            if self._tls is not None:
                peer.encrypt(self._tls)
            self._converse(peer)
        peer.connection.close()


def answer_every(answer: bytes) -> Callable[[Peer], None]:
    """Read requests, and give the same answer to each."""

    def converse(peer: Peer) -> None:
        while peer.read_request() is not None:
            peer.send(answer)

    return converse


def refused_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def dropping_syn() -> Generator[int]:
    """A port that answers no SYN at all, as behind a firewall that drops.

    On Linux, a listener whose backlog is full ignores further SYNs.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, port))
        yield port


class ForwardProxy(RawServer):
    """An HTTP proxy that leads every host name to one loopback port.

    Args:
        upstream: The port that everything is forwarded to.
        status: How it answers; 407 to demand authorization, for instance.
    """

    def __init__(self, upstream: int, status: int = 200) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._upstream = upstream
        self._status = status
        super().__init__(self._forward)

    def _forward(self, peer: Peer) -> None:
        while (head := peer.read_head()) is not None:
            first, headers = head
            self.requests.append(head)
            method, url, _ = first.split(" ")
            if self._status != 200:
                peer.send(f"HTTP/1.1 {self._status} No\r\n\r\n".encode())
                return
            with socket.create_connection((LOOPBACK, self._upstream)) as upstream:
                if method == "CONNECT":
                    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = "/" + url.split("/", 3)[3]
                    lines = [f"{method} {path} HTTP/1.1"]
                    lines += [f"{name}: {value}" for name, value in headers.items()]
                    upstream.sendall("\r\n".join([*lines, "", ""]).encode())
                _pump_both(peer, upstream)
            return


def _pump_both(peer: Peer, upstream: socket.socket) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    upstream.sendall(peer._buffer)
    thread = threading.Thread(
        target=pump, args=(upstream, peer.connection), daemon=True
    )
    thread.start()
    pump(peer.connection, upstream)
    thread.join()
