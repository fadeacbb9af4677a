"""OTLP over HTTP/1.1 on one kept-alive socket, without ``http.client``.

Importing and using ``http.client`` costs 10 ms of a cold start and twice the time of
a warm request; and its timeouts hold for each socket operation, so that a server that
answers a byte a second keeps its caller for ever. Here one deadline covers DNS,
connecting, a proxy, TLS, sending and receiving.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from powertools_otel._delivery._answer import Answer, ProtocolError
from powertools_otel._delivery._clock import elapsed, now
from powertools_otel._delivery._establish import Opening
from powertools_otel._delivery._outcome import Outcome, of_http
from powertools_otel._delivery._steps import READ, DeadlineExceeded, Wait, within
from powertools_otel._delivery._stream import send_now, send_rest
from powertools_otel._version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from powertools_otel._delivery._authorization import Authorization
    from powertools_otel._delivery._clock import Clock, Instant
    from powertools_otel._delivery._proxy import Proxy
    from powertools_otel._delivery._steps import Steps
    from powertools_otel._delivery._stream import Stream
    from powertools_otel._delivery._target import Target

USER_AGENT = f"OTel-OTLP-Exporter-Python-powertools-otel/{VERSION}"
IDLE_LIMIT_S = 50.0
"""A connection unused for longer is not trusted: load balancers drop idle ones after
60 s, and a sandbox that was frozen does not see the FIN in time."""
REQUEST_LIMIT = 3_500_000
"""Bytes of one request; collectors limit gRPC messages to 4 MiB."""
_PATIENCE_S = 1.0
"""How long an attempt to connect may make no progress before it is begun anew."""
_COPY_LIMIT = 65_536
_COMPRESS_STEP = 131_072
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class _Died(Exception):  # noqa: N818 - an event, not an error
    """A kept-alive connection turned out dead before it gave any answer."""


class _Late(NamedTuple):
    answer: Answer
    steps: Steps[None]


class HttpTransport:
    """Sends requests of one signal, one at a time.

    Args:
        target: Where to.
        content_type: Of the requests.
        environ: For the proxies.
        clock: Reads both clocks.
        authorization: What a request needs beyond the target's headers.
    """

    limit = REQUEST_LIMIT

    def __init__(
        self,
        target: Target,
        content_type: str,
        environ: Mapping[str, str],
        clock: Clock = now,
        authorization: Authorization | None = None,
    ) -> None:
        self._authorization = authorization
        self.timeout_s = target.timeout_s
        self._target = target
        self._clock = clock
        self._proxy = _proxy(target, environ)
        self._content_type = content_type
        self._head = _head(target, content_type, self._proxy)
        self._stream: Stream | None = None
        self._used = clock()
        self._answers = 0
        self._opening: Opening | None = None
        self._tried: tuple[int, Instant] = (0, self._used)
        self._late: _Late | None = None
        self._sent = False

    def open(self, deadline: float) -> Steps[Outcome | None]:
        """Have a connection that works, as far as can be known.

        Returns:
            None, or why there is none. An attempt that ran out of time goes on at the
            next call: TCP, DNS and TLS may need longer than one probe.
        """
        if self._authorization is not None:
            refused = self._authorize(self._authorization, deadline)
            if refused is not None:
                return refused
        if self._stream is not None:
            if self._is_alive(self._stream):
                return None
            self.close()
        opening = self._opening
        if opening is not None:
            # Without waiting: has it come on in the meantime?
            failed = yield from self._establish(opening, 0.0)
            if failed is None:
                return None
            stuck = self._tried[0] == opening.stage
            if stuck and elapsed(self._tried[1], self._clock()) >= _PATIENCE_S:
                opening.close()  # a SYN sent now may find what an old one did not
                self._opening = None
        if self._opening is None:
            self._opening = Opening(self._target, self._proxy)
        opening = self._opening
        failed = yield from self._establish(opening, deadline)
        self._tried = (opening.stage, self._clock())
        return failed

    def is_open(self) -> bool:
        """Whether a request can be sent at once."""
        return (
            self._authorization is None
            and self._stream is not None
            and self._is_alive(self._stream)
        )

    def _is_alive(self, stream: Stream) -> bool:
        return (
            elapsed(self._used, self._clock()) < IDLE_LIMIT_S
            and self._late is None
            and stream.is_idle()
        )

    def _authorize(self, wanted: Authorization, deadline: float) -> Outcome | None:
        """Have what requests are let in by; take it over if it lasts."""
        from powertools_otel._delivery._authorization import refusal

        refused = refusal(wanted, deadline)
        if refused is None and wanted.lasts:
            self._authorization = None
            headers = (*self._target.headers, *wanted.headers(b""))
            self._target = self._target._replace(headers=headers)
            self._head = _head(self._target, self._content_type, self._proxy)
        return refused

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        """Send a request on the open connection and read its answer.

        Args:
            body: The request, not compressed.
            deadline: The ``time.monotonic()`` at which to give up.
            resendable: Whether it may be sent a second time if a kept-alive
                connection turns out to have been dead after it was fully sent.
        """
        self._sent = False
        try:
            parts = self._parts(body, deadline)
        except DeadlineExceeded:
            return self._timed_out("compress a request")
        try:
            return (yield from self._exchange(parts, deadline))
        except _Died as died:
            self.close()
            if self._sent and not resendable:
                return Outcome("unknown", str(died))
        failed = yield from self.open(deadline)
        if failed is not None:
            return failed
        return (yield from self._exchange(parts, deadline))

    def late(self) -> Outcome | None:
        """The outcome of a request that was not answered in time, once there is one.

        Never waits.
        """
        late = self._late
        if late is None:
            return Outcome("unknown", "the connection is gone")
        try:
            next(within(late.steps, 0.0), None)
        except DeadlineExceeded:
            return None
        except OSError as error:
            return self._broken(late.answer, error)
        return self._answered(late.answer)

    def interrupted(self) -> bool:
        """Close after an exchange was broken off; whether it was fully sent."""
        self.close()
        return self._sent

    def close(self, *, forked: bool = False) -> None:
        """Close the connection, or give up making it."""
        self._late = None
        self._answers = 0
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._opening is not None:
            self._opening.close()
            self._opening = None

    def _establish(self, opening: Opening, deadline: float) -> Steps[Outcome | None]:
        try:
            self._stream = yield from within(opening.steps, deadline)
        except DeadlineExceeded:
            return Outcome(
                "retry",
                f"cannot connect to {self._target.location} in time",
                connected=False,
                timed_out=True,
            )
        except (OSError, ValueError) as error:
            self._opening = None
            return Outcome(
                "retry",
                f"cannot connect to {self._target.location}: {_reason(error)}",
                connected=False,
            )
        self._opening = None
        self._answers = 0
        self._used = self._clock()
        return None

    def _exchange(self, parts: list[bytes], deadline: float) -> Steps[Outcome]:
        stream = self._stream
        if stream is None:
            return Outcome("retry", "not connected", connected=False)
        rest: Sequence[memoryview] = ()
        try:
            rest = send_now(stream, parts)
            self._sent = not rest
            if rest:
                self._sent = yield from within(send_rest(stream, rest), deadline)
        except DeadlineExceeded:
            return self._timed_out("send a request")
        except OSError:
            # It may have answered before it closed: too large, not authorized.
            pass
        answer = Answer()
        steps = answer.read(stream)
        try:
            if self._sent and not rest:
                # No answer can be there yet, so it is not looked for.
                yield Wait(((stream.fd, READ),), deadline)
                if answer.take(stream.receive()):
                    return self._answered(answer)
            yield from within(steps, deadline)
        except DeadlineExceeded:
            return self._unanswered(answer, steps)
        except OSError as error:
            if self._answers and not answer.started and not _is_tls_alert(error):
                raise _Died(_reason(error)) from error
            return self._broken(answer, error)
        return self._answered(answer)

    def _unanswered(self, answer: Answer, steps: Steps[None]) -> Outcome:
        if answer.status:
            return self._finish(answer, timed_out=True)
        if not self._sent:
            return self._timed_out("send a request")
        self._late = _Late(answer, steps)
        return Outcome(
            "unknown",
            f"{self._target.location} has not answered in time",
            timed_out=True,
            pending=True,
        )

    def _answered(self, answer: Answer) -> Outcome:
        self._late = None
        self._answers += 1
        self._used = self._clock()
        if not answer.reusable or not self._sent:
            self.close()
        return self._outcome(answer)

    def _broken(self, answer: Answer, error: OSError) -> Outcome:
        if answer.status:
            return self._finish(answer)
        self.close()
        location = self._target.location
        if isinstance(error, ProtocolError):
            message = f"{location} does not speak HTTP/1.1: {_reason(error)}"
            return Outcome("unknown" if self._sent else "retry", message)
        message = f"{location} closed the connection: {_reason(error)}"
        # A server that does not like our certificate says so after the handshake.
        refused = not self._sent or (_is_tls_alert(error) and not answer.started)
        return Outcome("retry" if refused else "unknown", message)

    def _finish(self, answer: Answer, *, timed_out: bool = False) -> Outcome:
        """The outcome of an answer whose head is there, if not all of its body."""
        self.close()
        return self._outcome(answer)._replace(timed_out=timed_out)

    def _outcome(self, answer: Answer) -> Outcome:
        outcome = of_http(
            answer.status, answer.headers, answer.body, self._target.location
        )
        if not outcome.message:
            return outcome
        return outcome._replace(message=self._target.mask(outcome.message))

    def _timed_out(self, doing: str) -> Outcome:
        self.close()
        message = f"could not {doing} to {self._target.location} in time"
        return Outcome("retry", message, timed_out=True)

    def _parts(self, body: bytes, deadline: float) -> list[bytes]:
        if self._target.compression != "none":
            body = _compress(body, self._target.compression, deadline)
        head = b"%b%d\r\n\r\n" % (self._head, len(body))
        if self._authorization is not None:
            lines = [f"{n}: {v}\r\n" for n, v in self._authorization.headers(body)]
            head = head[:-2] + "".join(lines).encode("latin-1", "replace") + b"\r\n"
        # One segment for what is small; no copy of what is large.
        return [head + body] if len(body) <= _COPY_LIMIT else [head, body]


def _compress(body: bytes, compression: str, deadline: float) -> bytes:
    import zlib

    # The fastest level: a function's CPU time is paid for by the ms, and repeated
    # names and resources shrink to a tenth at any level.
    compressor = zlib.compressobj(
        1, zlib.DEFLATED, zlib.MAX_WBITS + (16 if compression == "gzip" else 0)
    )
    done: list[bytes] = []
    for at in range(0, len(body), _COMPRESS_STEP):
        if at and time.monotonic() >= deadline:
            raise DeadlineExceeded
        done.append(compressor.compress(body[at : at + _COMPRESS_STEP]))
    done.append(compressor.flush())
    return b"".join(done)


def _head(target: Target, content_type: str, proxy: Proxy | None) -> bytes:
    default_port = {"http": 80, "https": 443}[target.scheme]
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != default_port:
        host = f"{host}:{target.port}"
    path = target.path
    headers = {
        "host": host,
        "user-agent": USER_AGENT,
        "content-type": content_type,
    }
    if target.compression != "none":
        headers["content-encoding"] = target.compression
    if proxy is not None and target.scheme == "http":
        path = f"http://{host}{path}"
        if proxy.authorization:
            headers["proxy-authorization"] = proxy.authorization
    headers.update(target.headers)
    lines = [f"POST {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "content-length: "]).encode("utf-8", "replace")


def _proxy(target: Target, environ: Mapping[str, str]) -> Proxy | None:
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return None
    from powertools_otel._delivery._proxy import proxy_for

    return proxy_for(target.scheme, target.host, target.port, environ)


def _reason(error: Exception) -> str:
    verification = getattr(error, "verify_message", "")
    if verification:
        return f"its certificate cannot be verified: {verification}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_tls_alert(error: OSError) -> bool:
    return "ALERT" in str(getattr(error, "reason", ""))
