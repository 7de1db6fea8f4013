"""Packets a second through a switch: real veth wires, the node pipeline, entries written by the controller.

    python -m bench.throughput --switch native --json X.json --p4info X.p4info.txtpb --cpu-port 510

Brings the lab up with that switch, loads the wire of one pod with UDP of established flows to another pod, and counts what arrives
there. The load is raised step by step and the best figure counts, because a sender that is much too fast takes the
processor from the switch. Prints a JSON document.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec

from kulvert.failures import UserError, run_guarded
from kulvert.lab.agent import internet_checksum
from kulvert.lab.demo import MANIFESTS
from kulvert.lab.inventory import LabPod
from kulvert.lab.lab import Lab, LabOptions
from kulvert.lab.network import POD_INTERFACE
from kulvert.lab.sandbox import run_in_sandbox

GATEWAY_MAC = "02:00:a9:fe:01:01"
FLOWS = 64
FRAME_LENGTH = 60
RATES = (10_000, 15_000, 20_000, 30_000, 40_000, 80_000, 160_000, 320_000, 640_000, 0)
"""Packets a second offered, one after the other; 0 is as fast as the sender goes."""

_STEP_SECONDS = 3.0
_WARM_SECONDS = 1.0
_LOAD_SOURCE = Path(__file__).resolve().parent / "load.c"


class Step(msgspec.Struct, frozen=True):
    """One rate that was tried: packets a second offered (0: all that went), taken by the wire, and arrived."""

    offered: float
    taken: float
    arrived: float


class Throughput(msgspec.Struct, frozen=True):
    """What one switch does; `best` is the largest number of packets that arrived in a second."""

    switch: str
    best: float
    steps: tuple[Step, ...]


def build_c(source: Path, folder: Path) -> Path:
    """Compile one of the benchmark's C programs. Raises UserError."""
    program = folder / source.stem
    compilers = [[os.environ.get("CC", "cc")], ["gcc"], ["clang"], [sys.executable, "-m", "ziglang", "cc"]]
    for compiler in compilers:
        with contextlib.suppress(FileNotFoundError):
            command = [*compiler, "-O2", "-o", str(program), str(source)]
            run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if run.returncode == 0:
                return program
    raise UserError(f"{source.name} could not be compiled: no working C compiler")


def udp_frame(source: LabPod, destination: LabPod, port: int) -> bytes:
    """An Ethernet frame of FRAME_LENGTH bytes with IPv4 and UDP (checksum 0) from pod to pod, by way of the gateway."""
    payload = bytes(FRAME_LENGTH - 14 - 20 - 8)
    addresses = [ip_address(str(pod.address(4))).packed for pod in (source, destination)]
    udp = struct.pack("!HHHH", 0, port, 8 + len(payload), 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp) + len(payload), 0, 0x4000, 64, 17, 0, *addresses)
    checksum = struct.pack("!H", internet_checksum(header))
    macs = [bytes.fromhex(mac.replace(":", "")) for mac in (GATEWAY_MAC, source.mac)]
    return b"".join((*macs, b"\x08\x00", header[:10], checksum, header[12:], udp, payload))


def measure(lab: Lab, load: Path) -> list[Step]:
    """Load the wire at each rate."""
    source, destination = lab.inventory.pods_of("visitor")[0], lab.inventory.pods_of("dashboard")[0]
    _ignore_arrivals(lab, destination)
    frame = udp_frame(source, destination, 9999).hex()
    steps = []
    for rate in RATES:
        for seconds in (_WARM_SECONDS, _STEP_SECONDS):  # the first one opens the connections
            before, started = _received(lab, destination), time.monotonic()
            sent = _send(lab, source, [str(load), POD_INTERFACE, str(seconds), str(rate), str(FLOWS), frame])
            arrived, elapsed = _received(lab, destination) - before, time.monotonic() - started
        steps.append(Step(rate, sent / elapsed, arrived / elapsed))
        if len(steps) > 4 and steps[-1].arrived < steps[-1].taken * 0.5 and steps[-1].arrived < steps[-2].arrived:
            break  # overrun already; more load shows nothing new
        time.sleep(0.5)
    return steps


def _ignore_arrivals(lab: Lab, pod: LabPod) -> None:
    """Let the receiving stack drop what arrives at its door: with another MAC address, frames are not for it."""
    with lab.network.inside(lab.agent(pod).namespace) as links:
        links.link("set", index=links.link_lookup(ifname=POD_INTERFACE)[0], address="02:6b:76:ff:ff:ff")


def _received(lab: Lab, pod: LabPod) -> int:
    """Packets that the pod's interface has received (/proc/net/dev, second column)."""
    with lab.network.inside(lab.agent(pod).namespace):
        for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
            name, colon, figures = line.partition(":")
            if colon and name.strip() == POD_INTERFACE:
                return int(figures.split()[1])
    raise UserError(f"{pod.key} has no {POD_INTERFACE}")


def _send(lab: Lab, pod: LabPod, command: list[str]) -> int:
    """Run the sender in the pod's namespace; the number of frames its interface took."""
    with lab.network.inside(lab.agent(pod).namespace):  # a child is where the thread is that started it
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if run.returncode:
        raise UserError(run.stderr.strip())
    return int(run.stdout)


def main() -> int:
    """Measure one switch."""
    parser = argparse.ArgumentParser(prog="python -m bench.throughput", description=__doc__.partition("\n")[0])
    parser.add_argument("--switch", default="native", help="native, or the path of simple_switch_grpc")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--p4info", type=Path, required=True)
    parser.add_argument("--cpu-port", type=int, required=True)
    arguments = parser.parse_args()
    socket.setdefaulttimeout(30)

    with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:
        load = build_c(_LOAD_SOURCE, Path(scratch))
        options = LabOptions(
            manifests=MANIFESTS,
            bmv2_json=arguments.json.resolve(),
            p4info=arguments.p4info.resolve(),
            cpu_port=arguments.cpu_port,
            switch=arguments.switch,
        )

        def inside() -> int:
            with Lab(options, lambda what: print(f"- {what}", file=sys.stderr)) as lab:
                lab.start()
                steps = tuple(measure(lab, load))
            result = Throughput(Path(arguments.switch).name, max(step.arrived for step in steps), steps)
            print(msgspec.json.encode(result).decode())
            return 0

        return run_in_sandbox(inside, name="bench.throughput")


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="bench.throughput"))
