"""The entry points that ``opentelemetry-instrument`` and OpenTelemetry layers find."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from powertools_otel import _install

if TYPE_CHECKING:
    from collections.abc import Collection

    class BaseInstrumentor:
        """Its own module asks type checkers to ignore all of it."""

        def instrumentation_dependencies(self) -> Collection[str]: ...
        def _instrument(self, **kwargs: Any) -> None: ...
        def _uninstrument(self, **kwargs: Any) -> None: ...

else:
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

_NAME = "aws-lambda-powertools"
_HOW = "OpenTelemetry's instrumentation"


def pre_instrument() -> None:
    """Be there before the instrumentors.

    The one for AWS Lambda imports the function's modules, and in what order they come
    is up to the file system.
    """
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {_NAME, "*"}.isdisjoint(word.strip() for word in disabled.split(",")):
        _install.activate(_HOW)


class PowertoolsInstrumentor(BaseInstrumentor):
    """OpenTelemetry's usual way to activate this package, in code or by its name.

    ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=aws-lambda-powertools`` keeps it out.
    """

    @override
    def instrumentation_dependencies(self) -> Collection[str]:
        """None to be checked by their metadata, which packagers remove for size.

        Without Powertools there is nothing to adapt; an unsuitable one is said.
        """
        return ()

    @override
    def _instrument(self, **kwargs: Any) -> None:
        """Do what :func:`powertools_otel.install` does.

        Args:
            **kwargs: ``tracer_provider`` and ``meter_provider``, as for any other
                instrumentor; the rest is ignored.
        """
        _install.activate(
            _HOW,
            kwargs.get("tracer_provider"),
            kwargs.get("meter_provider"),
        )

    @override
    def _uninstrument(self, **kwargs: Any) -> None:
        _install.uninstall()
