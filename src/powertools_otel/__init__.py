"""OpenTelemetry for Powertools for AWS Lambda (Python).

Names are imported when they are first used: a function that only meters does not
pay for the tracing SDK, and importing this package changes and registers nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from powertools_otel._version import VERSION as __version__  # noqa: N811 - by convention

if TYPE_CHECKING:
    from powertools_otel._install import install, uninstall
    from powertools_otel.metrics import Metrics, OTelMetricsProvider, single_metric
    from powertools_otel.tracing import OTelTracingProvider, Tracer

__all__ = [
    "Metrics",
    "OTelMetricsProvider",
    "OTelTracingProvider",
    "Tracer",
    "__version__",
    "install",
    "single_metric",
    "uninstall",
]

_HOME = {
    "Metrics": "metrics",
    "OTelMetricsProvider": "metrics",
    "OTelTracingProvider": "tracing",
    "Tracer": "tracing",
    "install": "_install",
    "single_metric": "metrics",
    "uninstall": "_install",
}

# What our Lambda layer brings along: last on the path, so that the versions in the
# function's package or in another layer go first.
_packages = f"{__path__[0]}/_packages"
if os.path.isdir(_packages) and _packages not in sys.path:  # noqa: PTH112 - pathlib is slow to import
    sys.path.append(_packages)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    from powertools_otel import _collection

    with _collection.paused():
        value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
