"""The node pipeline in memory, on one core and without I/O: packets of established connections, and new connections.

    python -m bench.node_memory

The sizes of `targets/native.toml` and the entries that the controller writes for the lab's manifests. Prints a JSON document.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from controlplane.addresses import parse_address
from controlplane.app import Controller, ControllerOptions
from kulvert.build import build
from kulvert.failures import UserError, run_guarded
from kulvert.inspection.packets import first_packet
from kulvert.lab.attachments import write_attachments
from kulvert.lab.demo import MANIFESTS
from kulvert.lab.inventory import LabPod, read_inventory
from kulvert.targets import load_target
from p4switch.native import NativeDataplane
from p4switch.service.core import Device
from p4switch.service.server import P4RuntimeServer

GATEWAY = 0x0200A9FE0101
FEW, MANY = 1, 1_000
CONNECTIONS = 100_000
"""New ones in a row, from one pod; the limits are raised to let them pass."""
ROUNDS = 2_000_000
REPEATS = 3


class NodeMemory(msgspec.Struct, frozen=True):
    """Packets a second of the packet thread's CPU time, the best of REPEATS: of FEW and of MANY connections, and all of them new."""

    few: float
    many: float
    new: float


def flows(source: LabPod, destination: LabPod, count: int, service: int) -> list[tuple[int, bytes]]:
    """First UDP packets of `count` connections to ports from `service` on, with the port they come from."""
    macs = (int(source.mac.replace(":", ""), 16), GATEWAY)
    addresses = (parse_address(str(source.address(4))), parse_address(str(destination.address(4))))
    ports = [(1024 + flow % 60_000, service + flow // 60_000) for flow in range(count)]
    return [(source.port, first_packet(macs, addresses, "udp", pair)) for pair in ports]


def forward(dataplane: NativeDataplane, frames: Sequence[tuple[int, bytes]], rounds: int) -> float:
    """Packets a second. Raises UserError: not all of them left."""
    rate, sent = dataplane.bench(frames, rounds)
    if sent != rounds:
        raise UserError(f"of {rounds:,} packets {sent:,} left the node pipeline")
    return rate


def measure(folder: Path) -> NodeMemory:
    """On a data plane in this process, programmed over P4Runtime."""
    native = load_target("native")
    target = replace(native, connections=replace(native.connections, set_bits=20, unanswered_limit=4 * CONNECTIONS))
    built = build(target, folder / "pipeline", "kulvert")
    inventory = read_inventory(MANIFESTS)
    write_attachments(inventory, folder / "attachments.yaml")
    dataplane = NativeDataplane(cpu_port=target.ports.cpu)
    server = P4RuntimeServer(Device(0, dataplane), "127.0.0.1:0")
    try:
        server.start()
        options = ControllerOptions(
            inventory.node.name,
            built.p4info,
            built.bmv2_json,
            manifests=MANIFESTS,
            attachments=folder / "attachments.yaml",
            switch_address=f"127.0.0.1:{server.port}",
            once=True,
        )

        async def program() -> int:
            return await Controller(options).run(asyncio.Event())

        if asyncio.run(program()):
            raise UserError("the controller could not program the switch")
        source, destination = inventory.pods_of("visitor")[0], inventory.pods_of("dashboard")[0]
        few, many = (flows(source, destination, count, 7000) for count in (FEW, MANY))
        forward(dataplane, many, len(many))
        rates = [(forward(dataplane, few, ROUNDS), forward(dataplane, many, ROUNDS)) for _ in range(REPEATS)]
        new = []
        for number in range(REPEATS):
            frames = flows(source, destination, CONNECTIONS, 8000 + 100 * number)
            new.append(forward(dataplane, frames, len(frames)))
    finally:
        server.stop(0)
        dataplane.close()
    return NodeMemory(max(rate for rate, _ in rates), max(rate for _, rate in rates), max(new))


def render(found: NodeMemory) -> str:
    """The section of the node pipeline in memory."""
    rows = (
        (f"established, {FEW} connection", found.few),
        (f"established, {MANY:,} connections", found.many),
        (f"new, {CONNECTIONS:,} connections one after the other", found.new),
    )
    lines = [
        "## The node pipeline in memory",
        "",
        "First packets of UDP from pod to pod, the sizes of `targets/native.toml` with connections for this many, entries as the controller "
        "writes them; no I/O, one core, by the packet thread's CPU time.",
        "",
        "| connections | million packets/s |",
        "|---|---|",
    ]
    return "\n".join(lines + [f"| {what} | {rate / 1e6:.2f} |" for what, rate in rows])


def main() -> int:
    """Measure, print JSON."""
    with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:
        print(msgspec.json.encode(measure(Path(scratch))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="bench.node_memory"))
