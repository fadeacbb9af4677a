"""The process's one way out: what is recorded leaves from here, within a bound.

Tracing and metrics attach what they have to send; the end of the invocation, a
signal or an explicit flush sends it, both signals at once, under one deadline.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from powertools_otel import _invocation, _resource
from powertools_otel._delivery import Delivery, protocol
from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from powertools_otel._delivery import Source, Statistics
    from powertools_otel._invocation import Interruption, Invocation
    from powertools_otel._otlp import Encoding, Protocol

_ITEMS = {"traces": "spans", "metrics": "data points"}
_EXPORTERS = ("otlp", "otlp/stdout", "console", "none")


class Pipeline:
    """Settings, resource and delivery of one process.

    Args:
        settings: Our settings.
        environ: The environment, for the ``OTEL_*`` variables.

    Attributes:
        before_flush: Called with each flush's deadline (``time.monotonic()``, s).
        after_flush: Called at the end of each flush, in its thread.
        on_interruption: Called when what is still open has to be sent as it is.
        on_resource: Called with the resource's attributes when they have changed.
        on_restart: Called when the process begins anew: with True in a forked process,
            with False after a SnapStart restore.
        defers: Whether the end of an invocation is left to another to flush.
        prints: Whether anything attached is printed.
        sends: Whether anything is sent, by us or by a provider of the application.
        runtime_deadline: When the running invocation times out, if Lambda's runtime
            client told us (``time.monotonic()``, s).
        initialized: When the runtime first asked for an invocation, which is the end
            of INIT, in ns since the epoch, if that was seen.
        flushing: The threads that are in the middle of a flush.
        enclosed: While an invocation ends: whether a span of somebody else is around
            it, who then flushes the providers that are not ours.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.disabled = _is_true(environ.get("OTEL_SDK_DISABLED", ""))
        self._environ = environ
        self._resource: dict[str, Any] | None = None
        self._service: str | None = None
        self._account: str | None = None
        self.delivery = Delivery(settings, environ)
        self.before_flush: list[Callable[[float], None]] = []
        self.after_flush: list[Callable[[], None]] = []
        self.on_interruption: list[Callable[[Interruption], None]] = []
        self.on_resource: list[Callable[[Mapping[str, Any]], None]] = []
        self.on_restart: list[Callable[[bool], None]] = []
        self.defers: Callable[[], bool] = _never
        self.prints = self.sends = False
        self.runtime_deadline: float | None = None
        self.initialized: int | None = None
        self.flushing: set[int] = set()
        self.enclosed = False

    def exporters(self, signal: str) -> tuple[str, ...]:
        """What ``OTEL_TRACES_EXPORTER`` or ``OTEL_METRICS_EXPORTER`` names."""
        if self.disabled:
            return ()
        name = f"OTEL_{signal.upper()}_EXPORTER"
        words = [
            word.strip().lower() for word in self._environ.get(name, "").split(",")
        ]
        named = dict.fromkeys(word for word in words if word) or {"otlp": None}
        for word in [word for word in named if word not in _EXPORTERS]:
            warn_once(
                f"setting:{name}",
                "%s is %r: it must be %s. Going on with 'otlp'.",
                name,
                word[:50],
                " | ".join(_EXPORTERS),
            )
            del named[word]
            named["otlp"] = None
        if "none" not in named:
            return tuple(named)
        return ("otlp",) if signal == "metrics" and self._adot_says_none() else ()

    def _adot_says_none(self) -> bool:
        """Whether that is the word of ADOT's layer, not of the function's owner.

        The layer sets ``OTEL_METRICS_EXPORTER=none`` where nothing is set; where there
        is an endpoint, metrics are wanted.
        """
        return is_adot(self._environ) and has_endpoint(self._environ, "metrics")

    def encoding(self, signal: str) -> Encoding:
        """How the signal's data are written: protobuf or JSON."""
        return encoding(self._protocol(signal))

    def _protocol(self, signal: str) -> Protocol:
        exporters = self.exporters(signal)
        if "otlp/stdout" in exporters or exporters == ("console",):
            return "http/json"
        return protocol(signal, self._environ)

    def resource(self, service: str | None = None) -> dict[str, Any]:
        """The resource's attributes, the same for every signal of the process."""
        if self._resource is None:
            self._service = service
            self._resource = _resource.attributes(self._environ, service, self._account)
        return self._resource

    def learn_account(self, account: str) -> None:
        """Put the account id on the resource, as soon as it is known."""
        if account == self._account:
            return
        self._account = account
        if self._resource is not None and "cloud.account.id" not in self._resource:
            self._resource = {**self._resource, "cloud.account.id": account}
            self._resource_changed()

    def _resource_changed(self) -> None:
        if self._resource is not None:
            for hook in self.on_resource:
                with harmless("change the resource"):
                    hook(self._resource)

    def restart(self, *, forked: bool = False) -> None:
        """Begin anew, as an environment of its own: other identity, other sockets.

        What was recorded before is forgotten, counts included: the parent process
        sends it, or did so before the snapshot.

        Args:
            forked: In a forked process; otherwise after a SnapStart restore.
        """
        self.runtime_deadline = None
        self.flushing = set()
        if self._resource is not None:
            self._resource = _resource.attributes(
                self._environ, self._service, self._account
            )
        self._resource_changed()
        if forked:
            self.defers = _never
            _invocation.after_fork()
        else:
            _invocation.reset_cold_start()
        for hook in self.on_restart:
            with harmless("begin anew"):
                hook(forked)
        with harmless("drop connections"):
            self.delivery.reset_after_fork_or_restore(forked=True)

    def attach(self, signal: str, source: Source) -> None:
        """Send what ``source`` collects to where the signal's exporter says."""
        exporters = self.exporters(signal)
        if not exporters:
            return
        prints = "otlp/stdout" in exporters or exporters == ("console",)
        if prints:
            self.prints = True
        else:
            self.sends = True
        self.delivery.attach(signal, source, self.encoding(signal), to_stdout=prints)

    def bound(self, invocation: Invocation | None, wanted_s: float | None) -> float:
        """How long a flush may take, in s: the setting, and what is left of the time."""
        longest = (
            self.settings.flush_timeout_ms / 1000 if wanted_s is None else wanted_s
        )
        deadline = None if invocation is None else invocation.deadline
        return self.within(
            self.runtime_deadline if deadline is None else deadline, longest
        )

    def within(self, deadline: float | None, longest: float) -> float:
        """How long something may take before ``deadline`` less the margin, in s."""
        if deadline is None:
            return longest
        margin = self.settings.timeout_margin_ms / 1000
        return max(min(longest, deadline - time.monotonic() - margin), 0.0)

    def flush(
        self,
        timeout_s: float | None = None,
        *,
        invocation: Invocation | None = None,
        deadline: float | None = None,
    ) -> None:
        """Send everything recorded so far. Never raises, never exceeds its bound.

        Args:
            timeout_s: Longest time in s; the setting, if not given.
            invocation: Whose remaining time bounds it too.
            deadline: When to be back, instead of all that, in s on
                ``time.monotonic()``'s clock.
        """
        thread = threading.get_ident()
        self.flushing.add(thread)
        try:
            with harmless("flush"):
                if deadline is None:
                    deadline = time.monotonic() + self.bound(invocation, timeout_s)
                for hook in self.before_flush:
                    with harmless("prepare a flush"):
                        hook(deadline)
                self.delivery.flush(deadline)
        finally:
            self.flushing.discard(thread)
            for after in self.after_flush:
                after()

    def interrupt(self, interruption: Interruption, deadline: float) -> None:
        """Send also what is still open, marked: there will be no later.

        Args:
            interruption: Why.
            deadline: When to be back (``time.monotonic()``, s).
        """
        for hook in self.on_interruption:
            with harmless("save what is open"):
                hook(interruption)
        self.flush(deadline=deadline)

    def force_flush(self, timeout_ms: float) -> bool:
        """A TracerProvider's ``force_flush``: True if all that was recorded is sent."""
        longest = min(timeout_ms, self.settings.flush_timeout_ms) / 1000
        self.flush(longest, invocation=_invocation.current())
        return all(
            counted.retained == 0 for counted in self.delivery.statistics().values()
        )

    def statistics(self) -> dict[str, Statistics]:
        """Per signal: recorded = sent + retained + dropped + unknown."""
        return self.delivery.statistics()

    def end(self, invocation: Invocation) -> None:
        """The invocation is over: send, unless that is done after the response."""
        if not self.defers():
            self.enclosed = _in_foreign_span()
            try:
                self.flush(invocation=invocation)
            finally:
                self.enclosed = False

    def at_exit(self) -> None:
        """The process ends: one last bounded try, and say what is lost."""
        self.flush()
        for signal, counted in self.statistics().items():
            if counted.retained:
                logger.warning(
                    "%d %s could not be sent before the process ended",
                    counted.retained,
                    _ITEMS.get(signal, signal),
                )
        self.delivery.close()


_pipeline: Pipeline | None = None


def get() -> Pipeline:
    """The process's pipeline, made at the first call."""
    global _pipeline
    if _pipeline is None:
        import atexit

        _pipeline = Pipeline(Settings.from_env(), os.environ)
        _invocation.on_end(_pipeline.end)
        atexit.register(_at_exit)
        if os.environ.get("AWS_LAMBDA_RUNTIME_API"):
            from powertools_otel import _lambda

            _lambda.start(_pipeline)
    return _pipeline


def is_configured(environ: Mapping[str, str], signal: str) -> bool:
    """Whether the environment says where telemetry goes."""
    if _is_true(environ.get("OTEL_SDK_DISABLED", "")):
        return False
    exporter = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
    return exporter not in ("", "none") or (
        exporter == "" and has_endpoint(environ, signal)
    )


def has_endpoint(environ: Mapping[str, str], signal: str) -> bool:
    """Whether the environment names an OTLP endpoint for the signal."""
    return any(
        environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", "").strip()
        for name in ("", f"{signal.upper()}_")
    )


def is_adot(environ: Mapping[str, str]) -> bool:
    """Whether AWS's distribution of OpenTelemetry is active, as its layer does it."""
    return environ.get("OTEL_PYTHON_DISTRO", "").strip() == "aws_distro"


def forget() -> None:
    """Drop the pipeline and its connections, for tests."""
    global _pipeline
    if _pipeline is not None:
        _pipeline.delivery.close()
    _pipeline = None


def _at_exit() -> None:
    if _pipeline is not None:
        _pipeline.at_exit()


def _after_fork() -> None:
    if _pipeline is not None:
        with harmless("begin anew in a forked process"):
            _pipeline.restart(forked=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _never() -> bool:
    return False


def _in_foreign_span() -> bool:
    """Whether a span is current, at the end of an invocation: none of ours is."""
    trace = sys.modules.get("opentelemetry.trace")
    return trace is not None and trace.get_current_span().is_recording()


def _is_true(text: str) -> bool:
    return text.strip().lower() == "true"
