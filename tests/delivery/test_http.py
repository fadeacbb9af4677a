"""The HTTP/1.1 client against real sockets."""

from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.delivery.conftest import names
from tests.support.faults import OK, ForwardProxy, Peer, RawServer, answer_every

from powertools_otel._delivery._http import IDLE_LIMIT_S, USER_AGENT
from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.delivery.conftest import Rig


def test_a_request_is_what_the_specification_says(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Method, path, headers; all requests of a signal on one connection."""
    rig = make_rig(
        receiver.endpoint, OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b,X-Tenant=%C3%BC"
    ).with_metrics()
    for number in range(3):
        rig.spans.add(f"span {number}")
        rig.points.add(f"metric {number}")
        rig.flush()

    assert names(receiver) == ["span 0", "span 1", "span 2"]
    assert [r.metric.name for r in receiver.metrics] == [
        f"metric {n}" for n in range(3)
    ]
    for signal in ("traces", "metrics"):
        requests = [r for r in receiver.requests if r.signal == signal]
        assert len({request.connection for request in requests}) == 1
        headers = requests[0].headers
        assert headers["host"] == f"127.0.0.1:{receiver.port}"
        assert headers["user-agent"] == USER_AGENT
        assert headers["content-type"] == "application/x-protobuf"
        assert headers["api-key"] == "a b"
        assert headers["x-tenant"].encode("latin-1").decode() == "ü"
        assert int(headers["content-length"]) == requests[0].size


def test_json_is_sent_as_json(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    rig.spans.add("one", as_json=True)
    rig.spans.add("two", as_json=True)
    rig.flush()
    assert names(receiver) == ["one", "two"]
    assert [request.protocol for request in receiver.requests] == ["http/json"]
    assert rig.traces.sent == 2


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress)],
)
def test_bodies_are_compressed(
    compression: str,
    decompress: Callable[[bytes], bytes],
    make_rig: Callable[..., Rig],
) -> None:
    """Much smaller on the wire, and what the standard library makes of it is equal."""
    received = []

    def keep(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            received.append(request)
            peer.send(OK)

    with RawServer(keep) as server:
        rig = make_rig(server.endpoint, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
        rig.spans.add("one", padding=300_000)
        rig.flush()

    [(_, headers, body)] = received
    assert headers["content-encoding"] == compression
    assert len(body) < 10_000
    message = ExportTraceServiceRequest.FromString(decompress(body))
    assert message.resource_spans[0].scope_spans[0].spans[0].name == "one"


def test_a_large_request_arrives_whole(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Larger than what the system's buffers take at once."""
    rig = make_rig(receiver.endpoint)
    rig.spans.add("large", padding=12_000_000)
    rig.flush(5)
    assert names(receiver) == ["large"]
    assert receiver.requests[0].size > 12_000_000


def test_much_telemetry_goes_in_several_requests_in_order(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """No request above 3.5 MB: collectors limit messages to 4 MiB."""
    rig = make_rig(receiver.endpoint)
    for number in range(10):
        rig.spans.add(f"span {number}", padding=1_000_000)
    rig.flush(5)
    assert names(receiver) == [f"span {number}" for number in range(10)]
    assert [len(request.message.resource_spans) for request in receiver.requests] == [
        3,
        3,
        3,
        1,
    ]


def test_a_request_that_is_too_large_is_divided(make_rig: Callable[..., Rig]) -> None:
    """413 for several merged batches is no reason to lose any of them."""
    accepted: list[bytes] = []

    def small_only(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            if len(request[2]) > 25_000:
                peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            else:
                accepted.append(request[2])
                peer.send(OK)

    with RawServer(small_only) as server:
        rig = make_rig(server.endpoint)
        for number in range(8):
            rig.spans.add(f"span {number}", padding=10_000)
        rig.spans.add("hopeless", padding=30_000)
        rig.spans.add("last")
        rig.flush()

    assert rig.traces == (10, 9, 0, 1, 0)
    message = ExportTraceServiceRequest.FromString(b"".join(accepted))
    found = [outer.scope_spans[0].spans[0].name for outer in message.resource_spans]
    assert found == [*(f"span {number}" for number in range(8)), "last"]


def test_an_answer_to_half_a_request_is_read(make_rig: Callable[..., Rig]) -> None:
    """A server that refuses a large body at once is understood, and not waited for."""

    def impatient(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        peer.wait(0.5)

    with RawServer(impatient) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("large", padding=20_000_000)
        assert rig.flush(5) < 0.45
        assert rig.traces == (1, 0, 0, 1, 0)


def test_a_connection_too_slow_for_a_large_request_gets_smaller_ones(
    make_rig: Callable[..., Rig],
) -> None:
    """What does not fit in the time is cut down until it does: no stand-still."""
    accepted: list[bytes] = []

    def slow(peer: Peer) -> None:
        while True:
            head = peer.read_head()
            if head is None:
                return
            length = int(head[1]["content-length"])
            body, peer._buffer = peer._buffer[:length], peer._buffer[length:]
            while len(body) < length:
                piece = peer.connection.recv(min(65_536, length - len(body)))
                if not piece:
                    return
                body += piece
                peer.wait(0.01)
            accepted.append(body)
            peer.send(OK)

    with RawServer(slow) as server:
        rig = make_rig(server.endpoint)
        for number in range(30):
            rig.spans.add(f"span {number}", padding=100_000)
        rig.flush(0.2)
        assert rig.traces.sent == 0
        for _ in range(3):
            rig.wait(31)
            rig.flush(3)
        assert rig.traces == (30, 30, 0, 0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\x00\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["chunked", "204", "100", "202"],
)
def test_answers_of_all_kinds_keep_the_connection(
    answer: bytes, make_rig: Callable[..., Rig]
) -> None:
    with RawServer(answer_every(answer)) as server:
        rig = make_rig(server.endpoint)
        for name in "abc":
            rig.spans.add(name)
            rig.flush()
        assert rig.traces.sent == 3
        assert server.connected == 1


def test_a_connection_that_is_to_be_closed_is_opened_anew(
    make_rig: Callable[..., Rig],
) -> None:
    """Connection: close, HTTP/1.0 and bodies up to the end of the connection."""

    def once(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nsome text")

    with RawServer(once) as server:
        rig = make_rig(server.endpoint)
        for name in "abc":
            rig.spans.add(name)
            rig.flush()
        assert rig.traces.sent == 3
        assert server.connected == 3


def test_a_restarted_server_costs_nothing(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """A kept-alive connection that died in between is noticed before it is used."""
    rig = make_rig(receiver.endpoint).with_metrics()
    for round_ in range(3):
        rig.spans.add(f"span {round_}")
        rig.points.add(f"point {round_}", resendable=False)
        rig.flush()
        receiver.refuse()
        receiver.accept()
    assert names(receiver) == ["span 0", "span 1", "span 2"]
    assert rig.traces == (3, 3, 0, 0, 0)
    assert rig.metrics == (3, 3, 0, 0, 0)


@pytest.mark.parametrize("resendable", [True, False])
@pytest.mark.parametrize("by_reset", [True, False])
def test_a_connection_that_dies_under_a_request(
    make_rig: Callable[..., Rig], *, resendable: bool, by_reset: bool
) -> None:
    """Spans are sent again on a new connection at once; deltas are unknown."""
    received: list[bytes] = []

    def dies_at_the_second(peer: Peer) -> None:
        for answered in (True, False):
            request = peer.read_request()
            if request is None:
                return
            received.append(request[2])
            if answered:
                peer.send(OK)
        if by_reset:
            peer.reset()

    with RawServer(dies_at_the_second) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("one", resendable=resendable)
        rig.flush()
        rig.spans.add("two", resendable=resendable)
        rig.flush()

        if resendable:
            assert rig.traces == (2, 2, 0, 0, 0)
            assert received[1] == received[2]
        else:
            assert rig.traces == (2, 1, 0, 0, 1)
            assert len(received) == 2


def test_deltas_are_sent_again_if_configured(make_rig: Callable[..., Rig]) -> None:
    """POWERTOOLS_OTEL_RESEND_UNKNOWN prefers counting twice to not counting."""
    with RawServer(lambda peer: peer.read_request()) as server:
        rig = make_rig(server.endpoint, resend_unknown=True)
        rig.spans.add("one", resendable=False)
        rig.flush()
        assert rig.traces == (1, 0, 1, 0, 0)


def test_an_idle_connection_is_not_trusted(make_rig: Callable[..., Rig]) -> None:
    """After 50 s by either clock it is opened anew: the peer may be gone silently."""
    with RawServer(answer_every(OK)) as server:
        rig = make_rig(server.endpoint)
        for seconds, connections in ((0, 1), (IDLE_LIMIT_S - 1, 1), (IDLE_LIMIT_S, 2)):
            rig.wait(seconds)
            rig.spans.add("x")
            rig.flush()
            assert server.connected == connections
        assert rig.traces.sent == 3


def test_what_nobody_asked_for_ends_the_connection(
    make_rig: Callable[..., Rig],
) -> None:
    """A second answer to one request must not become the answer to the next."""

    def talkative(peer: Peer) -> None:
        while peer.read_request() is not None:
            peer.send(OK)
            time.sleep(0.02)
            peer.send(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")

    with RawServer(talkative) as server:
        rig = make_rig(server.endpoint)
        for name in "ab":
            rig.spans.add(name)
            rig.flush()
            time.sleep(0.05)
        assert rig.traces.sent == 2
        assert server.connected == 2


@pytest.mark.parametrize("json", [True, False])
def test_a_partial_success_is_counted_and_said_once(
    make_rig: Callable[..., Rig],
    receiver: OTLPReceiver,
    caplog: pytest.LogCaptureFixture,
    *,
    json: bool,
) -> None:
    protocol = "http/json" if json else "http/protobuf"
    rig = make_rig(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    receiver.fail(Fault(rejected=2, message="too old"))
    for _ in range(2):
        rig.spans.add("a", "b", "c", as_json=json)
        rig.flush()
    assert rig.traces == (6, 2, 0, 4, 0)
    assert caplog.text.count("too old") == 1
    assert receiver.attempts == 2


def test_more_rejected_than_sent_is_everything(
    make_rig: Callable[..., Rig], receiver: OTLPReceiver
) -> None:
    rig = make_rig(receiver.endpoint)
    receiver.fail(Fault(rejected=1000, message="no"))
    rig.spans.add("a")
    rig.flush()
    assert rig.traces == (1, 0, 0, 1, 0)


def test_a_warning_without_rejections_is_a_success(
    make_rig: Callable[..., Rig],
    receiver: OTLPReceiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = make_rig(receiver.endpoint)
    receiver.fail(Fault(message="deprecated attribute"))
    rig.spans.add("a")
    rig.flush()
    assert rig.traces == (1, 1, 0, 0, 0)
    assert "deprecated attribute" in caplog.text


def test_what_is_rejected_is_dropped_and_said_once_without_secrets(
    make_rig: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    """The endpoint's reason is told; the key that it repeats is not."""
    body = b'{"message": "bad key: s3cr3t-token"}'
    with RawServer(
        answer_every(
            b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    ) as server:
        rig = make_rig(
            f"{server.endpoint}/?key=s3cr3t-query",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20s3cr3t-token",
        )
        for name in "ab":
            rig.spans.add(name)
            rig.flush()
    assert rig.traces == (2, 0, 0, 2, 0)
    assert caplog.text.count("403: bad key: ***") == 1
    assert "s3cr3t" not in caplog.text


def test_redirects_are_not_followed(
    make_rig: Callable[..., Rig],
    receiver: OTLPReceiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where a redirect leads is not what was configured: said once, dropped."""
    answer = f"HTTP/1.1 307 Over there\r\nLocation: {receiver.endpoint}/v1/traces\r\n"
    with RawServer(
        answer_every(f"{answer}Content-Length: 0\r\n\r\n".encode())
    ) as server:
        rig = make_rig(server.endpoint)
        for name in "ab":
            rig.spans.add(name)
            rig.flush()
    assert rig.traces == (2, 0, 0, 2, 0)
    assert receiver.attempts == 0
    assert caplog.text.count("redirects are not followed") == 1


def test_an_answer_cut_off_after_its_head_counts(make_rig: Callable[..., Rig]) -> None:
    """200 is 200; sending again what was accepted would do for ever."""

    def cut(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")

    with RawServer(cut) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("a")
        rig.flush()
        assert rig.traces.sent == 1


def test_a_server_of_another_protocol_is_said(
    make_rig: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    """For instance a gRPC port: spans are kept, the log says what is wrong."""

    def http2(peer: Peer) -> None:
        peer.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        peer.read_request()

    with RawServer(http2) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("a")
        rig.flush()
    assert rig.traces.retained == 1
    assert "does not speak HTTP/1.1" in caplog.text


def test_a_proxy_gets_the_absolute_form(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """A plain HTTP endpoint through http_proxy, with the proxy's authorization."""
    with ForwardProxy(receiver.port) as proxy:
        rig = make_rig(
            "http://collector.test:4318",
            http_proxy=f"http://me:pw@127.0.0.1:{proxy.port}",
        )
        rig.spans.add("one")
        rig.flush()
        [(first, headers)] = proxy.requests
    assert names(receiver) == ["one"]
    assert first == "POST http://collector.test:4318/v1/traces HTTP/1.1"
    assert headers["host"] == "collector.test:4318"
    assert headers["proxy-authorization"] == "Basic bWU6cHc="


def test_no_proxy_goes_past_the_proxy(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    with ForwardProxy(receiver.port) as proxy:
        rig = make_rig(
            receiver.endpoint,
            http_proxy=f"http://127.0.0.1:{proxy.port}",
            no_proxy="localhost,127.0.0.1",
        )
        rig.spans.add("one")
        rig.flush()
        assert proxy.requests == []
    assert names(receiver) == ["one"]


def test_a_warm_connection_is_used_by_the_first_flush(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Warming up connects and sends nothing; a failure is forgiven."""
    with RawServer(answer_every(OK)) as server:
        rig = make_rig(server.endpoint)
        rig.delivery.warm_up()
        deadline = time.monotonic() + 2
        while not server.connected and time.monotonic() < deadline:
            time.sleep(0.001)
        assert server.connected == 1
        rig.spans.add("one")
        rig.flush()
        assert server.connected == 1
        assert rig.traces.sent == 1

    receiver.refuse()
    rig = make_rig(receiver.endpoint)
    rig.delivery.warm_up("traces")
    receiver.accept()
    rig.spans.add("two")
    rig.flush()
    assert rig.traces.sent == 1


def test_no_descriptor_is_left_open(make_rig: Callable[..., Rig]) -> None:
    """Neither failures nor closing leave a socket behind."""
    with RawServer(lambda peer: peer.read_request()) as server:
        rig = make_rig(server.endpoint)
        before = descriptors()
        for name in "abc":
            rig.spans.add(name)
            rig.flush(0.2)
            rig.wait(31)
        rig.delivery.close()
    deadline = time.monotonic() + 2
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors() <= before


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_answer_of_the_official_server_is_understood(
    make_rig: Callable[..., Rig],
) -> None:
    """The bytes that the official response message has."""
    body = ExportTraceServiceResponse(
        partial_success=ExportTraceServiceResponse().partial_success
    ).SerializeToString()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
    with RawServer(
        answer_every(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    ) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("a")
        rig.flush()
        assert rig.traces.sent == 1


@pytest.mark.parametrize(
    ("head", "counted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", (1, 1, 0, 0, 0)),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n", (1, 0, 1, 0, 0)),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n", (1, 0, 0, 1, 0)),
        (b"HTTP/1.1 200 OK\r\nContent-Le", (1, 0, 0, 0, 1)),
    ],
    ids=["200", "503", "400", "cut"],
)
def test_an_answer_that_stops_after_its_head_counts_and_opens_the_breaker(
    head: bytes, counted: tuple[int, ...], make_rig: Callable[..., Rig]
) -> None:
    """The status is known; the rest is not waited for a second time."""

    def stopping(peer: Peer) -> None:
        peer.read_request()
        peer.send(head)
        peer.wait()

    with RawServer(stopping) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("a", resendable=False)
        assert 0.1 <= rig.flush(0.1) < 0.15
        assert rig.traces == counted
        rig.spans.add("b")
        assert rig.flush(0.1) < 0.03


def test_a_connection_that_breaks_after_the_bound_is_noticed(
    make_rig: Callable[..., Rig],
) -> None:
    """What awaits a late answer is sent again as soon as none can come any more."""
    received: list[bytes] = []

    def gives_up(peer: Peer) -> None:
        request = peer.read_request()
        assert request is not None
        received.append(request[2])
        if len(received) == 1:
            peer.wait(0.1)
        else:
            peer.send(OK)

    with RawServer(gives_up) as server:
        rig = make_rig(server.endpoint)
        rig.spans.add("a")
        rig.flush(0.05)
        assert rig.traces.retained == 1
        time.sleep(0.1)
        rig.wait(2)
        rig.flush()
        assert rig.traces == (1, 1, 0, 0, 0)
        assert received[0] == received[1]


def test_compressing_ends_with_the_time(make_rig: Callable[..., Rig]) -> None:
    """Megabytes on a slow processor: nothing is sent, nothing is lost."""
    with RawServer(answer_every(OK)) as server:
        rig = make_rig(server.endpoint, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        rig.delivery.warm_up()
        rig.spans.add("a", padding=60_000_000)
        assert rig.flush(0.05) < 0.3
        assert rig.traces.retained == 0
        assert rig.traces.dropped == 1  # beyond what may be retained
