"""OTLP over gRPC by the generic interface of grpcio."""

from __future__ import annotations

import logging
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from tests.delivery.conftest import names
from tests.support.faults import LOOPBACK, Peer, RawServer, dropping_syn, refused_port

from powertools_otel._delivery._grpc import METHODS, _failure
from powertools_otel._delivery._http import USER_AGENT
from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.delivery.conftest import Rig

GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
NOISE_S = 0.06
"""gRPC's threads need the processor, too."""


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    """A receiver that speaks gRPC."""
    with OTLPReceiver(grpc=True) as running:
        yield running


def test_requests_arrive_with_their_metadata(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Both signals, headers as metadata, every request on the same connection."""
    rig = make_rig(
        receiver.grpc_endpoint,
        OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b,content-type=x,x-bin=raw,x=%C3%BC",
        **GRPC,
    ).with_metrics()
    for name in "abc":
        rig.spans.add(name)
        rig.points.add(name)
        rig.flush(2)

    assert names(receiver) == ["a", "b", "c"]
    assert [received.metric.name for received in receiver.metrics] == ["a", "b", "c"]
    for signal in ("traces", "metrics"):
        requests = [r for r in receiver.requests if r.signal == signal]
        assert len({request.connection for request in requests}) == 1
        assert requests[0].protocol == "grpc"
        assert requests[0].headers["api-key"] == "a b"
        assert requests[0].headers["x-bin"] == b"raw"
        assert "x" not in requests[0].headers
        assert requests[0].headers["user-agent"].startswith(USER_AGENT)
    assert rig.traces == rig.metrics == (3, 3, 0, 0, 0)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_requests_are_compressed(
    compression: str, receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """As the setting says, for each call; it arrives equal."""
    rig = make_rig(
        receiver.grpc_endpoint, OTEL_EXPORTER_OTLP_COMPRESSION=compression, **GRPC
    )
    rig.spans.add("a", padding=100_000)
    rig.flush(2)
    assert names(receiver) == ["a"]


@pytest.mark.parametrize("kind", ["refused", "syn-dropping", "deaf", "hanging"])
def test_a_broken_endpoint_costs_one_bound_and_then_almost_nothing(
    kind: str, receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """As over HTTP: the bound holds, and what can be kept is."""
    with dropping_syn() as closed, RawServer(lambda peer: peer.wait()) as deaf:
        receiver.fail(Fault(hang=True))
        endpoint = {
            "refused": f"http://{LOOPBACK}:{refused_port()}",
            "syn-dropping": f"http://{LOOPBACK}:{closed}",
            "deaf": deaf.endpoint,
            "hanging": receiver.grpc_endpoint,
        }[kind]
        rig = make_rig(endpoint, **GRPC)
        rig.spans.add("a")
        assert rig.flush(0.3) <= 0.3 * 1.1 + NOISE_S
        took = [rig.flush(0.3) for _ in range(5)]
        assert sorted(took)[2] <= 0.01
        rig.wait(31)
        assert rig.flush(0.3) <= 0.1 + NOISE_S
        assert rig.traces == (1, 0, 1, 0, 0)
        rig.delivery.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=503), (1, 0, 1, 0, 0)),
        (Fault(status=429, retry_after="7"), (1, 0, 1, 0, 0)),
        (Fault(status=429), (1, 0, 0, 1, 0)),
        (Fault(status=400), (1, 0, 0, 1, 0)),
        (Fault(status=401), (1, 0, 0, 1, 0)),
        (Fault(status=404), (1, 0, 0, 1, 0)),
        (Fault(rejected=1, message="too old"), (1, 0, 0, 1, 0)),
    ],
    ids=str,
)
def test_statuses_mean_what_the_specification_says(
    fault: Fault,
    expected: tuple[int, ...],
    receiver: OTLPReceiver,
    make_rig: Callable[..., Rig],
) -> None:
    """Deltas, too: what the endpoint itself refuses it has not counted."""
    rig = make_rig(receiver.grpc_endpoint, **GRPC)
    receiver.fail(fault)
    rig.spans.add("a", resendable=False)
    rig.flush(2)
    assert rig.traces == expected


def test_retry_info_is_honoured(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.grpc_endpoint, **GRPC)
    receiver.fail_next(Fault(status=429, retry_after="60"))
    rig.spans.add("a")
    rig.flush(2)
    rig.wait(55)
    rig.flush(2)
    assert receiver.attempts == 1
    rig.wait(6)
    rig.flush(2)
    assert names(receiver) == ["a"]


def test_a_late_answer_counts(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """What is acknowledged after the bound is not sent a second time."""
    rig = make_rig(receiver.grpc_endpoint, **GRPC)
    rig.delivery.warm_up(timeout_s=2)
    receiver.fail_next(Fault(delay_s=0.3))
    rig.spans.add("a", resendable=False)
    rig.flush(0.1)
    assert rig.traces == (1, 0, 0, 0, 1)
    time.sleep(0.35)
    rig.flush()
    assert rig.traces == (1, 1, 0, 0, 0)
    assert receiver.attempts == 1


def test_an_unanswered_delta_is_unknown_in_the_end(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.grpc_endpoint, **GRPC)
    receiver.fail(Fault(hang=True))
    rig.spans.add("a", resendable=False)
    rig.flush(0.1)
    rig.wait(31)
    rig.flush()
    assert rig.traces == (1, 0, 0, 0, 1)
    rig.delivery.close()


def test_words_of_grpc_tell_whether_a_request_was_sent() -> None:
    """A status that gRPC made up is not taken for one of the endpoint."""
    for details, kind in {
        "failed to connect to all addresses; last error: ...": "retry",
        "errors resolving h:1: [...]": "retry",
        "sending queue is full": "retry",
        "Stream removed (Socket closed)": "unknown",
        "recvmsg:Connection reset by peer": "unknown",
        "GOAWAY received; Error code: 0": "unknown",
    }.items():
        assert _failure("UNAVAILABLE", details, None, "h:1").kind == kind
    for code in ("CANCELLED", "DEADLINE_EXCEEDED"):
        assert _failure(code, "", None, "h:1").kind == "unknown"
    large = "Received message larger than max (5 vs. 4)"
    assert _failure("RESOURCE_EXHAUSTED", large, None, "h:1").too_large


class Restartable:
    """A gRPC server on one port that can be stopped and started."""

    def __init__(self) -> None:
        with socket.socket() as sock:
            sock.bind((LOOPBACK, 0))
            self.port: int = sock.getsockname()[1]
        self.received = 0
        self.start()

    def start(self, credentials: Any = None) -> None:
        self.server = grpc.server(ThreadPoolExecutor(2))
        _, service, name = METHODS["traces"].split("/")

        def export(body: bytes, context: Any) -> bytes:
            self.received += 1
            return b""

        handler = grpc.unary_unary_rpc_method_handler(export)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {name: handler}),)
        )
        if credentials is None:
            assert self.server.add_insecure_port(f"{LOOPBACK}:{self.port}") == self.port
        else:
            self.server.add_secure_port(f"{LOOPBACK}:{self.port}", credentials)
        self.server.start()

    def stop(self) -> None:
        self.server.stop(0).wait()


@pytest.fixture
def restartable() -> Iterator[Restartable]:
    server = Restartable()
    yield server
    server.stop()


def test_a_restarted_server_gets_everything(
    restartable: Restartable, make_rig: Callable[..., Rig]
) -> None:
    """Refused for a while, then back on the same port: within two probes."""
    rig = make_rig(f"http://{LOOPBACK}:{restartable.port}", **GRPC)
    rig.spans.add("a", resendable=False)
    rig.flush(2)
    restartable.stop()
    time.sleep(0.05)
    rig.spans.add("b", resendable=False)
    rig.flush(0.5)
    assert rig.traces == (2, 1, 1, 0, 0)
    restartable.start()
    for _ in range(2):
        rig.wait(31)
        rig.flush(2)
    assert rig.traces == (2, 2, 0, 0, 0)


@pytest.mark.parametrize("resendable", [True, False])
def test_a_connection_that_breaks_under_a_request(
    make_rig: Callable[..., Rig], *, resendable: bool
) -> None:
    """Spans are kept, deltas are unknown: the server may have counted them."""

    def breaking(peer: Peer) -> None:
        peer.send(b"\0\0\0\4\0\0\0\0\0")  # HTTP/2: an empty SETTINGS frame
        peer.wait(0.2)

    with RawServer(breaking) as server:
        rig = make_rig(server.endpoint, **GRPC)
        rig.spans.add("a", resendable=resendable)
        rig.flush(2)
        if resendable:
            assert rig.traces == (1, 0, 1, 0, 0)
        else:
            assert rig.traces == (1, 0, 0, 0, 1)


def test_tls_is_verified_by_the_users_certificate(
    restartable: Restartable, tmp_path: Path, make_rig: Callable[..., Rig]
) -> None:
    restartable.stop()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert(LOOPBACK)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    key = certificate.private_key_pem.bytes()
    restartable.start(grpc.ssl_server_credentials([(key, chain)]))
    endpoint = f"https://{LOOPBACK}:{restartable.port}"

    rig = make_rig(endpoint, **GRPC)
    rig.spans.add("a")
    rig.flush(1)
    assert rig.traces.retained == 1
    assert restartable.received == 0

    path = str(tmp_path / "ca.pem")
    rig = make_rig(endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=path, **GRPC)
    rig.spans.add("a")
    rig.flush(2)
    assert rig.traces.sent == 1


def test_exporting_is_not_traced(
    receiver: OTLPReceiver,
    make_rig: Callable[..., Rig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Instrumentations see the key of the API that tells them to keep still."""
    from opentelemetry import context

    seen: list[object] = []
    original = grpc.insecure_channel

    def instrumented(*args: Any, **options: Any) -> Any:
        seen.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
        return original(*args, **options)

    monkeypatch.setattr(grpc, "insecure_channel", instrumented)
    rig = make_rig(receiver.grpc_endpoint, **GRPC)
    rig.spans.add("a")
    rig.flush(2)
    assert seen == [True]
    assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY) is None
    assert rig.traces.sent == 1


def test_without_grpcio_the_one_message_says_what_to_install(
    make_rig: Callable[..., Rig],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An endpoint that was named for gRPC is not tried with another protocol."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    rig = make_rig("http://127.0.0.1:1", **GRPC)
    with caplog.at_level(logging.WARNING):
        for name in "ab":
            rig.spans.add(name)
            rig.flush()
    assert rig.traces == (2, 0, 0, 2, 0)
    assert caplog.text.count("powertools-otel[otlp]") == 1


def test_without_grpcio_and_endpoint_http_is_used(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default endpoint of the one protocol is as good as that of the other."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    rig = make_rig(**GRPC)
    transport: Any = rig.channel._get_transport()
    assert transport._target.location == "http://localhost:4318"
    assert transport._head.startswith(b"POST /v1/traces HTTP/1.1\r\n")
    assert b"content-type: application/x-protobuf\r\n" in transport._head
