"""A function that takes a while to be imported, after this package."""

import time

from app import handler

time.sleep(0.1)

__all__ = ["handler"]
