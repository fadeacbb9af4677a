"""Which versions are in front of us, and whether they will do."""

from __future__ import annotations

import functools
import re
import sys

from powertools_otel._guard import warn_once

OLDEST_SDK = (1, 44)


def powertools_version() -> str:
    """The version of the Powertools that is imported, as far as it can be told."""
    module = sys.modules.get("aws_lambda_powertools.shared.version")
    return str(getattr(module, "VERSION", "(unknown)"))


@functools.cache
def check_sdk() -> None:
    """Say once if the OpenTelemetry SDK in front of us is older than we need.

    Raises:
        ImportError: There is none.
    """
    from opentelemetry.sdk import version

    found = re.findall(r"\d+", version.__version__)[:2]
    if tuple(map(int, found)) < OLDEST_SDK:
        warn_once(
            "install:sdk",
            "opentelemetry-sdk %s at %s is too old for powertools-otel, which needs "
            "%d.%d: spans may be missing. Update the layer it comes from, or put "
            "opentelemetry-sdk>=%d.%d into the function's package.",
            version.__version__,
            version.__file__.rpartition("/opentelemetry/")[0],
            *OLDEST_SDK,
            *OLDEST_SDK,
        )
