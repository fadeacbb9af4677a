"""HTTP answers: every way they may be cut, and what is none."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel._delivery._answer import (
    BODY_LIMIT,
    HEAD_LIMIT,
    Answer,
    ProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pieces:
    """A stream that gives its pieces, each after one fruitless try, and then ends."""

    fd = 0
    wants = 1

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._ready = False
        self.taken = 0

    def receive(self) -> bytes | None:
        self._ready = not self._ready
        if not self._ready and self._pieces:
            self.taken += len(self._pieces[0])
            return self._pieces.pop(0)
        return None if self._ready else b""


def read(*pieces: bytes, head_only: bool = False) -> Answer:
    answer = Answer(head_only=head_only)
    for _ in answer.read(Pieces(pieces)):  # type: ignore[arg-type]
        pass
    return answer


WHOLE = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc": (200, b"abc", True),
    b"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n": (200, b"", True),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b"", True),
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx": (
        200,
        b"x",
        False,
    ),
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx": (200, b"x", False),
    b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx": (
        200,
        b"x",
        True,
    ),
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\nto the end": (
        503,
        b"to the end",
        False,
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n": (
        200,
        b"abc0123456789",
        True,
    ),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok": (200, b"ok", True),
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200": (200, b"x", False),
}


@pytest.mark.parametrize("whole", WHOLE)
@given(data=st.data())
def test_an_answer_is_the_same_however_it_is_cut(
    whole: bytes, data: st.DataObject
) -> None:
    """Every division into segments gives status, body and whether to keep alive."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    answer = read(*pieces)
    status, body, reusable = WHOLE[whole]
    assert (answer.status, answer.body) == (status, body)
    if not whole.endswith(b"HTTP/1.1 200"):  # what follows may come too late to see
        assert answer.reusable is reusable


@pytest.mark.parametrize(
    "wrong",
    [
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"\x00\x00\x18\x04\x00\x00\x00\x00\x00",  # HTTP/2 SETTINGS
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    ],
    ids=lambda wrong: repr(wrong[:80]),
)
def test_what_is_no_answer_is_an_error(wrong: bytes) -> None:
    """Malformed, unbounded or of another protocol: said, and not waited for."""
    with pytest.raises(ProtocolError):
        read(wrong)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ],
)
def test_an_answer_that_breaks_off_is_an_error(part: bytes) -> None:
    """The end of the connection is not the end of an answer with a length."""
    with pytest.raises(ConnectionResetError):
        read(part)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_arbitrary_bytes_end_in_an_answer_or_an_os_error(
    tail: bytes, cuts: list[int]
) -> None:
    """No other exception, whatever follows a plausible beginning."""
    whole = b"HTTP/1.1 200 OK\r\n" + tail
    edges = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    with suppress(OSError):
        read(*(whole[a:b] for a, b in pairwise(edges)))


def test_a_huge_body_is_not_read_to_its_end() -> None:
    """64 KiB of a body are read at most; the connection is given up instead."""
    for framing in (b"Content-Length: 1000000000", b"X: y"):
        stream = Pieces(
            [b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing] + [b"x" * 9999] * 99
        )
        answer = Answer()
        for _ in answer.read(stream):  # type: ignore[arg-type]
            pass
        assert len(answer.body) == BODY_LIMIT
        assert not answer.reusable
        assert stream.taken < HEAD_LIMIT + BODY_LIMIT


def test_a_chunked_body_without_end_is_not_read_to_its_end() -> None:
    """The number of chunks is bounded, as is their size."""
    for chunk in (b"1\r\nx\r\n", b"ffff\r\n" + b"x" * 65_535 + b"\r\n"):
        head = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = read(head, *[chunk] * 70_000)
        assert answer.status == 400
        assert not answer.reusable


def test_the_answer_to_connect_has_no_body() -> None:
    """What follows belongs to the tunnel."""
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", head_only=True)
    assert answer.status == 200
