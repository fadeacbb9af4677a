"""Tells what a function sees of its process."""

import os
import sys

SITE = sys.modules.get("sitecustomize")


def handler(event, context):
    return {
        "path": sys.path,
        "handler": os.environ["_HANDLER"],
        "sitecustomize": getattr(SITE, "__file__", None),
        "mark": os.environ.get("SITE_MARK"),
        "loaded": sorted(
            name for name in sys.modules if name.startswith(("opentelemetry", "powert"))
        ),
    }
