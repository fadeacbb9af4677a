"""What a Lambda function's process is started with, and what the kernel says of it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]

# Lambda's own starts the handler that `_HANDLER` names, so that an exec wrapper can
# redirect it, and finds the function's modules before all others.
BOOTSTRAP = """\
import os
import sys

sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]

from awslambdaric.__main__ import main

main([sys.argv[0], os.environ["_HANDLER"]])
"""


def lambda_environment(
    *,
    handler: str,
    task_root: Path,
    function_name: str = "checkout",
    memory_mb: int = 512,
    region: str = "eu-west-1",
    initialization_type: str = "on-demand",
    python: str = sys.executable,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables of a function's process: Lambda's, changed by `env`.

    Of this process's variables it has PATH alone. `PYTHONPATH` has this repository's
    package, behind what `env` puts there.
    """
    env = env or {}
    paths = [path for path in (env.get("PYTHONPATH"), str(REPOSITORY / "src")) if path]
    return {
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{python_version(python)}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function_name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"2026/11/21/[$LATEST]{uuid.uuid4().hex}",
        "AWS_REGION": region,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": str(task_root),
        "LANG": "en_US.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "TZ": ":UTC",
        "_HANDLER": handler,
        **env,
        "PYTHONPATH": os.pathsep.join(paths),
    }


@functools.cache
def python_version(python: str) -> str:
    """Return `major.minor` of an interpreter."""
    if python == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-I", "-c", code], text=True).strip()


def bootstrap_command(folder: Path, python: str, env: Mapping[str, str]) -> list[str]:
    """Return the command that starts the runtime, under the exec wrapper if one is set.

    Args:
        folder: Where the bootstrap script is written.

        python: The interpreter, which must have `awslambdaric`.

        env: The process's variables; `AWS_LAMBDA_EXEC_WRAPPER` is looked at.

    """
    script = folder / "bootstrap.py"
    script.write_text(BOOTSTRAP)
    wrapper = env.get("AWS_LAMBDA_EXEC_WRAPPER")
    return [*([wrapper] if wrapper else []), python, str(script)]


def read_lines(path: Path, start: int = 0) -> list[str]:
    """Return the lines of a file from the byte `start`; only a line feed ends one."""
    with path.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    return lines if lines[-1] else lines[:-1]


class ProcessStat(NamedTuple):
    """What `/proc/PID/stat` says of a process; `state` is `T` if it is stopped."""

    pid: int
    state: str
    group: int
    session: int

    @classmethod
    def read(cls, pid: int | str) -> ProcessStat | None:
        """Return the process with this id, or None if there is none."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name before the last parenthesis may contain anything.
        state, _parent, group, session, *_ = text.rpartition(")")[2].split()
        return cls(int(pid), state, int(group), int(session))

    @classmethod
    def every(cls) -> Iterator[ProcessStat]:
        """Iterate over all processes of the machine that can be seen."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (found := cls.read(entry.name)):
                yield found

    @property
    def sleeps(self) -> bool:
        """Whether each thread sleeps, or the process is gone."""
        states: set[str] = set()
        paths: list[Path] = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            paths = list(Path(f"/proc/{self.pid}/task").glob("*/stat"))
        for path in paths:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.add(
                    path.read_text(errors="replace").rpartition(")")[2].split()[0]
                )
        return states <= {"S", "Z"}

    @property
    def rss_bytes(self) -> int:
        """Resident memory, 0 if the process is gone."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")
