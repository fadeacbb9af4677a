"""A function that does what its event says: sleep, write, fail, end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from typing import Any

CALLS = 0

Event = dict[str, Any]


def echo(event: Event, context: Any) -> Event:
    """Return what the runtime handed over and what this process knows."""
    global CALLS
    CALLS += 1
    client, identity = context.client_context, context.identity
    return {
        "event": event,
        "calls": CALLS,
        "pid": os.getpid(),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "custom": client.custom if client else None,
        "identity": identity.cognito_identity_id,
        "environ": dict(os.environ),
        "argv": sys.argv,
        "path": sys.path,
        "version": sys.version_info[:2],
    }


def act(event: Event, context: Any) -> Any:
    """Obey: `write`, `complain`, `sleep` (s), `raise`, `exit`, `signal`, `fork`."""
    sys.stdout.write(event.get("write", ""))
    sys.stderr.write(event.get("complain", ""))
    if "fork" in event:
        # A child that outlives the invocation, in the same process group.
        child = multiprocessing.get_context("fork").Process(
            target=time.sleep, args=(60,)
        )
        child.start()
        return child.pid
    time.sleep(event.get("sleep", 0))
    if "signal" in event:
        os.kill(os.getpid(), event["signal"])
    if "exit" in event:
        os._exit(event["exit"])
    if "raise" in event:
        raise ValueError(event["raise"])
    return event.get("return", "done")


def binary(event: Event, context: Any) -> Any:
    """Return bytes that are no JSON."""
    return bytes(event)


def tell_signal(number: int, frame: object) -> None:
    """Say that a signal came, and end at once."""
    os.write(1, f"caught {signal.Signals(number).name}\n".encode())
    os._exit(0)


def install(handler: Any) -> None:
    """Set the handler of SIGTERM."""
    signal.signal(signal.SIGTERM, handler)


if mode := os.environ.get("SIGTERM"):
    install({"tell": tell_signal, "ignore": signal.SIG_IGN}[mode])
