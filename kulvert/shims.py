"""Executables with the names of p4c's and BMv2's tools that start Kulvert's parts."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

SHIMS = {
    "simple_switch": "p4switch.simple_switch",
    "simple_switch_grpc": "p4switch.main",
    "simple_switch_CLI": "p4switch.cli.main",
    "p4c-bm2-ss": "p4compiler",
}
"""The module that each name runs."""

_STANDARD_LIBRARY_ONLY = {"p4switch.cli.main"}

CONFIG = "config.h"
_CONFIG_TEXT = "#define HAVE_SIMPLE_SWITCH 1\n"
_MARK = "# written by kulvert shims"


class ShimError(Exception):
    """The directory cannot take the executables. `str()` is one line for the user."""


def _command(python: str, module: str) -> str:
    """The shell's words that run a module. -P: a file in the current directory must not stand in for one."""
    if module not in _STANDARD_LIBRARY_ONLY:
        return f"{shlex.quote(python)} -P -m {module}"
    # Test suites start it for each test and give it a second: what Python does to find installed packages is left out.
    root = str(Path(__file__).resolve().parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); from {module} import run; sys.exit(run(sys.argv[1:]))"
    return f"{shlex.quote(python)} -S -P -c {shlex.quote(code)}"


def write_shims(directory: Path, python: str = sys.executable) -> list[Path]:
    """Write the executables, and the config.h in which p4c's test runner looks for BMv2, into `directory`.

    Raises:
        ShimError: it cannot be written, or has another file of such a name, which stays.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / name for name in SHIMS]
        for path in paths:
            if path.is_symlink() or (path.exists() and _MARK not in path.read_text(errors="replace")):
                raise ShimError(f"{path} is there already and is not ours; choose another directory")
        for path, module in zip(paths, SHIMS.values(), strict=True):
            path.write_text(f'#!/bin/sh\n{_MARK}\nexec {_command(python, module)} "$@"\n')
            path.chmod(0o755)
        config = directory / CONFIG
        if not config.exists():
            config.write_text(_CONFIG_TEXT)
    except OSError as error:
        raise ShimError(f"cannot write {error.filename or directory}: {error.strerror}") from None
    return paths
