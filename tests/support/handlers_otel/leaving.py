"""The function of `app`, with a SIGTERM handler that leaves by an exception."""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

from app import handler  # noqa: E402

__all__ = ["handler"]
