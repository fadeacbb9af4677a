"""Whatever the endpoint does: the bound holds, nothing is lost that could be kept."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.delivery.conftest import names
from tests.support.faults import (
    LOOPBACK,
    OK,
    Peer,
    RawServer,
    answer_every,
    dropping_syn,
    refused_port,
)

from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from tests.delivery.conftest import Rig

BOUND_S = 0.5
TOLERANCE = 1.1
OPEN_S = 0.005
PROBE_S = 0.1
NOISE_S = 0.025
"""What a busy test machine may add to a short wait."""


def silent(peer: Peer) -> None:
    """Accept, read, never answer."""
    while peer.read_request() is not None:
        pass


def deaf(peer: Peer) -> None:
    """Accept and not even read."""
    peer.wait()


def trickling(peer: Peer) -> None:
    """Answer a byte a second."""
    while peer.read_request() is not None:
        peer.trickle(OK, 1.0)


def closing(peer: Peer) -> None:
    """Read and close without an answer."""
    peer.read_request()


ENDPOINTS = {
    "refused": None,
    "syn-dropping": None,
    "silent": silent,
    "deaf": deaf,
    "trickling": trickling,
    "closing": closing,
    "503": answer_every(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
    "503 Retry-After": answer_every(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"
    ),
}


@pytest.fixture(params=ENDPOINTS)
def bad_endpoint(request: pytest.FixtureRequest) -> Generator[str]:
    """An endpoint for each way to be broken."""
    if request.param == "refused":
        yield f"http://{LOOPBACK}:{refused_port()}"
        return
    converse = ENDPOINTS[request.param]
    running: AbstractContextManager[int | RawServer] = (
        dropping_syn() if converse is None else RawServer(converse)
    )
    with running as server:
        port = server.port if isinstance(server, RawServer) else server
        yield f"http://{LOOPBACK}:{port}"


def test_a_broken_endpoint_costs_one_bound_and_then_almost_nothing(
    bad_endpoint: str, make_rig: Callable[..., Rig]
) -> None:
    """The first flush stays within its bound, later ones within 5 ms; all is kept."""
    rig = make_rig(bad_endpoint).with_metrics()
    rig.spans.add("first")
    rig.points.add("first")
    first = rig.flush(BOUND_S)
    later = []
    for number in range(9):
        rig.spans.add(f"later {number}")
        rig.points.add(f"later {number}")
        later.append(rig.flush(BOUND_S))

    assert first <= BOUND_S * TOLERANCE
    assert sorted(later)[len(later) // 2] <= OPEN_S  # the median: machines hiccup
    assert max(later) <= OPEN_S + NOISE_S
    assert rig.traces.retained == rig.traces.recorded == 10
    assert rig.metrics.retained == 10


@pytest.mark.parametrize("kind", ["syn-dropping", "silent", "deaf", "trickling"])
def test_a_probe_of_a_hanging_endpoint_takes_a_tenth_of_a_second(
    kind: str, make_rig: Callable[..., Rig]
) -> None:
    """Half-open, an attempt may take 100 ms at most, and the next one has to wait."""
    converse = ENDPOINTS[kind]
    running: AbstractContextManager[int | RawServer] = (
        dropping_syn() if converse is None else RawServer(converse)
    )
    with running as server:
        port = server.port if isinstance(server, RawServer) else server
        rig = make_rig(f"http://{LOOPBACK}:{port}")
        rig.spans.add("one")
        rig.flush(0.05)
        for _ in range(3):
            rig.wait(31)
            probe = rig.flush(BOUND_S)
            assert probe <= PROBE_S + NOISE_S
            assert rig.flush(BOUND_S) <= OPEN_S + NOISE_S
        assert rig.traces.retained == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hang=True),
        Fault(close=True),
        Fault(status=503),
        Fault(status=503, retry_after="2"),
        Fault(status=429),
        Fault(trickle_s=1.0),
        None,
    ],
    ids=str,
)
def test_an_endpoint_that_comes_back_gets_everything(
    fault: Fault | None, receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Within two probes all that was retained arrives, in order."""
    rig = make_rig(receiver.endpoint)
    if fault is None:
        receiver.refuse()
    else:
        receiver.fail(fault)
    for number in range(3):
        rig.spans.add(f"span {number}")
        rig.flush(0.1)
    assert rig.traces.sent == 0
    if fault is None:
        receiver.accept()
    else:
        receiver.fail()
    receiver.clear()

    for _ in range(2):
        rig.wait(31)
        rig.flush()

    assert names(receiver)[-3:] == ["span 0", "span 1", "span 2"]
    assert rig.traces == (3, 3, 0, 0, 0)
    rig.spans.add("span 3")
    rig.flush()
    assert names(receiver)[-1] == "span 3"


def test_retry_after_is_honoured(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """No request before the time that the endpoint asks for, one after it."""
    rig = make_rig(receiver.endpoint)
    receiver.fail_next(Fault(status=503, retry_after="120"))
    rig.spans.add("one")
    rig.flush()
    rig.wait(110)
    rig.flush()
    assert receiver.attempts == 1

    rig.wait(11)
    rig.flush()

    assert names(receiver) == ["one"]


def test_a_late_answer_counts(make_rig: Callable[..., Rig]) -> None:
    """What a slow endpoint acknowledges after the bound is not sent a second time."""
    answer = threading.Event()
    received: list[bytes] = []

    def slow(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            received.append(request[2])
            answer.wait(5)
            peer.send(OK)

    with RawServer(slow) as server:
        rig = make_rig(server.endpoint).with_metrics()
        rig.spans.add("one")
        rig.points.add("delta", resendable=False)
        rig.flush(0.05)
        assert rig.traces == (1, 0, 1, 0, 0)
        assert rig.metrics == (1, 0, 0, 0, 1)
        answer.set()
        time.sleep(0.1)

        rig.flush()

        assert rig.traces == (1, 1, 0, 0, 0)
        assert rig.metrics == (1, 1, 0, 0, 0)
        assert len(received) == 2
        assert server.connected == 2


def test_a_slow_connection_is_continued_by_the_next_flush(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS slower than the bound and than any probe does not keep telemetry for ever."""
    real = socket.getaddrinfo
    calls: list[bytes] = []

    def slow(host: bytes, *args: object, **options: object) -> object:
        calls.append(host)
        time.sleep(0.3)
        return real(LOOPBACK, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with OTLPReceiver() as receiver:
        rig = make_rig(f"http://slow.test:{receiver.port}")
        rig.spans.add("one")
        assert rig.flush(0.05) <= 0.05 + NOISE_S
        rig.wait(2)
        assert rig.flush() <= PROBE_S + NOISE_S
        assert rig.traces.retained == 1
        time.sleep(0.3)
        rig.wait(3)

        rig.flush()

        assert names(receiver) == ["one"]
        assert len(calls) == 1


def test_one_dead_address_does_not_hold_up_the_others(
    receiver: OTLPReceiver,
    make_rig: Callable[..., Rig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host whose first address drops SYNs is reached by its second."""
    # 127.0.0.2 answers no SYN on the receiver's port.
    with dropping_syn_at("127.0.0.2", receiver.port):

        def two(*_: object, **__: object) -> object:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOOPBACK, 0)),
            ]

        monkeypatch.setattr(socket, "getaddrinfo", two)
        rig = make_rig(f"http://two.test:{receiver.port}")
        rig.spans.add("one")

        assert rig.flush() <= 0.05 + 0.1
        assert names(receiver) == ["one"]


def test_a_dead_signal_does_not_take_the_other_ones_time(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Signals with their own endpoints progress side by side under one deadline."""
    with RawServer(silent) as dead:
        rig = make_rig(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=dead.endpoint,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.endpoint}/v1/metrics",
        ).with_metrics()
        rig.spans.add("one")
        rig.points.add("one")

        assert rig.flush(0.2) <= 0.2 * TOLERANCE + NOISE_S
        assert rig.metrics.sent == 1
        assert rig.traces.retained == 1


def test_both_signals_are_sent_before_either_is_answered(
    make_rig: Callable[..., Rig],
) -> None:
    """A server that answers only when it has both requests answers in time."""
    both = threading.Barrier(2, timeout=5)

    def meeting(peer: Peer) -> None:
        while peer.read_request() is not None:
            both.wait()
            peer.send(OK)

    with RawServer(meeting) as server:
        rig = make_rig(server.endpoint).with_metrics()
        rig.spans.add("one")
        rig.points.add("one")

        rig.flush(2)

        assert rig.traces.sent == rig.metrics.sent == 1


def test_the_otlp_timeout_bounds_a_flush_too(make_rig: Callable[..., Rig]) -> None:
    """OTEL_EXPORTER_OTLP_TIMEOUT below the bound of the flush holds, in seconds."""
    with RawServer(silent) as server:
        rig = make_rig(server.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="0.05")
        rig.spans.add("one")

        assert rig.flush(BOUND_S) <= 0.05 + NOISE_S


def dropping_syn_at(host: str, port: int) -> AbstractContextManager[object]:
    from contextlib import contextmanager

    @contextmanager
    def dropping() -> Generator[None]:
        with socket.socket() as listener:
            listener.bind((host, port))
            listener.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((host, port))
            try:
                yield
            finally:
                for filler in fillers:
                    filler.close()

    return dropping()
