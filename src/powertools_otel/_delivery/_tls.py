"""TLS for a connected socket: always verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from powertools_otel._delivery._steps import READ, WRITE, Wait
from powertools_otel._delivery._stream import RECEIVE_SIZE, Stream
from powertools_otel._guard import warn_once

if TYPE_CHECKING:
    import socket
    import ssl

    from powertools_otel._delivery._steps import Steps
    from powertools_otel._delivery._target import Target

_contexts: dict[tuple[str, str, str], ssl.SSLContext] = {}


class TlsStream(Stream):
    """A non-blocking TLS connection.

    Args:
        sock: The wrapped socket.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        import ssl

        super().__init__(sock)
        self._tls = sock
        self._want_read = ssl.SSLWantReadError
        self._want_write = ssl.SSLWantWriteError

    @override
    def send(self, data: bytes | memoryview) -> int:
        self.wants = WRITE
        try:
            return self._tls.send(data)
        except self._want_write:
            pass
        except self._want_read:
            self.wants = READ
        return 0

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except self._want_read:
            self.wants = READ
        except self._want_write:
            self.wants = WRITE
        else:
            return True
        return False

    @override
    def _receive(self) -> bytes | None:
        self.wants = READ
        try:
            return self._tls.recv(RECEIVE_SIZE)
        except self._want_read:
            pass
        except self._want_write:
            self.wants = WRITE
        return None

    def handshake(self) -> Steps[None]:
        """Agree on keys and verify the peer.

        Raises:
            OSError: If that fails; ``ssl.SSLCertVerificationError`` is one.
        """
        while not self._shake_hands():
            yield Wait(((self.fd, self.wants),))


def wrap(sock: socket.socket, target: Target) -> TlsStream:
    """Make a TLS connection of a connected socket, before the handshake."""
    wrapped = context(target).wrap_socket(
        sock,
        # As bytes, since ssl imports encodings.idna for a str.
        server_hostname=target.host.encode("ascii"),
        do_handshake_on_connect=False,
    )
    return TlsStream(wrapped)


def context(target: Target) -> ssl.SSLContext:
    """The TLS settings of a target, made once: reading the certificates takes 20 ms."""
    key = (target.certificate, target.client_certificate, target.client_key)
    known = _contexts.get(key)
    if known is None:
        known = _contexts[key] = _make(target)
    return known


def _make(target: Target) -> ssl.SSLContext:
    import os
    import ssl

    made: ssl.SSLContext | None = None
    if target.certificate:
        try:
            if os.path.isdir(target.certificate):  # noqa: PTH112 - pathlib takes 5 ms
                made = ssl.create_default_context(capath=target.certificate)
            else:
                made = ssl.create_default_context(cafile=target.certificate)
        except OSError as error:
            _reject(
                "CERTIFICATE",
                target.certificate,
                error,
                "a file of PEM certificates",
                "the system's certificates",
            )
    if made is None:
        made = ssl.create_default_context()
    made.set_alpn_protocols(["http/1.1"])
    if target.client_certificate:
        try:
            made.load_cert_chain(
                target.client_certificate,
                target.client_key or None,
                # Without one, OpenSSL asks the terminal for an encrypted key's.
                password="",
            )
        except (OSError, ValueError) as error:
            _reject(
                "CLIENT_CERTIFICATE or ..._CLIENT_KEY",
                target.client_certificate,
                error,
                "a PEM file and the unencrypted PEM key that belongs to it",
                "no client certificate",
            )
    return made


def _reject(
    setting: str, value: str, error: Exception, allowed: str, default: str
) -> None:
    warn_once(
        f"setting:OTEL_EXPORTER_OTLP_{setting}",
        "OTEL_EXPORTER_OTLP_%s is %r: it must be %s (%s). Going on with %s.",
        setting,
        value[:200],
        allowed,
        error,
        default,
    )
