"""The function of `app`, where SIGTERM is ignored."""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)

from app import handler  # noqa: E402

__all__ = ["handler"]
