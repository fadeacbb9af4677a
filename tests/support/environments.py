"""Virtual environments with what a test needs really installed, made once per machine.

They lie in the user's cache and are used again for as long as what was asked for, this
project's dependencies and the interpreter stay the same.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = "powertools-otel"
REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "powertools-otel"
)


@functools.cache
def environment(*requirements: str, project: bool = True) -> Path:
    """Make or find an environment with these distributions; return its interpreter.

    Args:
        *requirements: As pip takes them.
        project: Whether to install this package too, editable, so that its entry points
            are found; without that, nothing says what it needs.

    """
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    metadata = pyproject.partition("[dependency-groups]")[0]
    own = [each for each in requirements if each.startswith(PROJECT)]
    arguments = [each for each in requirements if each not in own]
    if project:
        # pip would look for an extra of this package in the index.
        extras = own[0].removeprefix(PROJECT) if own else ""
        arguments += ["--editable", f"{REPOSITORY}{extras}"]
    key = "\n".join([sys.version, str(REPOSITORY), metadata, *sorted(arguments)])
    folder = CACHE / "venvs" / hashlib.sha256(key.encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    done = folder / ".complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, python, arguments)
            done.touch()
    return python


def unpacked_layer(folder: Path) -> Path:
    """Lay out a folder as `/opt` is with our layer: the wrapper, and the package.

    The package is the one that is being worked on; what it needs is not there.
    """
    (folder / "python").mkdir()
    package = REPOSITORY / "src" / "powertools_otel"
    (folder / "python" / "powertools_otel").symlink_to(package)
    shutil.copy(REPOSITORY / "layer" / "powertools-otel", folder)
    return folder


def _make(folder: Path, python: Path, arguments: list[str]) -> None:
    uv = shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    )
    if uv is None:
        _run([sys.executable, "-m", "venv", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet"]
    else:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    _run([*install, *arguments])


def _run(command: list[str]) -> None:
    # uv trusts its own certificates unless told to trust the system's, as pip may be.
    made = subprocess.run(
        command,
        env={"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        message = f"{command} failed:\n{made.stdout}\n{made.stderr}"
        raise RuntimeError(message)
