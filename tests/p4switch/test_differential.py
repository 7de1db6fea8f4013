"""The same random packets through BMv2's simple_switch and the native data plane: the same packets come out, port by port."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compiled
from tests.p4switch.test_native_packets import command, ether, ipv4, order
from tests.ports import free_port

RUNS, FRAMES = 5, 60  # more at once overflow the queue of 64 in front of an egress port of BMv2
PORTS = range(4)
WAIT_S = 1

_FILE_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def write_pcap(path: Path, frames: list[bytes], apart_us: int = 1) -> None:
    """At most a second of frames."""
    heads = (struct.pack("<IIII", 0, number * apart_us, len(frame), len(frame)) for number, frame in enumerate(frames))
    records = (head + frame for head, frame in zip(heads, frames, strict=True))
    path.write_bytes(_FILE_HEAD + b"".join(records))


def read_pcap(path: Path) -> list[bytes]:
    content, frames = path.read_bytes() if path.exists() else b"", []
    at = len(_FILE_HEAD)
    while at + 16 <= len(content):
        size = struct.unpack_from("<I", content, at + 8)[0]
        if at + 16 + size > len(content):
            break  # still being written
        frames.append(content[at + 16 : at + 16 + size])
        at += 16 + size
    return frames


def random_frames(rng: random.Random) -> list[bytes]:
    """Frames that the program understands, and what is left of them after a few changes."""
    frames = []
    for _ in range(FRAMES):
        kind = rng.randrange(4)
        if kind == 0:
            what = rng.choice((0, 1, 4, 5, 8, 9, 10))
            argument = rng.randrange(4 if what == 8 else 60)  # an index out of range may end simple_switch
            frame = order(what, argument, rng.randbytes(rng.randrange(60)))
        elif kind == 1:
            options = rng.randbytes(4 * rng.randrange(11))
            payload = command(rng.randrange(2)) + rng.randbytes(20)
            frame = ether(0x800, ipv4(options=options, ttl=rng.randrange(256), good=rng.random() < 0.7) + payload)
        elif kind == 2:
            tags = b"".join((rng.getrandbits(15) << 1).to_bytes(2, "big") for _ in range(rng.randrange(3)))
            frame = ether(0x9100, tags + b"\0\x0d" + command(rng.choice((0, 6, 7))) + rng.randbytes(30))
        else:
            frame = ether(rng.getrandbits(16), rng.randbytes(rng.randrange(46, 1400)))
        changed = bytearray(frame)
        for _ in range(rng.choice((0, 0, 1, 2)) if len(changed) > 18 else 0):
            changed[rng.randrange(18, len(changed))] = rng.getrandbits(8)
        frames.append(bytes(changed))
    return frames


def through_bmv2(switch: str, folder: Path, frames: list[bytes]) -> dict[int, list[bytes]]:
    (folder / "program.json").write_bytes(compiled("packets"))
    for port in PORTS:
        write_pcap(folder / f"port{port}_in.pcap", frames if port == 0 else [])
    thrift = free_port()
    interfaces = [word for port in PORTS for word in ("-i", f"{port}@port{port}")]
    arguments = ["--use-files", str(WAIT_S), "--thrift-port", str(thrift), "--device-id", str(thrift)]
    process = subprocess.Popen(
        [switch, *interfaces, *arguments, "program.json"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until, before, steady = time.monotonic() + 30, -1, 0
        while time.monotonic() < until and steady < 4 and process.poll() is None:
            time.sleep(0.5)
            count = sum(len(read_pcap(folder / f"port{port}_out.pcap")) for port in PORTS)
            steady = steady + 1 if count == before and count > 0 else 0
            before = count
        assert process.poll() is None, "simple_switch ended"
    finally:
        process.terminate()
        process.wait(10)
    return {port: read_pcap(folder / f"port{port}_out.pcap") for port in PORTS}


def test_random_packets_come_out_as_from_bmv2(tmp_path: Path) -> None:
    switch = shutil.which("simple_switch")
    if switch is None:
        pytest.skip("simple_switch is not on the PATH")
    rng = random.Random(7)
    runs = [random_frames(rng) for _ in range(RUNS)]
    folders = [tmp_path / str(number) for number in range(RUNS)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(RUNS) as pool:
        references = list(pool.map(lambda folder, frames: through_bmv2(switch, folder, frames), folders, runs))
    dataplane = NativeDataplane()
    try:
        for frames, reference in zip(runs, references, strict=True):
            dataplane.load(compiled("packets"))
            native: dict[int, list[bytes]] = {port: [] for port in PORTS}
            for frame in frames:
                for port, out in dataplane.inject(0, frame):
                    native[port].append(out)
            assert sum(map(len, reference.values())) > FRAMES // 2
            for port in PORTS:
                # A packet that goes round again may be overtaken in BMv2, so that the order is not compared.
                assert Counter(native[port]) == Counter(reference[port]), f"port {port}"
    finally:
        dataplane.close()
