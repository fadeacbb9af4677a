"""Who sends: the function, its environment and service as resource attributes.

Names are those of the OpenTelemetry semantic conventions 1.44: ``service.*`` and
``telemetry.*`` are stable, ``cloud.*`` and ``faas.*`` in development.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import warn_once
from powertools_otel._version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
_MEGABYTE = 1024 * 1024

Attributes = dict[str, Any]

_ARN_PARTS = 7
_ACCOUNT = 4


def attributes(
    environ: Mapping[str, str], service: str | None = None, account: str | None = None
) -> Attributes:
    """The resource's attributes, for spans and metrics alike.

    ``service.name`` is the first of ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``,
    ``service``, ``POWERTOOLS_SERVICE_NAME``, ``AWS_LAMBDA_FUNCTION_NAME``. What
    ``OTEL_RESOURCE_ATTRIBUTES`` names wins over what we find.

    Args:
        environ: The environment.
        service: The service name given to ``Tracer`` or ``Metrics``, if any.
        account: The AWS account id, where it is known already.
    """
    found: Attributes = {
        **_telemetry(),
        **_lambda(environ),
        "service.instance.id": new_instance_id(),
    }
    if account:
        found["cloud.account.id"] = account
    name = (
        service
        or environ.get("POWERTOOLS_SERVICE_NAME")
        or environ.get("AWS_LAMBDA_FUNCTION_NAME")
    )
    found["service.name"] = name or "unknown_service"
    found.update(_from_env(environ))
    if environ.get("OTEL_SERVICE_NAME"):
        found["service.name"] = environ["OTEL_SERVICE_NAME"]
    return found


def new_instance_id() -> str:
    """A random UUID (version 4) from the operating system's randomness.

    Not from ``uuid``: its module costs a cold start 1 ms.
    """
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _telemetry() -> Attributes:
    from opentelemetry.sdk.version import __version__ as sdk_version

    return {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "powertools-otel",
        "telemetry.distro.version": VERSION,
    }


def _lambda(environ: Mapping[str, str]) -> Attributes:
    """What Lambda's environment variables tell; nothing outside Lambda."""
    name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if not name:
        return {}
    found: Attributes = {
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "faas.name": name,
    }
    for attribute, variable in (
        ("cloud.region", "AWS_REGION"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
    ):
        if environ.get(variable):
            found[attribute] = environ[variable]
    if environ.get("AWS_LAMBDA_LOG_GROUP_NAME"):
        found["aws.log.group.names"] = (environ["AWS_LAMBDA_LOG_GROUP_NAME"],)
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if memory.isdecimal():
        found["faas.max_memory"] = int(memory) * _MEGABYTE
    return found


def _from_env(environ: Mapping[str, str]) -> Attributes:
    """``OTEL_RESOURCE_ATTRIBUTES``: ``key=value`` pairs, percent-encoded."""
    text = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    found: Attributes = {}
    for pair in text.split(","):
        if not pair.strip():
            continue
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            warn_once(
                "setting:OTEL_RESOURCE_ATTRIBUTES",
                "OTEL_RESOURCE_ATTRIBUTES has %r: it must be key=value,key=value. "
                "Going on without it.",
                pair[:100],
            )
            continue
        if "%" in value:
            from urllib.parse import unquote

            value = unquote(value)
        found[key.strip()] = value.strip()
    return found


def function_identity(arn: object) -> Mapping[str, str]:
    """What a function's ARN says of it; nothing if it is none.

    Args:
        arn: Of the function, or of an alias or a version of it.

    Returns:
        ``cloud.resource_id``, the ARN without an alias, and ``cloud.account.id``.
    """
    return _function_identity(arn) if isinstance(arn, str) else {}


@lru_cache(maxsize=4)
def _function_identity(arn: str) -> Mapping[str, str]:
    """An environment sees one ARN for each alias that is invoked."""
    parts = arn.split(":")
    if len(parts) < _ARN_PARTS or parts[0] != "arn":
        return {}
    found = {"cloud.resource_id": ":".join(parts[:_ARN_PARTS])}
    if parts[_ACCOUNT]:
        found["cloud.account.id"] = parts[_ACCOUNT]
    return found
