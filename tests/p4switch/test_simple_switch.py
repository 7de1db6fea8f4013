"""simple_switch as p4c's test runner starts it, by the executables of `kulvert shims`: pcap FIFOs as ports, Thrift at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kulvert.shims import SHIMS, ShimError, write_shims
from p4switch.endpoints.pcap import PcapError, PcapParser, PcapWriter
from tests.p4switch.compiled import compiled
from tests.p4switch.test_cli import probe
from tests.ports import free_port


@pytest.fixture(scope="module")
def shims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shims")
    assert [path.name for path in write_shims(directory)] == list(SHIMS)
    return directory


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert process.poll() is None, "the switch ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)


def packets(path: Path) -> list[bytes]:
    return [frame for _, frame in PcapParser(str(path)).feed(path.read_bytes())]


def eventually(path: Path, count: int) -> list[bytes]:
    deadline = time.monotonic() + 100
    while len(found := packets(path)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.fixture
def running(shims: Path, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    (tmp_path / "tools.json").write_bytes(compiled("tools"))
    for number in (0, 1, 2):
        os.mkfifo(tmp_path / f"pcap{number}_in.pcap")
    port = free_port()
    line = f"--log-file switch.log --log-flush --use-files 0 --dump-packet-data 64 --thrift-port {port} --device-id 5"
    process = subprocess.Popen(
        [str(shims / "simple_switch"), *line.split(), "-i 1@pcap1", "-i 0@pcap0", "-i", "2@pcap2", "tools.json"],
        cwd=tmp_path,
    )
    yield port, process
    if process.poll() is None:
        process.kill()
    process.wait()


def test_the_runners_way(running: tuple[int, subprocess.Popen[bytes]], shims: Path, tmp_path: Path) -> None:
    port, process = running
    writers = [PcapWriter(tmp_path / f"pcap{number}_in.pcap") for number in (0, 1, 2)]  # waits for the switch
    wait_for(port, process)
    cli = subprocess.Popen(
        [str(shims / "simple_switch_CLI"), "--thrift-port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    answers, _ = cli.communicate(b"table_add routes forward 10.0.0.0/8 => 2\nswitch_info\n", timeout=300)
    assert b"Entry has been added with handle 0" in answers
    assert f"thrift_port              : {port}".encode() in answers
    writers[1].write(probe(0x0A000001))
    assert eventually(tmp_path / "pcap2_out.pcap", 1) == [probe(0x0A000001)]  # what comes by two ports has no order
    writers[0].write(probe(0x0A000002))
    for writer in writers:
        writer.close()
    assert eventually(tmp_path / "pcap2_out.pcap", 2) == [probe(0x0A000001), probe(0x0A000002)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) in (0, -signal.SIGTERM)
    assert packets(tmp_path / "pcap0_out.pcap") == []
    log = (tmp_path / "switch.log.txt").read_text()
    assert f"Received packet of length 25 on port 1: {probe(0x0A000001).hex()}" in log


def test_stops_while_nobody_has_opened_its_files(running: tuple[int, subprocess.Popen[bytes]]) -> None:
    port, process = running
    wait_for(port, process)
    process.terminate()
    assert process.wait(100) in (0, -signal.SIGTERM)


def test_a_missing_file_is_one_line(shims: Path, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_bytes(compiled("tools"))
    result = subprocess.run(
        [str(shims / "simple_switch"), "--use-files", "0", "-i", "0@nothing", "tools.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "kulvert switch: port 0: cannot open nothing_in.pcap: No such file or directory\n"


def test_shims_spare_what_is_not_theirs(tmp_path: Path) -> None:
    (tmp_path / "simple_switch").write_text("somebody's\n")
    with pytest.raises(ShimError, match="is not ours"):
        write_shims(tmp_path)
    assert (tmp_path / "simple_switch").read_text() == "somebody's\n"
    assert not (tmp_path / "p4c-bm2-ss").exists()


def test_pcap_in_pieces_in_either_order_and_precision() -> None:
    little = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    record = bytes.fromhex("01000000020000000300000003000000") + b"abc"
    parser = PcapParser("x")
    found = [packet for byte in little + record for packet in parser.feed(bytes([byte]))]
    assert found == [(1_000_002_000, b"abc")]
    parser.end()
    big = bytes.fromhex("a1b23c4d000200040000000000000000ffffffff00000001")
    assert PcapParser("x").feed(big + bytes.fromhex("00000001000000020000000100000001") + b"z") == [
        (1_000_000_002, b"z")
    ]
    for data, words in ((b"x" * 24, "not a pcap"), (little[:20] + b"\x69" + bytes(3), "link type 105")):
        with pytest.raises(PcapError, match=words):
            PcapParser("x").feed(data)
    with pytest.raises(PcapError, match="incompletely"):
        PcapParser("x").feed(little + bytes.fromhex("01000000020000000300000004000000"))
    cut = PcapParser("x")
    cut.feed(little + record[:-1])
    with pytest.raises(PcapError, match="within a packet"):
        cut.end()
