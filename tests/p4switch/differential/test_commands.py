"""Random commands through simple_switch_CLI's stand-in to BMv2 and to the native switch: the same answers, one by one."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.native import NativeDataplane
from p4switch.thrift.server import make_server
from p4switch.thrift.state import SwitchState
from tests.p4switch.compiled import compiled
from tests.p4switch.differential.client import until
from tests.p4switch.differential.conftest import ROUNDS
from tests.p4switch.differential.random_commands import CommandWriter
from tests.p4switch.differential.sides import free_ports, listens

COMMANDS = 150
PROMPT = "RuntimeCmd: "
UNORDERED = ("mc_dump", "pvs_get")
"""Commands whose answers BMv2 has in the order of its hash maps."""


@pytest.fixture
def ours() -> Iterator[int]:
    plane = NativeDataplane()
    plane.load(compiled("tools"))
    server = make_server(SwitchState(plane, device_id=3, swap_enabled=True), "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop()
    plane.close()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[int]:
    switch = shutil.which("simple_switch")
    if switch is None:
        pytest.skip("simple_switch is not on the PATH: nothing to compare with")
    (tmp_path / "tools.json").write_bytes(compiled("tools"))
    (port,) = free_ports(1)
    command = [switch, "--thrift-port", str(port), "--device-id", "3", str(tmp_path / "tools.json")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: listens(port), 100), "simple_switch did not start"
        yield port
        assert process.poll() is None, "simple_switch ended"
    finally:
        process.terminate()
        process.wait(100)


def answers(port: int, commands: list[str]) -> list[str]:
    """What is said to each command."""
    result = subprocess.run(
        [sys.executable, "-m", "p4switch.cli.main", "--thrift-port", str(port)],
        input="".join(f"{line}\n" for line in commands),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr
    said = re.sub(r"\d+ms since", "0ms since", result.stdout).split(PROMPT)[1 : len(commands) + 1]
    return [
        "".join(sorted(text.splitlines(True))) if command.startswith(UNORDERED) else text
        for command, text in zip(commands, said, strict=True)
    ]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_commands(seed: int, ours: int, theirs: int) -> None:
    commands = CommandWriter(random.Random(seed)).commands(COMMANDS)
    for number, (command, mine, other) in enumerate(
        zip(commands, answers(ours, commands), answers(theirs, commands), strict=True)
    ):
        assert mine == other, f"command {number}: {command}"
