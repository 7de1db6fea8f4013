"""simple_switch_CLI's commands: what they say, and what becomes of packets. Where BMv2 is installed, it must say the same."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p4switch.native import NativeDataplane
from p4switch.thrift.server import make_server
from p4switch.thrift.snapshot import restore, snapshot
from p4switch.thrift.state import SwitchState
from tests.p4switch.compiled import compiled
from tests.ports import free_port

DIALOGS = Path(__file__).parent / "dialogs"
BMV2 = shutil.which("simple_switch"), shutil.which("simple_switch_CLI")


@pytest.fixture
def state() -> Iterator[SwitchState]:
    plane = NativeDataplane()
    plane.load(compiled("tools"))
    yield SwitchState(plane, device_id=3, swap_enabled=True)
    plane.close()


@pytest.fixture
def port(state: SwitchState) -> Iterator[int]:
    server = make_server(state, "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop()


def say(port: int, text: str, command: list[str] | None = None) -> str:
    """What the commands answer, without the prompts."""
    result = subprocess.run(
        [*(command or [sys.executable, "-m", "p4switch.cli.main"]), "--thrift-port", str(port)],
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    _, _, answers = result.stdout.partition("table manipulation\n")
    answers = re.sub(r"\d+ms since", "0ms since", answers)
    return answers.replace("RuntimeCmd: ", "").rstrip("\n") + "\n"


def probe(address: int, number: int = 0, kind: int = 0, index: int = 0) -> bytes:
    return address.to_bytes(4, "big") + number.to_bytes(2, "big") + bytes([kind, index]) + bytes(2) + b"and the payload"


@pytest.mark.parametrize("name", ["tables", "profiles", "arrays", "meters", "replication"])
def test_dialog(name: str, port: int, compare_golden: Callable[[Path, str], None]) -> None:
    compare_golden(DIALOGS / f"{name}.answers", say(port, (DIALOGS / f"{name}.commands").read_text()))


@pytest.mark.skipif(None in BMV2, reason="simple_switch and simple_switch_CLI are not on the PATH")
@pytest.mark.parametrize("client", ["ours", "bmv2's"])
@pytest.mark.parametrize("name", ["tables", "profiles", "arrays", "meters", "replication"])
def test_bmv2_answers_the_same(name: str, client: str, port: int, tmp_path: Path) -> None:
    """Either client, to either switch."""
    command = [str(BMV2[1])] if client == "bmv2's" else None
    commands = (DIALOGS / f"{name}.commands").read_text()
    (tmp_path / "tools.json").write_bytes(compiled("tools"))
    other = free_port()
    switch = subprocess.Popen(
        [str(BMV2[0]), "--thrift-port", str(other), "--device-id", "3", str(tmp_path / "tools.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 100
        while True:
            try:
                socket.create_connection(("127.0.0.1", other)).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "simple_switch did not start"
                time.sleep(0.1)
        assert say(other, commands, command) == say(port, commands, command)
    finally:
        switch.terminate()
        switch.wait()


def test_a_number_too_large_for_a_message_is_said_and_passed_over(port: int) -> None:
    answer = say(port, "act_prof_dump_member members 99999999999\ntable_num_entries routes\n")
    assert answer == "Error: 99999999999 does not fit in 32 bits\n0\n"


def test_entries_do_what_they_say(state: SwitchState, port: int) -> None:
    say(
        port,
        """\
table_add routes forward 10.0.0.0/8 => 1
table_add I.routes forward 10.1.0.0/16 => 2
table_add routes spread 10.2.0.0/16 => 7
table_add rules mark 10.0.0.1 5->7 0x10&&&0xf0 1 => aa:bb:cc:dd:ee:ff 1.2.3.4 ::1 0x1111 20
table_add rules mark 10.0.0.1 0->65535 0&&&0 1 => 0 0 0 0x2222 10
mc_mgrp_create 7
mc_node_create 4 3 5 | 1
mc_node_associate 7 0
mc_set_lag_membership 1 8 9
pvs_add special 0x0123
act_prof_create_member members mirror
table_indirect_add balanced 6 => 0
mirroring_add_mc 5 7
""",
    )
    plane = state.dataplane

    def ports(frame: bytes) -> list[int]:
        return [out for out, _ in plane.inject(0, frame)]

    assert ports(probe(0x0A000002)) == [1]
    assert ports(probe(0x0A010002)) == [2]
    assert ports(probe(0x0A020002)) == [3, 5, 9]
    assert ports(probe(0x0A000002, index=6)) == [3, 5, 9, 1]
    ((_, frame),) = plane.inject(0, probe(0x0A000001, number=6, kind=0x1F))
    assert frame[8:10] == b"\x22\x22"  # the lower number wins
    ((_, frame),) = plane.inject(0, probe(0x0A000002, number=0x0123))
    assert frame[6] == 0xEE
    say(port, "table_delete rules 1\nmc_node_update 0 4\nmirroring_delete 5\npvs_clear special\n")
    ((_, frame),) = plane.inject(0, probe(0x0A000001, number=6, kind=0x1F))
    assert frame[8:10] == b"\x11\x11"
    assert ports(probe(0x0A020002)) == [4]
    assert ports(probe(0x0A000002, index=6)) == [1]
    counted = say(port, "counter_read hits 0\ncounter_read indexed 6\n")
    assert re.findall(r"(\d+) packets", counted) == ["6", "2"]


def test_state_is_saved_and_restored(state: SwitchState, port: int) -> None:
    say(
        port,
        """\
table_add routes forward 10.0.0.0/8 => 1
table_set_default routes forward 6
act_prof_create_member members nothing
act_prof_create_group members
act_prof_add_member_to_group members 0 0
table_indirect_add_with_group balanced 1 => 0
register_write last 2 99
counter_write indexed 3 4 5
""",
    )
    saved = snapshot(state)
    say(port, "reset_state\n")
    assert say(port, "table_num_entries routes\nregister_read last 2\n") == "0\nlast[2]= 0\n"
    restore(state, saved)
    assert snapshot(state) == saved
    assert [out for out, _ in state.dataplane.inject(0, probe(1))] == [6]


def test_a_program_is_replaced(state: SwitchState, port: int, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(compiled("packets"))
    answers = say(
        port,
        f"""\
swap_configs
load_new_config_file {other}
swap_configs
show_tables
write_config_to_file {tmp_path / "written.json"}
""",
    )
    assert answers.startswith("Swapping configs\nInvalid swap operation (NO_ONGOING_SWAP)\nLoading new Json config\n")
    assert "routes" not in answers
    assert (tmp_path / "written.json").read_bytes() == other.read_bytes()


def test_without_a_switch(capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "p4switch.cli.main", "--thrift-port", str(port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert result.returncode == 1
    assert f"Could not connect to thrift client on port {port}" in result.stdout
    assert "Traceback" not in result.stderr
