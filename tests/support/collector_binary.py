"""Where the tests' OpenTelemetry Collector comes from, and how it is called.

The order is `$OTELCOL`, then a container engine that answers, then a build from the
Go modules pinned in `collector-config/distribution`. Nothing is run here but the
engine, the Go tool and the Collector's own one-shot commands.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
DISTRIBUTION = REPOSITORY / "collector-config" / "distribution"
COMPOSE = REPOSITORY / "collector-config" / "compose.yaml"

ENGINES = ("docker", "podman")
ENGINE_SECONDS = 10.0
PULL_SECONDS = 600.0
BUILD_SECONDS = 1800.0
ONE_SHOT_SECONDS = 60.0
HEARTBEAT_SECONDS = 20.0

# What a Collector process gets from the caller's environment; the rest is explicit,
# so that a developer's OTEL_* or AWS_* variables never change a test.
INHERITED = ("PATH", "HOME", "TMPDIR")


class CollectorError(Exception):
    """Superclass of what the Collector support raises. Never raised directly."""


class OtelcolVariableError(CollectorError, ValueError):
    """A variable that chooses the Collector has a value that cannot be used."""


class CollectorUnavailableError(CollectorError):
    """There is no Collector, and the caller cannot do without."""


class InvalidConfigError(CollectorError, ValueError):
    """`otelcol validate` rejected a configuration; the message is its output."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why no Collector can be had here, one sentence for each source tried."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A Collector that can be run.

    Attributes:
        executable: Path of the Collector, or of the container engine.

        image: The pinned image when `executable` is an engine.

    """

    executable: str
    image: str | None = None

    @override
    def __str__(self) -> str:
        """Return what a person would type."""
        if self.image is None:
            return self.executable
        return f"{self.executable} run --rm --network host {self.image}"

    def argv(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        read: Sequence[Path] = (),
        write: Sequence[Path] = (),
        name: str | None = None,
    ) -> list[str]:
        """Return the argument list of one run.

        Args:
            arguments: The Collector's own arguments.

            env: Variables the Collector must see. Only their names appear in the
                result: values may be secrets and argument lists are public.

            read: Directories the Collector reads, at the same path everywhere.

            write: Directories the Collector writes, likewise.

            name: Name of the container, for `remove`.

        """
        if self.image is None:
            return [self.executable, *arguments]
        # The image's own user could not write into the caller's directories.
        user = ["--user", f"{os.getuid()}:{os.getgid()}"]
        if Path(self.executable).name == "podman" and os.getuid() != 0:
            user.append("--userns=keep-id")
        return [
            self.executable,
            *("run", "--rm", "--network", "host"),
            *(["--name", name] if name else []),
            # Mounts of unlabelled directories are refused under SELinux otherwise.
            *("--security-opt", "label=disable"),
            *user,
            *(part for key in sorted(env) for part in ("--env", key)),
            *(part for path in read for part in ("--volume", f"{path}:{path}:ro")),
            *(part for path in write for part in ("--volume", f"{path}:{path}")),
            self.image,
            *arguments,
        ]

    def process_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the process that `argv` starts."""
        if self.image is not None:
            return {**os.environ, **env}  # the engine has variables of its own
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        return {**inherited, **env}

    def remove(self, name: str) -> None:
        """Remove the container `name` if one is left over."""
        if self.image is not None:
            _run([self.executable, "rm", "--force", name], timeout=ENGINE_SECONDS)

    def components(self) -> dict[str, frozenset[str]]:
        """Return the component names by kind (`exporters`, `processors`, ...).

        Raises:
            CollectorUnavailableError: The Collector does not run.

        """
        result = _run(
            self.argv(["components"], env={}),
            timeout=ONE_SHOT_SECONDS,
            env=self.process_env({}),
        )
        if result.returncode != 0:
            raise CollectorUnavailableError(result.stdout)
        return parse_components(result.stdout)

    def validate(self, config: Path, env: Mapping[str, str] | None = None) -> None:
        """Check `config` with `otelcol validate`.

        Raises:
            InvalidConfigError: The Collector rejects the configuration.

        """
        env = env or {}
        config = config.resolve()
        result = _run(
            self.argv(
                ["validate", f"--config={config}"], env=env, read=[config.parent]
            ),
            timeout=ONE_SHOT_SECONDS,
            env=self.process_env(env),
        )
        if result.returncode != 0:
            raise InvalidConfigError(result.stdout)


def obtain(environ: Mapping[str, str] | None = None) -> Command | Unavailable:
    """Return a Collector, building it if need be.

    The first build takes minutes and reports on standard error; it is safe to call
    from several processes at once, and the binary stays in the user's cache.

    Raises:
        OtelcolVariableError: `OTELCOL` is not an executable file, or
            `REQUIRE_OTELCOL` is not a boolean.

        CollectorUnavailableError: There is none, and `REQUIRE_OTELCOL` is true.

    """
    environ = os.environ if environ is None else environ
    required = parse_required(environ, "REQUIRE_OTELCOL", OtelcolVariableError)
    found = _obtain(environ)
    if required and isinstance(found, Unavailable):
        raise CollectorUnavailableError(found.reason)
    return found


def validate(
    config: Path,
    env: Mapping[str, str] | None = None,
    *,
    command: Command | None = None,
) -> None:
    """Check `config` with `otelcol validate`.

    Args:
        config: The configuration file.

        env: The variables it refers to; no others are passed on.

        command: The Collector to ask, by default what `obtain` returns.

    Raises:
        InvalidConfigError: The Collector rejects the configuration.

        CollectorUnavailableError: There is no Collector.

    """
    found = command or obtain()
    if isinstance(found, Unavailable):
        raise CollectorUnavailableError(found.reason)
    found.validate(config, env)


def parse_required(
    environ: Mapping[str, str], name: str, error: type[Exception]
) -> bool:
    """Parse a variable that makes a missing tool an error; unset and empty are false.

    Args:
        environ: The environment.

        name: The variable's name.

        error: What to raise if it is neither true nor false.

    """
    match environ.get(name, "").strip().lower():
        case "1" | "true":
            return True
        case "" | "0" | "false":
            return False
        case _:
            message = f"{name} must be true or false, got {environ[name]!r}"
            raise error(message)


def parse_components(text: str) -> dict[str, frozenset[str]]:
    """Parse the YAML that `otelcol components` prints into names by kind."""
    names: dict[str, set[str]] = {}
    kind = ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w+):", line):
            kind = heading[1]
            names[kind] = set()
        elif kind and (item := re.fullmatch(r"\s*- name: (\S+)", line)):
            names[kind].add(item[1])
    return {kind: frozenset(found) for kind, found in names.items()}


def parse_go_version(text: str) -> tuple[int, ...] | None:
    """Return the release in `go1.26.1` or in go.mod's `go 1.26.1`, or None."""
    found = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def pinned_image(compose: str) -> str:
    """Return the image of a compose file, which must be pinned by digest.

    Raises:
        ValueError: No image with a sha256 digest is there.

    """
    found = re.search(
        r"^\s*image:\s*(\S+@sha256:[0-9a-f]{64})\s*$", compose, re.MULTILINE
    )
    if not found:
        message = "no image pinned by a sha256 digest in the compose file"
        raise ValueError(message)
    return found[1]


def cached_binary(environ: Mapping[str, str]) -> Path:
    """Return where the binary of the present `distribution` belongs."""
    digest = hashlib.sha256()
    for name in ("go.sum", "components.go", "main.go"):
        digest.update((DISTRIBUTION / name).read_bytes())
    caches = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = f"otelcol-{digest.hexdigest()[:16]}"
    return Path(caches) / "powertools-otel" / folder / "otelcol"


def make_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Return `target`, made by the first of any number of concurrent callers.

    Args:
        target: The file wanted. It appears whole or not at all.

        make: Writes it to the path given. What it raises, the caller gets, and the
            next caller tries again.

    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}.lock")):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                made = Path(scratch) / target.name
                make(made)
                made.replace(target)
    return target


def _obtain(environ: Mapping[str, str]) -> Command | Unavailable:
    if chosen := environ.get("OTELCOL"):
        return _from_variable(chosen)
    reasons: list[str] = []
    for source in (_from_engine, _from_go):
        found = source(environ)
        if isinstance(found, Command):
            return found
        reasons.append(found.reason)
    return Unavailable(f"no OpenTelemetry Collector: {'; '.join(reasons)}")


def _from_variable(value: str) -> Command:
    path = Path(value)
    if not path.is_file():
        message = f"OTELCOL={value!r} is not a file"
    elif not os.access(path, os.X_OK):
        message = f"OTELCOL={value!r} is not executable"
    else:
        return Command(executable=str(path.resolve()))
    raise OtelcolVariableError(message)


def _from_engine(environ: Mapping[str, str]) -> Command | Unavailable:
    image = pinned_image(COMPOSE.read_text())
    reasons: list[str] = []
    for engine in ENGINES:
        path = shutil.which(engine, path=environ.get("PATH"))
        if path is None:
            reasons.append(f"{engine} is not installed")
        elif _run([path, "info"], timeout=ENGINE_SECONDS).returncode != 0:
            reasons.append(f"{engine} does not answer")
        elif not _pulled(path, image):
            reasons.append(f"{engine} cannot pull {image}")
        else:
            return Command(executable=path, image=image)
    return Unavailable(", ".join(reasons))


def _pulled(engine: str, image: str) -> bool:
    known = _run([engine, "image", "inspect", image], timeout=ENGINE_SECONDS)
    if known.returncode == 0:
        return True
    _say(f"pulling {image}")
    return _run([engine, "pull", image], timeout=PULL_SECONDS).returncode == 0


def _from_go(environ: Mapping[str, str]) -> Command | Unavailable:
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        return Unavailable("go is not installed")
    env = _go_env(environ)
    asked = _run([go, "env", "GOVERSION"], timeout=ONE_SHOT_SECONDS, env=env)
    version = parse_go_version(asked.stdout)
    needed = parse_go_version((DISTRIBUTION / "go.mod").read_text())
    if version is None or needed is None or version < needed:
        wanted = ".".join(map(str, needed or ()))
        return Unavailable(f"go >= {wanted} is needed, got {asked.stdout.strip()}")
    target = cached_binary(environ)
    try:
        made = make_once(target, lambda path: _go_build(go, path, env))
    except (CollectorUnavailableError, OSError) as error:
        return Unavailable(f"the go build failed: {error}")
    return Command(executable=str(made))


def _go_env(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        **environ,
        "CGO_ENABLED": "0",  # no C compiler needed, and a static binary
        "GOFLAGS": "-mod=readonly",  # go.sum decides, whatever the user has set
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _go_build(go: str, output: Path, env: Mapping[str, str]) -> None:
    """Build the distribution; raise CollectorUnavailableError with go's own words."""
    _say("building the Collector from Go modules: minutes at first, then cached")
    flags = ["-buildvcs=false", "-trimpath", "-ldflags=-s -w"]
    log = output.with_suffix(".log")
    started = time.monotonic()
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            [go, "build", *flags, "-o", str(output), "."],
            cwd=DISTRIBUTION,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        ) as process,
    ):
        try:
            _await_build(process, log, started)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise CollectorUnavailableError(_tail(log, lines=20))
    _say(f"built the Collector in {time.monotonic() - started:.0f} s")


def _await_build(process: subprocess.Popen[bytes], log: Path, started: float) -> None:
    while not _ends_within(process, HEARTBEAT_SECONDS):
        seconds = time.monotonic() - started
        if seconds > BUILD_SECONDS:
            message = f"go build took longer than {BUILD_SECONDS:.0f} s"
            raise CollectorUnavailableError(message)
        _say(f"still building after {seconds:.0f} s {_tail(log, lines=1)}".rstrip())


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that builds the Collector")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(
    argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end within `timeout` seconds; too late is return code 124."""
    try:
        return subprocess.run(
            argv,
            check=False,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        late = f"no answer within {timeout:.0f} s"
        return subprocess.CompletedProcess(argv, 124, late)


def _tail(path: Path, *, lines: int) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _say(text: str) -> None:
    sys.stderr.write(f"otelcol: {text}\n")
    sys.stderr.flush()
