"""Build the Lambda layer: the package, what it needs, and the exec wrapper.

What the package needs lies in a folder of its own, which goes last on ``sys.path``: the
versions in the function's package, or in another layer, are used before those here, and
no file of another layer is overwritten. The same inputs give the same bytes.

    python layer/build.py --python 3.13 --arch arm64
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGE = "powertools_otel"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
LIMIT = 4 * 1024 * 1024
"""Bytes of the zip without instrumentations."""

_GLIBC = {"3.10": (17, 26), "3.11": (17, 26)}
"""glibc 2.x of the oldest wheels and of Lambda's operating system, where it is not 34."""
_DATE = (1980, 1, 1, 0, 0, 0)
_UNWANTED_FOLDERS = frozenset({"__pycache__", "bin", "tests", "test"})
_UNWANTED_FILES = (".pyi", ".so.debug", "py.typed")
_KEPT_METADATA = frozenset({"METADATA", "entry_points.txt"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the zip that the command line asks for; print its path and size."""
    options = _parse(arguments)
    target = options.output or (
        ROOT / "build" / f"powertools-otel-python{options.python}-{options.arch}.zip"
    )
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / "opt"
        _install(stage / "python", options)
        _prune(stage / "python")
        shutil.copy(HERE / "powertools-otel", stage / "powertools-otel")
        compiled = _compile(stage, options.python, options.interpreter)
        target.parent.mkdir(parents=True, exist_ok=True)
        _zip(stage, target)
    size = target.stat().st_size
    how = "precompiled" if compiled else f"NOT precompiled: no python{options.python}"
    print(f"{target} {size / 1024 / 1024:.2f} MB ({how})")  # noqa: T201 - a command
    if size > LIMIT and not options.instrumentation:
        print(f"larger than {LIMIT} bytes", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--python", choices=PYTHONS, default="3.13")
    parser.add_argument("--arch", choices=sorted(MACHINES), default="x86_64")
    parser.add_argument(
        "--instrumentation",
        action="store_true",
        help="put the extra [instrumentation] in as well",
    )
    parser.add_argument("--interpreter", help="that Python, to precompile with")
    parser.add_argument("--output", type=Path, help="where the zip goes")
    return parser.parse_args(arguments)


def _install(python: Path, options: argparse.Namespace) -> None:
    """Install for the target, as pip resolves it there; nothing is compiled."""
    packages = python / PACKAGE / "_packages"
    with tempfile.TemporaryDirectory() as folder:
        _pip("wheel", "--no-deps", "--wheel-dir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        _pip("install", "--no-deps", "--target", str(python), str(wheel))
        requirement, constraints = str(wheel), ROOT / "constraints.txt"
        pins = ["--constraint", str(constraints)] if constraints.exists() else []
        if options.instrumentation:
            # Each instrumentation wants one release of the SDK: let pip find it.
            requirement, pins = f"{wheel}[instrumentation]", []
        _pip(
            "install",
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={options.python}",
            *(f"--platform={name}" for name in _platforms(options)),
            *pins,
            "--target",
            str(packages),
            requirement,
        )
    for installed_twice in packages.glob(f"{PACKAGE}*"):
        shutil.rmtree(installed_twice)


def _platforms(options: argparse.Namespace) -> Iterable[str]:
    machine = MACHINES[options.arch]
    oldest, newest = _GLIBC.get(options.python, (17, 34))
    for minor in range(newest, oldest - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
    yield f"manylinux2014_{machine}"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True)  # noqa: S603 - pip, as asked


def _prune(python: Path) -> None:
    """Remove what no function needs; of pip's metadata, keep the entry points'."""
    for folder in sorted(python.rglob("*"), reverse=True):
        if folder.is_dir() and folder.name in _UNWANTED_FOLDERS:
            shutil.rmtree(folder)
    for path in list(python.rglob("*")):
        if path.is_file() and path.name.endswith(_UNWANTED_FILES):
            path.unlink()
    for metadata in list(python.rglob("*.dist-info")):
        _keep_licences(metadata, python / PACKAGE / "_packages" / "licences")
        if not (metadata / "entry_points.txt").exists():
            shutil.rmtree(metadata)
            continue
        for path in metadata.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT_METADATA:
                path.unlink()


def _keep_licences(metadata: Path, target: Path) -> None:
    name = metadata.name.partition("-")[0]
    for path in sorted(metadata.rglob("*")):
        if path.is_file() and path.name.upper().startswith(("LICEN", "NOTICE")):
            (target / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / name / path.name)


def _compile(stage: Path, version: str, interpreter: str | None) -> bool:
    """Put bytecode beside the sources, which Python then takes unchecked."""
    python = interpreter or _find_python(version)
    if python is None:
        return False
    subprocess.run(  # noqa: S603 - the Python that was named or found
        [
            python,
            "-I",
            "-m",
            "compileall",
            "-q",
            "-s",
            str(stage),
            "-p",
            "/opt",
            "--invalidation-mode=unchecked-hash",
            str(stage / "python"),
        ],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    return True


def _find_python(version: str) -> str | None:
    if sys.version.startswith(f"{version}."):
        return sys.executable
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(f"python{version}", path=folder)
        # A version manager may answer to a name that it has nothing for.
        if found and _runs(found):
            return found
    return None


def _runs(python: str) -> bool:
    command = [python, "-I", "-c", ""]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def _zip(stage: Path, target: Path) -> None:
    files = sorted(path for path in stage.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(stage).as_posix(), _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # so that the mode below is Unix's
            executable = path.parent == stage
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, path.read_bytes(), compresslevel=9)


if __name__ == "__main__":
    sys.exit(main())
