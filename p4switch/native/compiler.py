"""The machine's C compiler, and a cache of what it made.

A shared object is kept under `$XDG_CACHE_HOME/kulvert` by the hash of everything it depends on: sources, flags, compiler. It is
written aside and renamed; processes that want the same one at once wait for the first of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from p4switch.dataplane import DataplaneError, Status

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
# -O1: what is generated keeps its state in memory, so that -O2 takes twice the time and gains nothing.
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g1", "-fPIC", "-fno-strict-aliasing", "-pthread")
QUIET = ("-w",)  # nobody would see warnings, and looking for them takes a third of the time; a test does
TIMEOUT_SECONDS = 300
P = ParamSpec("P")
T = TypeVar("T")
_SCRATCH = "build-"
_STALE_SECONDS = 24 * 3600
_MADE = ("pipeline-", "runtime-", "program-")
_UNUSED_SECONDS = 30 * 24 * 3600
_CACHE_BYTES = 512 << 20
_BUSY_SECONDS = 3600
_FULL = "No space left on device"


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


def sanitizers() -> tuple[str, ...]:
    """Compiler flags for `$KULVERT_SANITIZE`, such as "address,undefined"."""
    wanted = os.environ.get("KULVERT_SANITIZE", "")
    if not wanted:
        return ()
    return (f"-fsanitize={wanted}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")


class Build(msgspec.Struct, frozen=True):
    """One shared object to make: `name` is for people, `sources` are C files, `text` is C that was generated."""

    name: str
    sources: Sequence[Path] = ()
    text: str | None = None


class Toolchain(msgspec.Struct, frozen=True):
    """A compiler's command, the flags it is given, and the hash of both and of what it is."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    digest: bytes


def toolchain() -> Toolchain:
    """What compiles now.

    Raises:
        DataplaneError: there is no compiler.
    """
    command, flags = tuple(find_compiler()), (*FLAGS, *QUIET, *sanitizers())
    parts = ["\0".join((*command, *flags)), platform.machine(), *_files(command)]
    return Toolchain(command, flags, hashlib.sha256("\0".join(parts).encode()).digest())


@cache
def _files(command: tuple[str, ...]) -> tuple[str, ...]:
    """The files behind a command, with size and time: another version of a compiler is another file."""
    paths = [found for word in command if (found := shutil.which(word))]
    if "ziglang" in command and (spec := importlib.util.find_spec("ziglang")) is not None and spec.origin is not None:
        paths.append(spec.origin)
    files = []
    for path in map(os.path.realpath, paths):
        status = os.stat(path)
        files.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
    return tuple(files)


def build(wanted: Build) -> Path:
    """The shared object for `wanted`, from the cache or newly compiled.

    Raises:
        DataplaneError: no compiler, or it refused; the message holds its first line of complaint. Or the cache cannot be written.
    """
    tools = toolchain()
    path = cache_directory() / f"{wanted.name}-{_key(wanted, tools)}.so"
    if used(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        _prune(path.parent)
        with _alone(path.with_suffix(".lock")):
            if not path.exists():
                with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
                    _compile(wanted, tools, Path(scratch), path)
    except OSError as error:
        raise cannot_write(path.parent, error) from None
    return path


def in_background(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call what builds something while the caller goes on."""
    return _builders().submit(function, *args, **kwargs)


def cannot_write(directory: Path, error: OSError) -> DataplaneError:
    """What to say when the cache is read-only, full or not this user's."""
    reason = error.strerror or str(error)
    return DataplaneError(
        Status.FAILED_PRECONDITION,
        f"cannot write to {directory}: {reason}; compiled programs are kept there, or under $XDG_CACHE_HOME if it is set",
    )


def _sweep(directory: Path) -> None:
    """Remove what builds left that were killed."""
    for scratch in directory.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)


def used(path: Path) -> bool:
    """Whether something is in the cache; it is kept for longer then."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # somebody else's, who keeps it
        return path.exists()
    return True


def _prune(directory: Path) -> None:
    """Remove what has not been used for a long time, and the least recently used where the cache is too large.

    What was used in the last hour stays: its user may not have opened it yet. Processes that have opened it keep what they have.
    """
    found = []
    for path in directory.iterdir():
        with_object = path.suffix == ".c" and path.with_suffix(".so").exists()
        if path.name.startswith(_MADE) and path.suffix != ".lock" and not with_object:
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
    now, size = time.time(), sum(item[1] for item in found)
    for when, length, path in sorted(found):
        unused_s = now - when
        if unused_s > _UNUSED_SECONDS or (size > _CACHE_BYTES and unused_s > _BUSY_SECONDS):
            with suppress(OSError):
                path.unlink()
                size -= length
                if path.suffix == ".so":
                    path.with_suffix(".c").unlink(missing_ok=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While this lasts, no other process or thread is in here with the same `lock`. The file is gone afterwards."""
    while True:
        with open(lock, "w", encoding="ascii") as file:
            with suppress(OSError):  # where a file system has no locks, the same thing is made twice
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if not os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                    continue
            except FileNotFoundError:  # the one before has just finished
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


@cache
def _builders() -> ThreadPoolExecutor:
    """Threads that wait for builds."""
    return ThreadPoolExecutor(thread_name_prefix="build")


@cache
def _compilers() -> ThreadPoolExecutor:
    """Threads that wait for compilers: one a processor, for all builds together."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="compiler")


def _key(wanted: Build, tools: Toolchain) -> str:
    digest = hashlib.sha256(tools.digest)
    parts = [path.read_bytes() for path in (*wanted.sources, *sorted(RUNTIME.glob("*.h")))]
    parts.append((wanted.text or "").encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _compile(wanted: Build, tools: Toolchain, scratch: Path, path: Path) -> None:
    """Every source by itself, as many at a time as there are processors, then all together."""
    sources = list(wanted.sources)
    if wanted.text is not None:
        generated = path.with_suffix(".c")
        (scratch / "generated.c").write_text(wanted.text)
        (scratch / "generated.c").replace(generated)  # stays beside the object, for people and debuggers
        sources.append(generated)
    sources.sort(key=lambda source: -source.stat().st_size)  # the longest first, so that all end together
    objects = [scratch / f"{number}.o" for number in range(len(sources))]

    def compile_source(source: Path, target: Path) -> None:
        _run(wanted, [*tools.command, *tools.flags, f"-I{RUNTIME}", "-c", str(source), "-o", str(target)], path)

    pairs = list(zip(sources, objects, strict=True))
    if len(pairs) == 1:  # does not queue behind the many sources of another build
        compile_source(*pairs[0])
    else:
        running = [_compilers().submit(compile_source, *pair) for pair in pairs]
        for compilation in wait(running).done:  # also when one fails: nobody may be writing into `scratch` when it goes
            compilation.result()
    output = scratch / "object.so"
    _run(wanted, [*tools.command, *tools.flags, "-shared", *map(str, objects), "-o", str(output)], path)
    output.replace(path)


def _run(wanted: Build, command: Sequence[str], path: Path) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise DataplaneError(
            Status.FAILED_PRECONDITION, f"the C compiler took more than {TIMEOUT_SECONDS} s for {wanted.name!r}"
        ) from None
    except OSError as error:
        raise DataplaneError(
            Status.FAILED_PRECONDITION, f"the C compiler {command[0]!r} does not run: {error.strerror}"
        ) from None
    if result.returncode == 0:
        return
    if _FULL in result.stderr:
        raise DataplaneError(
            Status.FAILED_PRECONDITION,
            f"the C compiler found no space left in {path.parent} or {tempfile.gettempdir()}",
        )
    complaints = result.stderr.splitlines()
    first = next((line for line in complaints if "error" in line), complaints[0] if complaints else "no message")
    raise DataplaneError(Status.FAILED_PRECONDITION, f"the C compiler refused {wanted.name!r}: {first}")
