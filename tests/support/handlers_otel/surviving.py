"""The function of `app`, with a SIGTERM handler of its own that ends nothing."""

import signal

seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))

import app  # noqa: E402 - our handler has to find the one above


def handler(event, context):
    result = app.handler(event, context)
    return {**result, "signals": len(seen)}
