"""A certificate for 127.0.0.1, made by the openssl command for one run."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def self_signed() -> Iterator[str]:
    """The path of a PEM file with certificate and key, for a ``with`` block."""
    with TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        key = Path(folder) / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj"),
                *("/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(both)),
            ],
            check=True,
            capture_output=True,
        )
        both.write_text(both.read_text() + key.read_text())
        yield str(both)
