"""Tests that need network namespaces of their own."""

from __future__ import annotations

import functools
import subprocess
import sys

_PROBE = """
import sys
from kulvert.failures import UserError
from kulvert.lab.sandbox import run_in_sandbox
try:
    sys.exit(run_in_sandbox(lambda: 0, name="probe"))
except UserError as error:
    sys.exit(str(error))
"""


@functools.cache
def why_no_sandbox() -> str:
    """Why this machine grants no sandbox; empty if it does."""
    run = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=300, check=False)
    return "" if run.returncode == 0 else run.stderr.strip() or f"status {run.returncode}"
