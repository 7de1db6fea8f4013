"""Running the `kulvert` command as a user does: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_kulvert(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 300.0,
) -> subprocess.CompletedProcess[str]:
    """Run `kulvert ARGUMENTS` to its end."""
    merged = {name: value for name, value in os.environ.items() if name != "KULVERT_DEBUG"} | dict(environment or {})
    command = [sys.executable, "-m", "kulvert", *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env=merged,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def assert_clear(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed as a user may expect: status 1 or 2, a message with `words`, no traceback."""
    said = result.stdout + result.stderr
    assert result.returncode in (1, 2), f"status {result.returncode}:\n{said}"
    assert "Traceback" not in said, said
    assert "internal failure" not in said, said
    for word in words:
        assert word in said, f"{word!r} is not in:\n{said}"
