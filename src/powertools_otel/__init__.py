"""OpenTelemetry for Powertools for AWS Lambda (Python).

Names are imported when they are first used: a function that only meters does not
pay for the tracing SDK, and importing this package changes and registers nothing.
"""

from __future__ import annotations

import gc
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

_FROZEN_AT_START = 1_000
"""More than CPython itself freezes: 375 objects in 3.12, none in other versions. An
application that does it freezes thousands."""

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

    collects = _pause_collection()
    try:
        value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    finally:
        if collects:
            _resume_collection()
    globals()[name] = value
    return value


def _pause_collection() -> bool:
    """Let nobody look for garbage; whether it was looked for before.

    What an import makes is there to stay. To look through it, 30 times for us with
    Powertools and the SDK, takes a tenth of a cold start.
    """
    collects = gc.isenabled()
    if collects:
        gc.disable()
    return collects


def _resume_collection() -> None:
    """Look for garbage again, but first among what is made from now on.

    To freeze all objects and to release them makes them old ones, which saves the
    collector the look at them that would be due now. What somebody else has frozen
    stays so: then they are left as young as they are.
    """
    if hasattr(gc, "freeze") and gc.get_freeze_count() < _FROZEN_AT_START:
        gc.freeze()
        gc.unfreeze()
    gc.enable()


def __dir__() -> list[str]:
    return __all__
