"""The reference: a program through p4c-bm2-ss and simple_switch, where both are on the PATH."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.ports import free_port

TOOLS = ("p4c-bm2-ss", "simple_switch")
SECONDS = 300


class ReferenceRefusedError(Exception):
    """p4c does not compile the program; the message is p4c's."""


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def compile_with_p4c(source: str, directory: Path, includes: Sequence[Path] = ()) -> Path:
    """The BMv2 JSON of p4c.

    Args:
        includes: folders that the source includes from.

    Raises:
        ReferenceRefusedError: p4c reports an error.
    """
    program, out = directory / "reference.p4", directory / "reference.json"
    program.write_text(source, encoding="utf-8")
    run = subprocess.run(
        [TOOLS[0], "--arch", "v1model", *(f"-I{folder}" for folder in includes), "-o", str(out), str(program)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if run.returncode:
        raise ReferenceRefusedError(run.stderr)
    return out


def run_packets(document: Path, packets: list[bytes], directory: Path) -> list[bytes]:
    """What simple_switch sends on port 0 for packets that it gets there, in order."""
    source, sink = directory / "pcap0_in.pcap", directory / "pcap0_out.pcap"
    sink.unlink(missing_ok=True)
    source.write_bytes(_write_pcap(packets))
    port = free_port()
    command = [TOOLS[1], "-i", "0@pcap0", "--use-files", "0", "--thrift-port", str(port)]
    command += ["--device-id", str(port), str(document)]
    switch = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 100
        while len(_read_pcap(sink)) < len(packets) and time.monotonic() < deadline and switch.poll() is None:
            time.sleep(0.05)
        if switch.poll():
            assert switch.stdout is not None
            raise RuntimeError(f"{TOOLS[1]}: {switch.stdout.read().decode(errors='replace')}")
        return _read_pcap(sink)
    finally:
        switch.kill()
        switch.wait()


def _write_pcap(packets: list[bytes]) -> bytes:
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for number, packet in enumerate(packets):
        out += struct.pack("<IIII", 0, 1000 * number, len(packet), len(packet)) + packet
    return out


def _read_pcap(path: Path) -> list[bytes]:
    """The whole packets that the file holds so far."""
    data = path.read_bytes() if path.exists() else b""
    packets = []
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        if at + 16 + length > len(data):
            break
        packets.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return packets
