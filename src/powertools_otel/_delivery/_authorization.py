"""Headers that are not in the environment: from a secret store, or a signature.

Nothing of AWS' SDK is imported unless a setting or the endpoint's host asks for it.
"""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from powertools_otel._delivery._headers import parse_headers
from powertools_otel._delivery._outcome import Outcome
from powertools_otel._delivery._untraced import untraced
from powertools_otel._guard import logger, warn_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from powertools_otel._delivery._target import Headers, Target
    from powertools_otel._settings import Settings

SECRET_VARIABLE = "POWERTOOLS_OTEL_HEADERS_SECRET"  # noqa: S105 - a variable's name
_SSM = "ssm:"
_AWS_HOST = ".amazonaws.com"
_SIGNED = frozenset({"xray", "monitoring", "logs"})
_RETRY_AFTER_S = 30.0


class Authorization(Protocol):
    """What a request needs to be let in, beyond the target's own headers."""

    @property
    def lasts(self) -> bool:
        """Whether one request's headers are good for all."""
        ...

    def ready(self, deadline: float) -> str:
        """Wait until the headers can be made, at most until ``deadline``.

        Returns:
            Why they cannot, or an empty text.
        """
        ...

    def headers(self, body: bytes) -> Headers:
        """The headers for a request with this body, as it travels."""
        ...


def refusal(authorization: Authorization, deadline: float) -> Outcome | None:
    """Why nothing can be sent for want of headers, or None. Waits until ``deadline``."""
    missing = authorization.ready(deadline)
    if not missing:
        return None
    late = time.monotonic() >= deadline
    return Outcome("retry", missing, connected=False, timed_out=late)


def authorization(target: Target, settings: Settings) -> Authorization | None:
    """What a target's requests need, or None.

    Args:
        target: Where they go.
        settings: ``headers_secret`` and ``sigv4``.
    """
    if settings.headers_secret:
        return SecretHeaders(settings.headers_secret)
    labels = target.host.split(".")
    signed = target.host.endswith(_AWS_HOST) and labels[0] in _SIGNED
    if settings.sigv4 == "on" or (settings.sigv4 == "auto" and signed):
        return Signature(target)
    return None


class SecretHeaders:
    """Headers kept in Secrets Manager or Parameter Store, fetched once.

    By Powertools' Parameters utility, on a thread of its own: the AWS SDK has no
    deadline of ours. What it holds is written as ``OTEL_EXPORTER_OTLP_HEADERS`` is,
    or as a JSON object of names and values.

    Args:
        name: A secret's name or ARN, or ``ssm:`` and a parameter's name.
        fetch: Gets its text.
    """

    lasts = True

    def __init__(self, name: str, fetch: Callable[[str], str] | None = None) -> None:
        self._name = name
        self._fetch = fetch or fetch_secret
        self._headers: Headers = ()
        self._done = threading.Event()
        self._failed = ""
        self._failed_at = 0.0
        self._thread: threading.Thread | None = None

    def ready(self, deadline: float) -> str:
        """Fetch the headers if that has not been done; see :class:`Authorization`."""
        if not self._done.is_set():
            self._begin()
            self._done.wait(max(deadline - time.monotonic(), 0.0))
        if not self._done.is_set():
            return f"{SECRET_VARIABLE} has not been read in time"
        if not self._failed:
            return ""
        if time.monotonic() - self._failed_at > _RETRY_AFTER_S:
            self._done.clear()
        return self._failed

    def headers(self, body: bytes) -> Headers:
        """The same headers for every body."""
        return self._headers

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._run, name="powertools-otel-secret", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        try:
            with untraced():
                self._headers = _parse(self._fetch(self._name))
            self._failed = ""
        except Exception as error:  # noqa: BLE001 - the AWS SDK raises anything
            # Only the kind: a message may repeat what was read.
            self._failed = f"{SECRET_VARIABLE} cannot be read: {type(error).__name__}"
            self._failed_at = time.monotonic()
            logger.debug("The secret with the headers cannot be read", exc_info=True)
        self._done.set()


def fetch_secret(name: str) -> str:
    """The text of a secret or, after ``ssm:``, of a decrypted parameter.

    Raises:
        ImportError: If boto3 is not installed (extra ``aws``).
        Exception: What Powertools' Parameters raises.
    """
    parameters: Any = import_module("aws_lambda_powertools.utilities.parameters")
    if name.startswith(_SSM):
        return str(parameters.get_parameter(name.removeprefix(_SSM), decrypt=True))
    return str(parameters.get_secret(name))


def _parse(text: str) -> Headers:
    if text.lstrip().startswith("{"):
        import json

        pairs: dict[str, object] = json.loads(text)
        from urllib.parse import quote

        text = ",".join(f"{name}={quote(str(value))}" for name, value in pairs.items())
    return parse_headers(SECRET_VARIABLE, text)


class Signature:
    """AWS Signature Version 4, as the AWS OTLP endpoints want it.

    By botocore, with the function's own credentials.

    Args:
        target: Where to; service and region are in its host, ``xray.<region>...``.
    """

    lasts = False

    def __init__(self, target: Target) -> None:
        import os

        labels = target.host.split(".")
        in_host = target.host.endswith(_AWS_HOST) and len(labels) > 3  # noqa: PLR2004
        self._service = labels[0] if labels[0] in _SIGNED else "xray"
        self._region = labels[1] if in_host else os.environ.get("AWS_REGION", "")
        host = target.host
        port = "" if target.port in (80, 443) else f":{target.port}"
        self._url = f"{target.scheme}://{host}{port}{target.path}"
        self._credentials: Any = None

    def ready(self, deadline: float) -> str:
        """Find the credentials, once; see :class:`Authorization`."""
        if self._credentials is not None:
            return ""
        try:
            session: Any = import_module("botocore.session")  # it has no types
        except ImportError:
            warn_once(
                "delivery:sigv4",
                "%s wants requests signed, and botocore is not installed. Install "
                "powertools-otel[aws].",
                self._url,
            )
            return "botocore is not installed"
        self._credentials = session.get_session().get_credentials()
        return "" if self._credentials is not None else "there are no AWS credentials"

    def headers(self, body: bytes) -> Headers:
        """``Authorization``, ``X-Amz-Date`` and their like for a request."""
        auth: Any = import_module("botocore.auth")
        requests: Any = import_module("botocore.awsrequest")
        request = requests.AWSRequest("POST", self._url, data=body)
        frozen = self._credentials.get_frozen_credentials()
        auth.SigV4Auth(frozen, self._service, self._region).add_auth(request)
        return tuple(
            (name.lower(), str(value)) for name, value in request.headers.items()
        )
