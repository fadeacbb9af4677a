"""Tracer: Powertools' own, with OpenTelemetry behind it from the start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.tracing import tracer as upstream
from typing_extensions import override

from powertools_otel import _pipeline
from powertools_otel._guard import harmless, note
from powertools_otel._settings import flag
from powertools_otel.tracing import _sdk
from powertools_otel.tracing._provider import OTelTracingProvider

if TYPE_CHECKING:
    import numbers
    from collections.abc import Sequence

    from aws_lambda_powertools.tracing.base import BaseProvider

_UNTRACED_EMULATORS = ("AWS_SAM_LOCAL", "AWS_CHALICE_CLI_MODE")


class Tracer(upstream.Tracer):
    """Powertools' Tracer that makes OpenTelemetry spans.

    Take it instead of ``aws_lambda_powertools.Tracer``; every decorator and call
    stays. It differs in two points: outside Lambda it is on when an OTLP endpoint or
    an exporter is configured, and off without noise otherwise; and no value, whatever
    it does when it is written, disturbs ``put_annotation`` or ``put_metadata``.

    Args:
        service: As upstream: ``POWERTOOLS_SERVICE_NAME`` if not given.
        disabled: As upstream; given, it decides.
        auto_patch: As upstream: instrument the libraries that are imported already.
        patch_modules: As upstream: which, by the X-Ray SDK's names.
        provider: As upstream; an :class:`OTelTracingProvider` if not given.
    """

    def __init__(
        self,
        service: str | None = None,
        disabled: bool | None = None,  # noqa: FBT001 - upstream's signature
        auto_patch: bool | None = None,  # noqa: FBT001
        patch_modules: Sequence[str] | None = None,
        provider: BaseProvider | None = None,
    ) -> None:
        super().__init__(
            service=service,
            disabled=disabled,
            auto_patch=auto_patch,
            patch_modules=patch_modules,
            provider=provider or _shared_provider(),
        )
        warm_up: object = getattr(self.provider, "warm_up", None)
        if not self.disabled and callable(warm_up):
            warm_up()

    provider: OTelTracingProvider  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower

    @override
    def put_annotation(self, key: str, value: str | float | numbers.Number) -> None:
        """Set an attribute on the current span, named among its annotations."""
        # Upstream formats the value for its debug log, and raises what that raises.
        if self._records():
            try:
                self.provider.put_annotation(key, value)
            except Exception as error:  # noqa: BLE001 - ours stay ours
                note("put an annotation", error)

    @override
    def put_metadata(self, key: str, value: Any, namespace: str | None = None) -> None:
        """Add to the current span's metadata, under ``namespace`` or the service."""
        if self._records():
            with harmless("put metadata"):
                self.provider.put_metadata(
                    key=key, value=value, namespace=namespace or self.service
                )

    def _records(self) -> bool:
        return not self.disabled or _sdk.override is not None

    @staticmethod
    @override
    def _is_tracer_disabled() -> bool | str:
        environ = os.environ
        if flag(environ, "POWERTOOLS_TRACE_DISABLED", default=False):
            return True
        in_lambda = bool(environ.get("LAMBDA_TASK_ROOT")) and not any(
            environ.get(name) for name in _UNTRACED_EMULATORS
        )
        return not in_lambda and not _pipeline.is_configured(environ, "traces")


def _shared_provider() -> BaseProvider:
    """The provider that a Tracer before this one had, if it is ours, or a new one."""
    known = upstream.Tracer._config["provider"]  # noqa: SLF001 - its only place
    return known if isinstance(known, OTelTracingProvider) else OTelTracingProvider()
