"""Runs one handler in a process of its own: ``python -m tests.parity.run HOW NAME``.

HOW is ``xray`` (Powertools as it is), ``provider`` (its Tracer with our provider) or
``drop-in`` (our Tracer). Where telemetry goes is in the environment.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import uuid

from tests.conftest import LambdaContext
from tests.parity import handlers


def make_tracer(how: str):
    if how == "xray":
        from aws_lambda_powertools import Tracer

        return Tracer(service="shop", auto_patch=False)
    if how == "provider":
        from aws_lambda_powertools import Tracer

        from powertools_otel import OTelTracingProvider

        return Tracer(service="shop", auto_patch=False, provider=OTelTracingProvider())
    from powertools_otel import Tracer

    return Tracer(service="shop", auto_patch=False)


def main() -> None:
    how, name = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    handler = getattr(handlers, name)(make_tracer(how))
    for event in handlers.EVENTS.get(name, [{}]):
        with contextlib.suppress(KeyError):
            handler(event, LambdaContext(request_id=str(uuid.uuid4())))


if __name__ == "__main__":
    main()
