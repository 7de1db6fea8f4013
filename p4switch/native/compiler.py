"""The machine's C compiler, and a cache of what it made.

A shared object is kept under `$XDG_CACHE_HOME/kulvert` by the hash of everything it depends on: sources, flags, compiler. It is
written aside and renamed, so that several processes may build the same one at once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from p4switch.dataplane import DataplaneError, Status

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g1", "-fPIC", "-shared", "-fno-strict-aliasing", "-pthread")
WARNINGS = ("-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-label")
TIMEOUT_SECONDS = 300


def find_compiler() -> list[str]:
    """The command of a C compiler: `$CC`, cc, gcc, clang, or the ziglang package.

    Raises:
        DataplaneError: there is none.
    """
    chosen = os.environ.get("CC")
    if chosen:
        command = chosen.split()
        if command and shutil.which(command[0]):
            return command
        raise DataplaneError(Status.FAILED_PRECONDITION, f"the C compiler in $CC, {chosen!r}, does not exist")
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path:
            return [path]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise DataplaneError(
        Status.FAILED_PRECONDITION,
        "no C compiler: neither $CC, cc, gcc nor clang was found; `pip install ziglang` brings one",
    )


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kulvert"


@cache
def _version(command: tuple[str, ...]) -> bytes:
    try:
        return subprocess.run([*command, "--version"], capture_output=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataplaneError(
            Status.FAILED_PRECONDITION, f"the C compiler {command[0]!r} does not run: {error}"
        ) from None


def sanitizers() -> tuple[str, ...]:
    """Compiler flags for `$KULVERT_SANITIZE`, such as "address,undefined"."""
    wanted = os.environ.get("KULVERT_SANITIZE", "")
    if not wanted:
        return ()
    return (f"-fsanitize={wanted}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")


@dataclass(frozen=True, slots=True)
class Build:
    """One shared object to make: `name` is for people, `sources` are C files, `text` is C that was generated."""

    name: str
    sources: Sequence[Path] = ()
    text: str | None = None


def build(wanted: Build) -> Path:
    """The shared object for `wanted`, from the cache or newly compiled.

    Raises:
        DataplaneError: no compiler, or it refused; the message holds its first line of complaint.
    """
    command = find_compiler()
    flags = (*FLAGS, *WARNINGS, *sanitizers())
    path = cache_directory() / f"{wanted.name}-{_key(wanted, command, flags)}.so"
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            _compile(wanted, command, flags, Path(scratch), path)
    except OSError as error:
        raise DataplaneError(Status.FAILED_PRECONDITION, f"cannot write to {path.parent}: {error.strerror}") from None
    return path


def _key(wanted: Build, command: Sequence[str], flags: Sequence[str]) -> str:
    digest = hashlib.sha256()
    parts = ["\0".join((*command, *flags)).encode(), _version(tuple(command)), platform.machine().encode()]
    parts += [path.read_bytes() for path in (*wanted.sources, *sorted(RUNTIME.glob("*.h")))]
    parts.append((wanted.text or "").encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _compile(wanted: Build, command: Sequence[str], flags: Sequence[str], scratch: Path, path: Path) -> None:
    sources = [str(source) for source in wanted.sources]
    if wanted.text is not None:
        generated = path.with_suffix(".c")
        (scratch / "generated.c").write_text(wanted.text)
        (scratch / "generated.c").replace(generated)  # stays beside the object, for people and debuggers
        sources.append(str(generated))
    output = scratch / "object.so"
    try:
        result = subprocess.run(
            [*command, *flags, f"-I{RUNTIME}", *sources, "-o", str(output)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataplaneError(
            Status.FAILED_PRECONDITION, f"the C compiler took more than {TIMEOUT_SECONDS} s for {wanted.name!r}"
        ) from None
    if result.returncode != 0:
        complaints = result.stderr.splitlines()
        first = next((line for line in complaints if "error" in line), complaints[0] if complaints else "no message")
        raise DataplaneError(Status.FAILED_PRECONDITION, f"the C compiler refused {wanted.name!r}: {first}")
    output.replace(path)
