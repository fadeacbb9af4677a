"""All signals' way out of the process: one flush, one deadline, no exception."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

from powertools_otel._delivery._channel import Channel
from powertools_otel._delivery._clock import now
from powertools_otel._delivery._steps import run
from powertools_otel._delivery._target import target
from powertools_otel._guard import harmless, warn_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from powertools_otel._delivery._authorization import Authorization
    from powertools_otel._delivery._batch import Statistics
    from powertools_otel._delivery._channel import Signal
    from powertools_otel._delivery._clock import Clock
    from powertools_otel._delivery._interfaces import Source, Transport
    from powertools_otel._delivery._target import Target
    from powertools_otel._otlp import Encoding
    from powertools_otel._settings import Settings

WARM_UP_S = 0.25
"""How long connecting in advance may take."""
_CLOSE_S = 1.0


class Delivery:
    """The channels of all signals.

    Args:
        settings: Our settings.
        environ: The environment, for the ``OTEL_EXPORTER_OTLP_*`` variables.
        clock: Reads both clocks, for back-off and idle connections.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], clock: Clock = now
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._flushing = threading.Lock()

    def attach(
        self,
        signal: str,
        source: Source,
        encoding: Encoding,
        *,
        to_stdout: bool = False,
    ) -> Channel:
        """Send what ``source`` collects.

        Args:
            signal: ``traces`` or ``metrics``.
            source: Where the signal's telemetry comes from.
            encoding: How its batches are encoded; all sources of a signal alike.
            to_stdout: Write lines of OTLP/JSON instead of sending.
        """
        known = cast("Signal", signal)
        if known not in self._channels:
            self._channels[known] = Channel(
                known,
                encoding,
                lambda: self._make_transport(known, encoding, to_stdout=to_stdout),
                self._settings,
                self._clock,
            )
        channel = self._channels[known]
        channel.attach(source)
        return channel

    def channel(self, signal: str) -> Channel:
        """The channel of a signal.

        Raises:
            KeyError: If nothing is attached to it.
        """
        return self._channels[signal]

    def flush(self, deadline: float, signals: Iterable[str] | None = None) -> None:
        """Send what is recorded, all signals at once. Never raises.

        Args:
            deadline: The ``time.monotonic()`` at which to return.
            signals: Only these.
        """
        with harmless("flush telemetry"):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._channels:
                return
            if not self._flushing.acquire(timeout=min(remaining, 3600.0)):
                return
            try:
                run([c.deliver(deadline) for c in self._chosen(signals)])
            finally:
                self._flushing.release()

    def warm_up(self, signal: str | None = None, timeout_s: float = WARM_UP_S) -> None:
        """Import, read certificates and connect, before the first flush. Never raises.

        Args:
            signal: Only this one.
            timeout_s: How long connecting may take; it is continued by the first flush.
        """
        with harmless("warm up delivery"):
            deadline = time.monotonic() + timeout_s
            if not self._flushing.acquire(timeout=timeout_s):
                return
            try:
                chosen = self._chosen(None if signal is None else [signal])
                run([channel.warm_up(deadline) for channel in chosen])
            finally:
                self._flushing.release()

    def statistics(self) -> dict[str, Statistics]:
        """Per signal: sent + retained + dropped + unknown = recorded."""
        return {signal: c.statistics() for signal, c in self._channels.items()}

    def close(self) -> None:
        """Close all connections; a later flush opens them again."""
        with harmless("close delivery"):
            if not self._flushing.acquire(timeout=_CLOSE_S):
                return
            try:
                for channel in self._channels.values():
                    channel.close()
            finally:
                self._flushing.release()

    def reset_after_fork_or_restore(self, *, forked: bool = False) -> None:
        """Drop connections, back-off and locks of another process, or another time.

        Args:
            forked: Whether this is a forked child: it forgets what waits and all
                counts, as its sources must; the parent sends them.
        """
        self._flushing = threading.Lock()
        with harmless("reset delivery"):
            if forked:
                import sys

                resolve = sys.modules.get("powertools_otel._delivery._resolve")
                if resolve is not None:
                    resolve.reset_after_fork()
            for channel in self._channels.values():
                channel.reset(forked=forked)

    def _chosen(self, signals: Iterable[str] | None) -> list[Channel]:
        if signals is None:
            return list(self._channels.values())
        return [self._channels[name] for name in signals if name in self._channels]

    def _make_transport(
        self, signal: Signal, encoding: Encoding, *, to_stdout: bool
    ) -> Transport:
        if to_stdout:
            from powertools_otel._delivery._stdout import StdoutTransport

            return StdoutTransport()
        destination = target(signal, self._environ)
        if destination.protocol == "grpc":
            try:
                from powertools_otel._delivery._grpc import GrpcTransport

                return GrpcTransport(
                    destination, self._clock, self._authorization(destination)
                )
            except ImportError:
                if destination.explicit:
                    return _nowhere()
                # The default endpoint is as good as the other default endpoint.
                name = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
                environ = {**self._environ, name: "http/protobuf"}
                destination = target(signal, environ)
        from powertools_otel._delivery._http import HttpTransport

        content_type = encoding.content_type
        if content_type == "application/grpc":
            content_type = "application/x-protobuf"
        return HttpTransport(
            destination,
            content_type,
            self._environ,
            self._clock,
            self._authorization(destination),
        )

    def _authorization(self, destination: Target) -> Authorization | None:
        """What requests need that is not in the environment; mostly nothing."""
        wanted = self._settings.headers_secret or self._settings.sigv4 == "on"
        if not wanted and not destination.host.endswith(".amazonaws.com"):
            return None
        from powertools_otel._delivery._authorization import authorization

        return authorization(destination, self._settings)


def _nowhere() -> Transport:
    from powertools_otel._delivery._nowhere import NowhereTransport

    warn_once(
        "delivery:grpc",
        "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and grpcio is not installed: telemetry is "
        "dropped. Install powertools-otel[otlp], or set the protocol to http/protobuf "
        "with an endpoint that speaks it.",
    )
    return NowhereTransport("grpcio is not installed")
