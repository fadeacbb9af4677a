"""A receiver in a process of its own that answers 200 and counts requests.

At the same port, X-Ray's daemon: one that reads, as it does in Lambda, since what a
sender pays for waking its receiver is most of what a datagram costs it.

Raw asyncio, so that it takes as little as possible of the machine's other core.
Prints its port, then a line per request with the arrival time (CLOCK_MONOTONIC, s)
if ``--times`` is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Sink(asyncio.Protocol):
    """Reads requests with a Content-Length and answers each."""

    def __init__(self, *, times: bool) -> None:
        self._buffer = bytearray()
        self._times = times

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            del self._buffer[: len(head) + 4 + length]
            arrived = time.monotonic()
            self._transport.write(ANSWER)  # type: ignore[attr-defined]
            if self._times:
                path = head.split(b" ", 2)[1].decode()
                print(arrived, path, flush=True)


class Daemon(asyncio.DatagramProtocol):
    """Reads what X-Ray's SDK sends, as the daemon beside every function does."""

    def datagram_received(self, data: bytes, address: object) -> None:
        """Take a segment; nobody is answered."""


async def serve(*, times: bool, certificate: str | None) -> None:
    """Serve for ever."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Sink(times=times), "127.0.0.1", 0, ssl=tls
    )
    address = server.sockets[0].getsockname()
    await loop.create_datagram_endpoint(Daemon, local_addr=address)
    print(address[1], flush=True)
    await server.serve_forever()


@contextmanager
def running(
    *, times: bool = False, certificate: str | None = None
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A sink's port and process, for the time of a ``with`` block."""
    arguments = [sys.executable, "-m", "benchmarks.sink"]
    arguments += ["--times"] if times else []
    arguments += ["--certificate", certificate] if certificate else []
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), process
        finally:
            process.kill()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                times="--times" in sys.argv,
                certificate=sys.argv[sys.argv.index("--certificate") + 1]
                if "--certificate" in sys.argv
                else None,
            )
        )
