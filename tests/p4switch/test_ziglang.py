"""Where there is no C compiler but the ziglang package, that one compiles the switch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kulvert.inspection import shell
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compiled
from tests.p4switch.test_native_packets import order

SCRIPT = """
import json, sys
from pathlib import Path
from p4switch.native import NativeDataplane
from p4switch.native.compiler import find_compiler
assert find_compiler() == [sys.executable, "-m", "ziglang", "cc"], find_compiler()
plane = NativeDataplane(cpu_port=64)
plane.load(Path(sys.argv[1]).read_bytes())
frames = [bytes.fromhex(frame) for frame in sys.argv[2:]]
print(json.dumps([[(port, frame.hex()) for port, frame in plane.inject(3, frame)] for frame in frames]))
plane.close()
"""


@pytest.fixture
def packages() -> Path | None:
    """Where ziglang is: None for this environment. It is brought only when asked for, as it is large."""
    if importlib.util.find_spec("ziglang") is not None:
        return None
    folder = shell._cache() / "ziglang"
    ready = folder / ".ready"
    if os.environ.get("KULVERT_TEST_ZIG") == "make" and not ready.is_file():
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        subprocess.run([*command, "--upgrade", "--target", folder, "ziglang"], check=True, timeout=600)
        ready.touch()
    if not ready.is_file():
        pytest.skip("ziglang is not there: `make zig` brings it")
    return folder


def test_ziglang_compiles_what_runs_alike(packages: Path | None, tmp_path: Path) -> None:
    program = tmp_path / "packets.json"
    program.write_bytes(compiled("packets"))
    frames = [order(what, 3) for what in range(11)]
    path = [str(Path(__file__).parents[2]), *([str(packages)] if packages is not None else [])]
    environment = {
        "PATH": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(path),
        "XDG_CACHE_HOME": str(tmp_path),
        "ZIG_GLOBAL_CACHE_DIR": str((packages or tmp_path) / "zig-cache"),
    }
    command = [sys.executable, "-c", SCRIPT, str(program), *(frame.hex() for frame in frames)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    plane = NativeDataplane(cpu_port=64)
    try:
        plane.load(compiled("packets"))
        expected = [[[port, frame.hex()] for port, frame in plane.inject(3, frame)] for frame in frames]
    finally:
        plane.close()
    assert json.loads(run.stdout) == expected
