"""A stand-in for the X-Ray daemon: keeps the segment documents sent to it by UDP.

The protocol is the X-Ray developer guide's "Sending segment documents to the X-Ray
daemon": a JSON header line, a line feed, one segment or subsegment document.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

Document = dict[str, Any]

LOOPBACK = "127.0.0.1"
HEADER = {"format": "json", "version": 1}
MAX_DATAGRAM = 65_535  # bytes
POLL_SECONDS = 0.01
STOP = b""  # an empty datagram, sent by `close` to end the wait


class XRayDaemon:
    """An X-Ray daemon on a free loopback port, from construction to `close`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._documents: list[Document] = []
        self._errors: list[str] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the daemon, which runs already."""
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
    def address(self) -> str:
        """`host:port`, for `AWS_XRAY_DAEMON_ADDRESS`."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    @property
    def errors(self) -> list[str]:
        """What arrived and was no segment document."""
        return list(self._errors)

    def documents(self) -> list[Document]:
        """Return the documents in the order of their arrival.

        With a streaming threshold of 0, which Powertools sets, a subsegment is a
        document of its own, sent before the segment it belongs to.
        """
        return list(self._documents)

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Document]:
        """Return the documents once there are `count` at least.

        Raises:
            TimeoutError: There were fewer after `timeout` seconds.

        """
        deadline = time.monotonic() + timeout
        while len(self._documents) < count:
            if time.monotonic() >= deadline:
                message = (
                    f"{len(self._documents)} of {count} documents after {timeout} s, "
                    f"errors: {self._errors}"
                )
                raise TimeoutError(message)
            time.sleep(POLL_SECONDS)
        return self.documents()

    def close(self) -> None:
        """Stop listening; what arrived stays readable."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(STOP, self._socket.getsockname())
            self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while (datagram := self._socket.recv(MAX_DATAGRAM)) != STOP:
            self._keep(datagram)

    def _keep(self, datagram: bytes) -> None:
        try:
            self._documents.append(parse_datagram(datagram))
        except ValueError as error:
            self._errors.append(f"{error}: {datagram[:200]!r}")


def parse_datagram(datagram: bytes) -> Document:
    """Return the document of one datagram.

    Raises:
        ValueError: The header is not the daemon's, or the document is not an object.

    """
    header, separator, body = datagram.partition(b"\n")
    if not separator or json.loads(header) != HEADER:
        message = "not the X-Ray daemon's header"
        raise ValueError(message)
    document = json.loads(body)
    if not isinstance(document, dict):
        message = "not a segment document"
        raise ValueError(message)  # noqa: TRY004 - malformed data, not a wrong type
    return document


def flatten(documents: Iterable[Document]) -> list[Document]:
    """Return every segment and subsegment on its own, parents before children.

    A subsegment that came inside its parent gets the `trace_id`, `parent_id` and
    `type` it would have had as a document of its own, so that documents streamed and
    documents nested compare equal.
    """
    return [flat for document in documents for flat in _flatten(document)]


def _flatten(document: Document) -> Iterator[Document]:
    yield {key: value for key, value in document.items() if key != "subsegments"}
    for child in document.get("subsegments", []):
        inherited = {
            "trace_id": document["trace_id"],
            "parent_id": document["id"],
            "type": "subsegment",
        }
        yield from _flatten({**inherited, **child})
