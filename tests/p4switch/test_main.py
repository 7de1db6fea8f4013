"""The command line, and the switch as a process."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from p4switch.dataplane import Dataplane, DataplaneError, Status
from p4switch.main import run, serve
from p4switch.options import PortOption, SwitchOptions, UsageError, make_parser, parse_args
from p4switch.service.memory import MemoryDataplane
from p4switch.tools import StartError
from tests.p4switch.programs import make_document


def test_bmv2s_command_line() -> None:
    general = "--device-id 3 -i 0@veth0 --interface 1@veth1 -L warn --log-console x.json"
    target = "--grpc-server-addr 0.0.0.0:50051 --cpu-port 255 --drop-port 510"
    options = parse_args([*general.split(), "--", *target.split()])
    assert options == SwitchOptions(
        ports=(PortOption(0, "veth0"), PortOption(1, "veth1")),
        program=Path("x.json"),
        device_id=3,
        address="0.0.0.0:50051",
        cpu_port=255,
        drop_port=510,
        log_console=True,
        log_level=logging.WARNING,
    )


def test_target_options_need_no_separator_and_equals_signs_work() -> None:
    assert parse_args(["--no-p4", "--cpu-port=7", "-i0@a"]).cpu_port == 7
    assert parse_args(["--no-p4"]).address == "127.0.0.1:9559"


def test_what_bmv2_has_and_we_ignore_is_one_warning() -> None:
    options = parse_args(["--no-p4", "--nanolog", "ipc:///x", "--packet-in", "ipc:///y", "--", "--max-mc-groups", "8"])
    (warning,) = options.warnings
    assert all(name in warning for name in ("--nanolog", "--packet-in"))
    assert "--max-mc-groups" not in warning  # there is no limit that it would change
    assert parse_args(["--no-p4", "--log-flush"]).warnings == ()


def test_packets_over_grpc_are_instead_of_interfaces() -> None:
    options = parse_args(["--no-p4", "-i", "0@a", "--", "--dp-grpc-server-addr", "127.0.0.1:50055"])
    assert options.packet_address == "127.0.0.1:50055"
    assert "not opened" in options.warnings[0]
    assert parse_args(["--no-p4"]).packet_address is None
    with pytest.raises(UsageError, match="exclude"):
        parse_args(["--no-p4", "--use-files", "0", "--dp-grpc-server-addr", "127.0.0.1:50055"])


def test_simple_switch_has_thrift_and_no_p4runtime() -> None:
    line = "--log-file switch.log --log-flush --use-files 0 --dump-packet-data 64 --device-id 7 -i 1@pcap1 x.json"
    options = parse_args([*line.split(), "--", "--enable-swap"], simple=True)
    assert (options.grpc, options.thrift_port, options.swap_enabled) == (False, 9090, True)
    assert (options.files_wait_s, options.dump_bytes, options.log_file) == (0, 64, Path("switch.log.txt"))
    assert parse_args(["--no-p4"], simple=True).swap_enabled is False
    assert parse_args(["--no-p4"]).thrift_port is None


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("", "--no-p4"),
        ("--no-p4 --frobnicate", "--frobnicate"),
        ("--no-p4 -i veth0", "PORT@INTERFACE"),
        ("--no-p4 -i 600@veth0", "0 to 511"),
        ("--no-p4 -i 1@a -i 1@b", "port 1 is already a"),
        ("--no-p4 -i 1@a -i 2@a", "interface a is a port already"),
        ("--no-p4 -i 511@a", "drop port"),
        ("--no-p4 -i 5@a -- --cpu-port 5", "CPU port"),
        ("--no-p4 -- --cpu-port 0", "1 to 511"),
        ("--no-p4 -- --grpc-server-addr 9559", "HOST:PORT"),
        ("--no-p4 -L loud", "'loud'"),
        ("--no-p4 --device-id x", "device id"),
        ("--no-p4 --log-console --log-file x", "exclude"),
        ("--no-p4 -- --grpc-server-ssl", "--grpc-server-cert"),
        ("a.json b.json", "b.json"),
    ],
)
def test_wrong_arguments(argv: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_args(argv.split())
    assert words in str(caught.value)
    assert run(argv.split()) == 2
    assert words in capsys.readouterr().err


def test_help_explains_every_option_that_does_something(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for option in (
        "--interface",
        "--no-p4",
        "--cpu-port",
        "--grpc-server-addr",
        "--ready-file",
        "PROGRAM.json",
        "--drop-port",
    ):
        assert option in text
    assert "--nanolog" not in text
    assert make_parser().prog == "kulvert switch"


class Process:
    """`serve` on a thread, over a data plane in memory."""

    def __init__(self, options: SwitchOptions, dataplane: Dataplane) -> None:
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(options, dataplane))
        self._thread.start()

    def _run(self, options: SwitchOptions, dataplane: Dataplane) -> None:
        try:
            serve(options, self.stop, lambda _: dataplane)
        except StartError as error:
            self.error = error

    def join(self) -> None:
        self.stop.set()
        self._thread.join(100)
        assert not self._thread.is_alive()


def test_switch_announces_itself_and_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "p.json"
    program.write_text(json.dumps(make_document()))
    read_end, write_end = os.pipe()
    options = SwitchOptions(
        ports=(PortOption(3, "veth3"),), program=program, address="127.0.0.1:0", ready_fd=write_end, cpu_port=9
    )
    dataplane = MemoryDataplane()
    process = Process(options, dataplane)
    with os.fdopen(read_end) as ready:
        line = ready.read()
    assert capsys.readouterr().out == line
    assert "3@veth3" in line
    assert "CPU port 9" in line
    address = line.split(" on ")[1].split(",")[0]
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=60).close()
    assert dataplane.default_action("ingress.exact_table") is not None, "the program is loaded"
    process.join()
    assert process.error is None


class NoInterfaces(MemoryDataplane):
    def add_port(self, port: int, interface: str) -> None:
        raise DataplaneError(Status.NOT_FOUND, f"no interface {interface}")


def test_what_keeps_the_switch_from_starting(tmp_path: Path) -> None:
    def problem(options: SwitchOptions, dataplane: Dataplane | None = None) -> str:
        with pytest.raises(StartError) as caught:
            serve(options, threading.Event(), lambda _: dataplane or MemoryDataplane())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    bad = tmp_path / "bad.json"
    bad.write_text("{]")
    local = "127.0.0.1:0"
    assert "bad.json" in problem(SwitchOptions(program=bad, address=local))
    assert "none.json: No such file" in problem(SwitchOptions(program=tmp_path / "none.json", address=local))
    ports = (PortOption(1, "nosuch"),)
    assert problem(SwitchOptions(ports=ports, address=local), NoInterfaces()) == "no interface nosuch"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {address}" in problem(SwitchOptions(address=address))


_SCRIPT = """
import sys
import p4switch.main as main
from p4switch.service.memory import MemoryDataplane
main._native_dataplane = lambda *_: MemoryDataplane()
sys.exit(main.run(sys.argv[1:]))
"""


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_the_process_cleanly(sign: signal.Signals) -> None:
    command = [sys.executable, "-c", _SCRIPT, "--no-p4", "--", "--grpc-server-addr", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("kulvert switch ready")
        process.send_signal(sign)
        assert process.wait(100) == 0
        assert process.stderr.read() == ""
