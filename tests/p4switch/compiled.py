"""P4 programs of the tests, compiled to BMv2 JSON by Kulvert's compiler; `$KULVERT_TEST_P4C` names another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent / "p4"


@cache
def compiled(name: str) -> bytes:
    """The BMv2 JSON of `p4/NAME.p4`."""
    chosen = os.environ.get("KULVERT_TEST_P4C")
    command = [shutil.which(chosen) or chosen] if chosen else [sys.executable, "-m", "p4compiler"]
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "out.json"
        subprocess.run(
            [*command, "--arch", "v1model", "-o", str(output), str(SOURCES / f"{name}.p4")], check=True, timeout=120
        )
        return output.read_bytes()
