"""HTTPS: always verified, with the user's certificates, through proxies."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.delivery.conftest import names
from tests.support.faults import (
    LOOPBACK,
    OK,
    ForwardProxy,
    Peer,
    RawServer,
    answer_every,
)

from powertools_otel._delivery import _tls
from powertools_otel.testing._receiver import OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.delivery.conftest import Rig


@pytest.fixture(autouse=True)
def forget_contexts() -> Generator[None]:
    """Certificates are read once a process, files of these tests once a test."""
    _tls._contexts.clear()
    yield
    _tls._contexts.clear()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    """The file of the certificate to trust."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(authority: trustme.CA, *hosts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA) -> Generator[OTLPReceiver]:
    """A receiver with a certificate of the authority for the loopback address."""
    with OTLPReceiver(tls=server_context(authority, LOOPBACK, "localhost")) as receiver:
        yield receiver


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_trusted_server_is_delivered_to_on_one_connection(
    version: ssl.TLSVersion,
    authority: trustme.CA,
    trusted: str,
    make_rig: Callable[..., Rig],
) -> None:
    """Session tickets that arrive in between do not make a connection look stale."""
    context = server_context(authority, LOOPBACK)
    context.minimum_version = context.maximum_version = version
    with OTLPReceiver(tls=context) as receiver:
        rig = make_rig(receiver.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
        for name in "abc":
            rig.spans.add(name)
            rig.flush(2)
        assert names(receiver) == ["a", "b", "c"]
        assert len({request.connection for request in receiver.requests}) == 1


def test_a_large_request_arrives_whole_by_tls(
    secure: OTLPReceiver, trusted: str, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(secure.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
    rig.spans.add("large", padding=9_000_000)
    rig.flush(5)
    assert names(secure) == ["large"]


def test_a_restarted_server_is_noticed_by_tls(
    secure: OTLPReceiver, trusted: str, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(secure.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
    for name in "ab":
        rig.spans.add(name, resendable=False)
        rig.flush(2)
        secure.refuse()
        secure.accept()
    assert rig.traces == (2, 2, 0, 0, 0)


def test_an_unverifiable_server_gets_nothing_and_is_said_once(
    secure: OTLPReceiver, make_rig: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    """Not connected: spans are kept, and the one message says why."""
    rig = make_rig(secure.endpoint).with_metrics()
    for name in "ab":
        rig.spans.add(name)
        rig.points.add(name, resendable=False)
        rig.flush(2)
        rig.wait(31)
    assert secure.attempts == 0
    assert rig.traces == (2, 0, 2, 0, 0)
    assert rig.metrics == (2, 0, 2, 0, 0)
    messages = [r.getMessage() for r in caplog.records if "verif" in r.getMessage()]
    assert len(messages) == 2  # one for each signal
    assert secure.endpoint in messages[0]


def test_a_certificate_for_another_host_is_not_accepted(
    authority: trustme.CA,
    trusted: str,
    make_rig: Callable[..., Rig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OTLPReceiver(tls=server_context(authority, "other.test")) as receiver:
        rig = make_rig(receiver.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
        rig.spans.add("a")
        rig.flush(2)
        assert receiver.attempts == 0
    assert rig.traces.retained == 1
    assert "mismatch" in caplog.text


@pytest.fixture
def mutual(authority: trustme.CA) -> Generator[OTLPReceiver]:
    """A receiver that wants a client certificate of the authority."""
    context = server_context(authority, LOOPBACK)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with OTLPReceiver(tls=context) as receiver:
        yield receiver


@pytest.mark.parametrize("in_one_file", [True, False])
def test_a_client_certificate_is_shown(
    mutual: OTLPReceiver,
    authority: trustme.CA,
    trusted: str,
    tmp_path: Path,
    make_rig: Callable[..., Rig],
    *,
    in_one_file: bool,
) -> None:
    """Certificate and key in two files, or both in the one."""
    client = authority.issue_cert("client.test")
    options = {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": str(tmp_path / "c.pem")}
    if in_one_file:
        client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    else:
        client.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
        client.private_key_pem.write_to_path(tmp_path / "k.pem")
        options["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"] = str(tmp_path / "k.pem")
    rig = make_rig(mutual.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted, **options)
    rig.spans.add("a")
    rig.flush(2)
    assert names(mutual) == ["a"]


@pytest.mark.parametrize("resendable", [True, False])
def test_without_the_client_certificate_all_is_kept(
    mutual: OTLPReceiver,
    trusted: str,
    make_rig: Callable[..., Rig],
    *,
    resendable: bool,
) -> None:
    """TLS 1.3 servers refuse after the request was sent: still nothing is lost."""
    rig = make_rig(mutual.endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
    rig.spans.add("a", resendable=resendable)
    rig.flush(2)
    assert rig.traces == (1, 0, 1, 0, 0)
    assert mutual.attempts == 0


@pytest.mark.parametrize("variable", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_wrong_certificate_file_is_said_and_left_out(
    variable: str,
    content: str | None,
    secure: OTLPReceiver,
    tmp_path: Path,
    make_rig: Callable[..., Rig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server is verified all the same, by the system's certificates."""
    path = tmp_path / "wrong.pem"
    if content is not None:
        path.write_text(content)
    rig = make_rig(secure.endpoint, **{f"OTEL_EXPORTER_OTLP_{variable}": str(path)})
    for name in "ab":
        rig.spans.add(name)
        rig.flush(2)
        rig.wait(31)
    assert secure.attempts == 0
    assert rig.traces.retained == 2
    wrong = [r for r in caplog.records if "wrong.pem" in r.getMessage()]
    assert len(wrong) == 1
    assert f"OTEL_EXPORTER_OTLP_{variable}" in wrong[0].getMessage()


def test_a_plain_server_is_no_tls_server(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(f"https://{LOOPBACK}:{receiver.port}")
    rig.spans.add("a")
    rig.flush(2)
    assert rig.traces.retained == 1


def test_a_server_that_never_shakes_hands_costs_the_bound(
    make_rig: Callable[..., Rig],
) -> None:
    with RawServer(lambda peer: peer.wait()) as server:
        rig = make_rig(f"https://{LOOPBACK}:{server.port}")
        rig.delivery.warm_up(timeout_s=0.001)  # reading certificates is not bounded
        rig.spans.add("a")
        assert rig.flush(0.2) <= 0.2 * 1.1 + 0.02
        assert rig.traces.retained == 1


def test_tls_goes_through_a_proxy_tunnel(
    authority: trustme.CA, trusted: str, make_rig: Callable[..., Rig]
) -> None:
    """CONNECT by name, the endpoint's own certificate verified behind it."""
    context = server_context(authority, "collector.test")
    with OTLPReceiver(tls=context) as receiver, ForwardProxy(receiver.port) as proxy:
        rig = make_rig(
            "https://collector.test",
            https_proxy=f"http://me:pw@{LOOPBACK}:{proxy.port}",
            OTEL_EXPORTER_OTLP_CERTIFICATE=trusted,
        )
        for name in "ab":
            rig.spans.add(name)
            rig.flush(2)
        [(first, headers)] = proxy.requests
        assert names(receiver) == ["a", "b"]
    assert first == "CONNECT collector.test:443 HTTP/1.1"
    assert headers["proxy-authorization"] == "Basic bWU6cHc="
    assert "proxy-authorization" not in receiver.requests[0].headers
    assert receiver.requests[0].headers["host"] == "collector.test"


def test_a_proxy_that_refuses_means_not_connected(
    secure: OTLPReceiver, make_rig: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    with ForwardProxy(secure.port, status=407) as proxy:
        rig = make_rig(
            "https://collector.test",
            https_proxy=f"http://me:s3cr3t@{LOOPBACK}:{proxy.port}",
        )
        rig.spans.add("a", resendable=False)
        rig.flush(2)
    assert rig.traces == (1, 0, 1, 0, 0)
    assert "the proxy answered 407" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_handshake_slower_than_any_probe_is_continued(
    authority: trustme.CA, trusted: str, make_rig: Callable[..., Rig]
) -> None:
    """Proxy and endpoint take longer than 100 ms each: every probe gets further."""
    context = server_context(authority, "collector.test")

    def slow(peer: Peer) -> None:
        peer.read_head()
        peer.wait(0.15)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.wait(0.3)
        peer.encrypt(context)
        answer_every(OK)(peer)

    with RawServer(slow) as proxy:
        rig = make_rig(
            "https://collector.test",
            https_proxy=proxy.endpoint,
            OTEL_EXPORTER_OTLP_CERTIFICATE=trusted,
        )
        rig.spans.add("a")
        rig.flush(0.02)
        for _ in range(3):
            time.sleep(0.2)
            rig.wait(31)
            assert rig.flush(2) <= 0.1 + 0.05
        assert rig.traces.sent == 1
        assert proxy.connected == 1


def test_a_connection_that_gets_no_further_is_begun_anew(
    authority: trustme.CA, trusted: str, make_rig: Callable[..., Rig]
) -> None:
    """An endpoint that forgot the first attempt is reached by the second."""
    context = server_context(authority, LOOPBACK)
    first = [True]

    def forgetful(peer: Peer) -> None:
        if first:
            first.clear()
            peer.wait()
            return
        peer.encrypt(context)
        answer_every(OK)(peer)

    with RawServer(forgetful) as server:
        rig = make_rig(
            f"https://{LOOPBACK}:{server.port}", OTEL_EXPORTER_OTLP_CERTIFICATE=trusted
        )
        rig.spans.add("a")
        rig.flush(0.05)
        rig.wait(2)
        rig.flush()
        assert rig.traces.sent == 1
        assert server.connected == 2
