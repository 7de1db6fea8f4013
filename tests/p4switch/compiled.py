"""P4 programs of the tests, compiled to BMv2 JSON by Kulvert's compiler; `$KULVERT_TEST_P4C` names another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from google.protobuf import text_format

from p4base.messages import p4i

SOURCES = Path(__file__).parent / "p4"


def compiled(name: str) -> bytes:
    """The BMv2 JSON of `p4/NAME.p4`."""
    return compiled_with_info(name)[0]


@cache
def compiled_with_info(name: str) -> tuple[bytes, p4i.P4Info]:
    """The BMv2 JSON and the P4Info of `p4/NAME.p4`."""
    return compile_file(SOURCES / f"{name}.p4")


@cache
def compile_file(path: Path) -> tuple[bytes, p4i.P4Info]:
    """The BMv2 JSON and the P4Info of a P4 program."""
    chosen = os.environ.get("KULVERT_TEST_P4C")
    command = [shutil.which(chosen) or chosen] if chosen else [sys.executable, "-m", "p4compiler"]
    with tempfile.TemporaryDirectory() as scratch:
        output, info = Path(scratch) / "out.json", Path(scratch) / "out.p4info.txtpb"
        command += ["--arch", "v1model", "-o", str(output), "--p4runtime-files", str(info)]
        subprocess.run([*command, str(path)], check=True, timeout=500)
        return output.read_bytes(), text_format.Parse(info.read_text(), p4i.P4Info())
