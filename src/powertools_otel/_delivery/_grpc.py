"""OTLP over gRPC with the generic interface of grpcio, which is an extra."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from powertools_otel._delivery._clock import elapsed, now
from powertools_otel._delivery._http import IDLE_LIMIT_S, REQUEST_LIMIT, USER_AGENT
from powertools_otel._delivery._outcome import DELIVERED, Outcome
from powertools_otel._delivery._response import (
    partial_success,
    printable,
    retry_delay,
)
from powertools_otel._delivery._steps import READ, DeadlineExceeded, Wait, within
from powertools_otel._delivery._untraced import untraced
from powertools_otel._guard import warn_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from powertools_otel._delivery._authorization import Authorization
    from powertools_otel._delivery._clock import Clock
    from powertools_otel._delivery._steps import Steps
    from powertools_otel._delivery._target import Target

METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
RETRYABLE = frozenset(
    {
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
"""The codes after which OTLP/gRPC clients send again (OTLP 1.x, "Failures");
RESOURCE_EXHAUSTED too, but only with a RetryInfo."""
_OURS = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
"""The codes that this side gives to a call without an answer."""
_NOT_CONNECTED = ("failed to connect", "errors resolving", "dns resolution")
_BROKEN = (
    "closed",
    "closing",
    "removed",
    "reset",
    "broken pipe",
    "goaway",
    "recvmsg",
    "sendmsg",
    "timed out",
    "timeout",
    "keepalive",
)
_SHORTEST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.005
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")

_inherited: list[Any] = []
"""Channels of a parent process: freeing them in the child could wait for threads that
only the parent has."""


class GrpcTransport:
    """Sends requests of one signal, one at a time.

    Args:
        target: Where to.
        clock: Reads both clocks.
        authorization: What a call needs beyond the target's headers; a signature,
            which is of HTTP, it cannot be.

    Raises:
        ImportError: If grpcio is not installed.
    """

    limit = REQUEST_LIMIT

    def __init__(
        self,
        target: Target,
        clock: Clock = now,
        authorization: Authorization | None = None,
    ) -> None:
        self._grpc: Any = import_module("grpc")  # it has no types
        self.timeout_s = target.timeout_s
        self._target = target
        self._clock = clock
        lasting = authorization is not None and authorization.lasts
        self._authorization = authorization if lasting else None
        self._metadata = _metadata(target)
        self._channel: Any = None
        self._export: Any = None
        self._call: Any = None
        self._ready = False
        self._used = clock()
        self._wakeup: tuple[socket.socket, socket.socket] | None = None

    def is_open(self) -> bool:
        """Whether the channel is connected, and was used not long ago."""
        return (
            self._ready
            and self._authorization is None
            and self._call is None
            and elapsed(self._used, self._clock()) < IDLE_LIMIT_S
        )

    def open(self, deadline: float) -> Steps[Outcome | None]:
        """Have a channel that is connected, or was when it was last used."""
        if self._authorization is not None:
            from powertools_otel._delivery._authorization import refusal

            refused = refusal(self._authorization, deadline)
            if refused is not None:
                return refused
            headers = (*self._target.headers, *self._authorization.headers(b""))
            self._authorization = None
            self._target = self._target._replace(headers=headers)
            self._metadata = _metadata(self._target)
        if self._call is not None or (
            self._ready and elapsed(self._used, self._clock()) >= IDLE_LIMIT_S
        ):
            self.close()
        while not self._ready:
            fresh = self._channel is None
            if fresh:
                self._make_channel()
            try:
                yield from within(self._until_connected(), deadline)
            except DeadlineExceeded:
                return Outcome(
                    "retry",
                    f"cannot connect to {self._target.location} in time",
                    connected=False,
                    timed_out=True,
                )
            if not self._ready:
                self.close()  # a new channel tries at once, this one would back off
                if fresh:
                    message = f"cannot connect to {self._target.location}"
                    return Outcome("retry", message, connected=False)
        return None

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        """Send a request and wait for the answer."""
        # The call may outlast this flush, for an answer that comes late.
        timeout = max(self._target.timeout_s, deadline - time.monotonic())
        with untraced():
            self._call = call = self._export.future(
                body,
                timeout=timeout,
                metadata=self._metadata,
                compression=self._compression(),
            )
        call.add_done_callback(self._wake)
        try:
            yield from within(self._until(call.done), deadline)
        except DeadlineExceeded:
            return Outcome(
                "unknown",
                f"{self._target.location} has not answered in time",
                timed_out=True,
                pending=True,
            )
        return self._answered()

    def late(self) -> Outcome | None:
        """The outcome of a call that was not answered in time, once there is one."""
        if self._call is None:
            return Outcome("unknown", "the channel is gone")
        return self._answered() if self._call.done() else None

    def interrupted(self) -> bool:
        """Cancel; gRPC does not tell how far a request has come."""
        self.close()
        return True

    def close(self, *, forked: bool = False) -> None:
        """Close the channel."""
        call, self._call = self._call, None
        channel, self._channel = self._channel, None
        self._ready = False
        if forked:
            _inherited.extend((call, channel))
        else:
            if call is not None:
                call.cancel()
            if channel is not None:
                channel.close()
        if self._wakeup is not None:
            for end in self._wakeup:
                end.close()
            self._wakeup = None

    def _answered(self) -> Outcome:
        call, self._call = self._call, None
        self._used = self._clock()
        code = call.code().name
        if code == "OK":
            rejected, message = partial_success(call.result(), "application/grpc")
            if not rejected and not message:
                return DELIVERED
            return Outcome("delivered", self._target.mask(message), rejected=rejected)
        outcome = _failure(
            code,
            printable(call.details() or ""),
            _asked_delay(call),
            self._target.location,
        )
        if not outcome.connected or outcome.kind == "unknown":
            self.close()
        return outcome._replace(message=self._target.mask(outcome.message))

    def _until_connected(self) -> Steps[None]:
        # Channel.subscribe() would be the public way. It starts a thread that polls
        # on for 0.2 s and writes a traceback if the channel is closed by then.
        core = getattr(self._channel, "_channel", None)
        check = getattr(core, "check_connectivity_state", None)
        states = self._grpc.ChannelConnectivity
        pause = _SHORTEST_PAUSE_S
        while check is not None:
            state = check(True)  # noqa: FBT003 - its signature: try to connect
            if state == states.READY.value[0]:
                break
            if state in (states.TRANSIENT_FAILURE.value[0], states.SHUTDOWN.value[0]):
                return
            yield Wait((), time.monotonic() + pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        self._ready = True

    def _until(self, done: Callable[[], bool]) -> Steps[None]:
        if self._wakeup is None:
            self._wakeup = socket.socketpair()
            for end in self._wakeup:
                end.setblocking(False)  # noqa: FBT003 - the socket module's signature
        reader = self._wakeup[0]
        while True:
            with suppress(BlockingIOError):
                reader.recv(4096)
            if done():
                return
            yield Wait(((reader.fileno(), READ),))

    def _wake(self, _: Any = None) -> None:
        """Called by gRPC's threads."""
        wakeup = self._wakeup
        if wakeup is not None:
            with suppress(OSError):  # full: it will wake up; closed: nobody waits
                wakeup[1].send(b"\0")

    def _compression(self) -> Any:
        known = self._grpc.Compression
        return {"gzip": known.Gzip, "deflate": known.Deflate}.get(
            self._target.compression, known.NoCompression
        )

    def _make_channel(self) -> None:
        options = [
            ("grpc.primary_user_agent", USER_AGENT),
            # A new channel shall not inherit the back-off of an old one.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        target, grpc = self._target, self._grpc
        with untraced():
            if target.scheme == "http":
                channel = grpc.insecure_channel(target.address, options=options)
            else:
                credentials = grpc.ssl_channel_credentials(
                    _read("CERTIFICATE", target.certificate),
                    _read("CLIENT_KEY", target.client_key),
                    _read("CLIENT_CERTIFICATE", target.client_certificate),
                )
                channel = grpc.secure_channel(target.address, credentials, options)
        self._channel = channel
        # Without serializers, gRPC takes and gives bytes.
        self._export = channel.unary_unary(METHODS[target.signal])


def _failure(code: str, details: str, delay: float | None, location: str) -> Outcome:
    """What a status other than OK means.

    gRPC makes up a status itself when a connection breaks, and does not mark it as
    its own. Its words tell; where they are in doubt, nothing is sent twice.

    Args:
        code: The status.
        details: Its message.
        delay: What RetryInfo asks for, in s.
        location: The endpoint, as it may be logged.
    """
    message = f"{location}: {code}: {details}" if details else f"{location}: {code}"
    if code == "RESOURCE_EXHAUSTED" and delay is None:
        return Outcome("rejected", message, too_large="larger than max" in details)
    if code not in RETRYABLE and code != "RESOURCE_EXHAUSTED":
        return Outcome("rejected", message)
    words = details.lower()
    if code == "UNAVAILABLE" and any(sign in words for sign in _NOT_CONNECTED):
        return Outcome("retry", message, connected=False)
    if code in _OURS or any(sign in words for sign in _BROKEN):
        return Outcome("unknown", message)
    return Outcome("retry", message, retry_after=delay)


def _asked_delay(call: Any) -> float | None:
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            return retry_delay(value)
    return None


def _metadata(target: Target) -> tuple[tuple[str, str | bytes], ...]:
    found: list[tuple[str, str | bytes]] = []
    for name, value in target.headers:
        if name in {"user-agent", "host"}:
            continue
        if not _NAME.issuperset(name) or not (value.isascii() and value.isprintable()):
            warn_once(
                f"setting:grpc:{name}",
                "The header %s cannot be sent with gRPC. Going on without it.",
                name,
            )
            continue
        found.append((name, value.encode() if name.endswith("-bin") else value))
    return tuple(found)


def _read(setting: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes 5 ms
            return file.read()
    except OSError as error:
        warn_once(
            f"setting:OTEL_EXPORTER_OTLP_{setting}",
            "OTEL_EXPORTER_OTLP_%s is %r: it must be a PEM file (%s). Going on "
            "without it.",
            setting,
            path[:200],
            error,
        )
        return None
