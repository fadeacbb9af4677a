"""The client of Lambda's own API reads what HTTP/1.1 servers may answer."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel._lambda._api import Api


class Peer:
    """Answers each request on one connection with the next of its raw answers."""

    def __init__(self, *connections):
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=(connections,))
        self._thread.start()

    def _serve(self, connections):
        for answers in connections:
            connection, _ = self._listener.accept()
            with connection:
                for answer in answers:
                    self.requests.append(connection.recv(65536))
                    for part in answer:
                        connection.sendall(part)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._thread.join(5)
        assert not self._thread.is_alive()


def test_request_and_answer_with_a_length():
    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"]
    with Peer([answer]) as peer:
        api = Api(peer.address)
        reply = api.request("POST", "/x", {"X-Y": "z"}, b"body", timeout_s=5)
        api.close()
    assert (reply.status, reply.body, reply.headers["x-a"]) == (200, b"hi", "b")
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /x HTTP/1.1"
    assert b"Content-Length: 4" in lines
    assert b"X-Y: z" in lines
    assert body == b"body"


@given(
    body=st.binary(max_size=300),
    cuts=st.lists(st.integers(1, 40), max_size=5),
    trailer=st.booleans(),
)
def test_a_chunked_answer_is_put_together(body, cuts, trailer):
    chunks, rest = [], body
    for cut in cuts:
        if rest[:cut]:
            chunks.append(b"%x;ext=1\r\n%b\r\n" % (len(rest[:cut]), rest[:cut]))
        rest = rest[cut:]
    if rest:
        chunks.append(b"%X\r\n%b\r\n" % (len(rest), rest))
    end = b"0\r\n" + (b"Trailer: x\r\n" if trailer else b"") + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Peer([[head, *chunks, end]]) as peer:
        api = Api(peer.address)
        assert api.request("GET", "/", {}, timeout_s=5).body == body
        api.close()


def test_an_answer_is_read_when_it_is_wanted():
    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"hi"]
    with Peer([answer]) as peer:
        api = Api(peer.address)
        api.ask("GET", "/", {}, timeout_s=5)
        assert api.answer().body == b"hi"
        api.close()


def test_a_connection_that_ends_is_no_answer_to_wait_for():
    with Peer([[]]) as peer:
        api = Api(peer.address)
        with pytest.raises(ConnectionError):
            api.ask("GET", "/", {}, timeout_s=5)
        with pytest.raises(ConnectionError):
            api.answer()


def test_the_connection_is_kept_for_the_next_request():
    answer = [b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"]
    with Peer([answer, answer]) as peer:
        api = Api(peer.address)
        for _ in range(2):
            assert api.request("GET", "/", {}, timeout_s=5).status == 202
        api.close()


def test_a_connection_that_the_peer_will_close_is_not_used_again():
    closing = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]
    with Peer([closing], [closing]) as peer:
        api = Api(peer.address)
        for _ in range(2):
            assert api.request("GET", "/", {}, timeout_s=5).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 ??? OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_broken_answer_is_an_error_and_the_next_request_connects_anew(answer):
    good = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]
    with Peer([[answer]], [good]) as peer:
        api = Api(peer.address)
        with pytest.raises((OSError, ValueError)):
            api.request("GET", "/", {}, timeout_s=5)
        assert api.request("GET", "/", {}, timeout_s=5).body == b"hi"
        api.close()


def test_nobody_listening_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(OSError):
        Api(address).request("GET", "/", {}, timeout_s=5)
