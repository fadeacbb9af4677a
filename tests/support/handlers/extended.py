"""A function with internal extensions, as variables describe them.

`EXTENSIONS` is a JSON list of registrations: `name`, `events`, and `sleep`, the seconds
from an INVOKE event to the next request. `polls: false` never asks for an event.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from typing import Any

from plain import act

__all__ = ["act", "events", "refusals", "register"]

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2020-01-01/extension"

EVENTS: list[Any] = []
ANSWERS: list[Any] = []


def request(
    method: str, path: str, headers: dict[str, str], body: Any = None
) -> tuple[int, dict[str, str], Any]:
    """Make one request; return the status, headers and JSON of its answer."""
    connection = http.client.HTTPConnection(API)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, PREFIX + path, payload, headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, dict(response.headers), json.loads(text or "null")
    finally:
        connection.close()


def register_extension(
    name: str, events: Any, features: str = ""
) -> tuple[int, dict[str, str], Any]:
    """Register an extension."""
    headers = {"Lambda-Extension-Name": name} if name else {}
    if features:
        headers["Lambda-Extension-Accept-Feature"] = features
    return request("POST", "/register", headers, {"events": events})


def poll(identifier: str, seconds: float) -> None:
    """Ask for events for ever, and take `seconds` for each."""
    while True:
        headers = {"Lambda-Extension-Identifier": identifier}
        _, _, event = request("GET", "/event/next", headers)
        EVENTS.append(event)
        time.sleep(seconds)
        if seconds:
            sys.stdout.write(f"extension finished {event['requestId']}\n")


def start(extension: dict[str, Any]) -> None:
    """Register an extension and serve it."""
    status, headers, answer = register_extension(
        extension["name"], extension["events"], extension.get("features", "")
    )
    ANSWERS.append([status, answer])
    identifier = headers.get("Lambda-Extension-Identifier")
    if identifier and "error" in extension:
        headers = {
            "Lambda-Extension-Identifier": identifier,
            "Lambda-Extension-Function-Error-Type": "Extension.NoLuck",
        }
        ANSWERS.append(request("POST", f"/{extension['error']}/error", headers)[0])
    elif identifier and extension.get("polls", True):
        arguments = identifier, extension.get("sleep", 0)
        threading.Thread(target=poll, args=arguments, daemon=True).start()


for description in json.loads(os.environ.get("EXTENSIONS", "[]")):
    start(description)


def events(event: Any, context: Any) -> Any:
    """Return the events that came so far, and the answers to the registrations."""
    return {"events": EVENTS, "answers": ANSWERS}


def register(event: Any, context: Any) -> Any:
    """Register while an invocation runs."""
    status, _, answer = register_extension("late", ["INVOKE"])
    return [status, answer]


def refusals(event: Any, context: Any) -> Any:
    """Make requests that are refused."""
    unknown = {"Lambda-Extension-Identifier": "00000000-0000-0000-0000-000000000000"}
    return {
        "nameless": request("POST", "/register", {}, {"events": []})[::2],
        "anonymous": request("GET", "/event/next", {})[::2],
        "unknown": request("GET", "/event/next", unknown)[::2],
        "elsewhere": request("GET", "/event/last", unknown)[0],
    }
