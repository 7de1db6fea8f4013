"""The data plane by itself: packets a second over veth and in memory, TCP of real stacks, the cost of large tables, the start.

    python -m bench.dataplane

Measures the native switch beside plain AF_PACKET (forward.c), the kernel's bridge, and BMv2 if it is on the PATH, in namespaces of its
own. Prints a JSON document.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.start import Start, Wires, measure_start
from bench.start import render as render_starts
from bench.throughput import build_c
from kulvert.build import build
from kulvert.failures import UserError, run_guarded
from kulvert.lab.agent import internet_checksum
from kulvert.lab.sandbox import run_in_sandbox
from p4switch.dataplane import Action, Match
from p4switch.native import NativeDataplane

FOLDER = Path(__file__).resolve().parent
BMV2 = "simple_switch_grpc"
PLAIN = "AF_PACKET, no processing"
RATES = (20_000, 30_000, 60_000, 0)
"""Packets a second offered, one after the other; 0 is as fast as the sender goes. The best figure counts."""
REPEATS = 3
FLOWS = 64
SECONDS = 1.5
TCP_SECONDS = 5
MEMORY_ROUNDS = 3_000_000
FEW, MANY = 1_000, 1_000_000


class Wire(msgspec.Struct, frozen=True):
    """Packets a second of the five-tuple program over veth; of each repetition the best rate."""

    name: str
    rates: tuple[float, ...]


class Tcp(msgspec.Struct, frozen=True):
    """Gigabits a second of one TCP connection."""

    name: str
    gigabits: float


class Tables(msgspec.Struct, frozen=True):
    """An exact table of 13-byte keys: nanoseconds a packet with FEW and with MANY entries, and the latter's memory in MB."""

    few_ns: float
    many_ns: float
    megabytes: float


class Ternary(msgspec.Struct, frozen=True):
    """Nanoseconds a packet whose 128-bit key hits a ternary table with so many entries, under so many distinct masks.

    Attributes:
        kind: "random" masks have each bit with a chance of one half; "flows" are pairs of prefixes, a protocol and a port.
    """

    kind: str
    masks: int
    entries: int
    ns: float


class Results(msgspec.Struct, frozen=True):
    """Everything. `memory` is packets a second with no I/O, on one core."""

    wires: tuple[Wire, ...]
    tcp: tuple[Tcp, ...]
    starts: tuple[Start, ...]
    memory: float
    tables: Tables
    ternary: tuple[Ternary, ...]


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def compile_program(name: str, folder: Path) -> Path:
    """The BMv2 JSON of bench/NAME.p4."""
    output = folder / f"{name}.json"
    info = folder / f"{name}.p4info.txtpb"
    command = [sys.executable, "-m", "kulvert", "compile", "--arch", "v1model", "-o", str(output)]
    subprocess.run([*command, "--p4runtime-files", str(info), str(FOLDER / f"{name}.p4")], check=True, timeout=120)
    return output


def udp_frame(source_port: int) -> bytes:
    """60 bytes that the five-tuple program translates and forwards to port 1."""
    address = socket.inet_aton
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 46, 0, 0x4000, 64, 17, 0, address("10.9.0.1"), address("10.1.0.1"))
    head = head[:10] + struct.pack(">H", internet_checksum(head)) + head[12:]
    macs = bytes.fromhex("020000000001020000000002")
    return macs + b"\x08\0" + head + struct.pack(">HHHH", source_port, 80, 26, 0) + bytes(18)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def forwarding(command: Sequence[str], ports: Sequence[int]) -> Iterator[None]:
    """A switch or its stand-in; it is ready when it listens on `ports`."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            for port in ports:
                while time.monotonic() < until and process.poll() is None:
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    time.sleep(0.05)
            time.sleep(0.5)
            if process.poll() is not None:
                raise UserError(f"{command[0]} ended with status {process.returncode}")
            yield
        finally:
            process.kill()


def switches(program: Path) -> dict[str, tuple[list[str], list[int]]]:
    """Command and port of each switch on sw0 and sw1."""
    found = {}
    port = free_port()
    native = [sys.executable, "-m", "kulvert", "switch", "-i", "0@sw0", "-i", "1@sw1", str(program)]
    found["kulvert switch"] = ([*native, "--grpc-server-addr", f"127.0.0.1:{port}"], [port])
    bmv2 = shutil.which(BMV2)
    if bmv2 is not None:
        port, thrift = free_port(), free_port()
        command = [bmv2, "-i", "0@sw0", "-i", "1@sw1", "-L", "off", "--thrift-port", str(thrift), str(program)]
        found[BMV2] = ([*command, "--", "--grpc-server-addr", f"127.0.0.1:{port}"], [port])
    return found


def make_wires(spaces: Sequence[str] = ("", ""), prefix: str = "") -> None:
    """e0-sw0 and e1-sw1, the outer ends in `spaces` if they are named. All names begin with `prefix`."""
    for number, space in enumerate(spaces):
        outside, inside = f"{prefix}e{number}", f"{prefix}sw{number}"
        peer = ["peer", "name", outside]
        if space:
            ip("netns", "add", space)
            peer += ["netns", space]
        ip("link", "add", inside, "type", "veth", *peer)
        ip("link", "set", inside, "up")
        ip(*(["-n", space] if space else []), "link", "set", outside, "up")


def arrivals() -> int:
    """Packets that came to e1."""
    return int(Path("/proc/thread-self/net/dev").read_text().partition(" e1:")[2].split()[1])


def best_rate(load: Path) -> float:
    """Packets a second that arrive, at the best of the rates offered."""
    frame = udp_frame(0).hex()
    rates = []
    for rate in RATES:
        for seconds in (0.3, SECONDS):
            before = arrivals()
            command = [str(load), "e0", str(seconds), str(rate), str(FLOWS), frame]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
            found = arrivals() - before
        rates.append(found / SECONDS)
    return max(rates)


def measure_wires(folder: Path) -> tuple[Wire, ...]:
    """Turn and turn about, so that what else the machine does meets all of them."""
    for family in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{family}/disable_ipv6").write_text("1")
    make_wires()
    load, forward = build_c(FOLDER / "load.c", folder), build_c(FOLDER / "forward.c", folder)
    commands: dict[str, tuple[list[str], list[int]]] = {PLAIN: ([str(forward), "sw0", "sw1"], [])}
    commands |= switches(compile_program("five_tuple", folder))
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, (command, ports) in commands.items():
            print(f"- packets over veth: {name}", file=sys.stderr)
            with forwarding(command, ports):
                rates[name].append(best_rate(load))
    return tuple(Wire(name, tuple(found)) for name, found in rates.items())


def set_offloads(state: str) -> None:
    """Of the stacks' ends: checksums and segmentation."""
    for number, space in enumerate(("left", "right")):
        command = ["ip", "netns", "exec", space, "ethtool", "-K", f"e{number}", "tx", state, "tso", state]
        subprocess.run(command, check=True, capture_output=True)


def measure_tcp(folder: Path) -> tuple[Tcp, ...]:
    """iperf3, one connection, between two namespaces."""
    iperf = shutil.which("iperf3")
    if iperf is None:
        return ()
    for number in (0, 1):
        ip("link", "del", f"sw{number}")
    make_wires(("left", "right"))
    for number, space in enumerate(("left", "right")):
        ip("-n", space, "addr", "add", f"10.78.0.{number + 1}/24", "dev", f"e{number}")

    def run() -> float:
        inside = ["ip", "netns", "exec"]
        with subprocess.Popen([*inside, "right", iperf, "-s", "-1"], stdout=subprocess.DEVNULL) as server:
            try:
                time.sleep(1)
                command = [*inside, "left", iperf, "-c", "10.78.0.2", "-t", str(TCP_SECONDS), "-J"]
                found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            finally:
                server.kill()
        return float(json.loads(found.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9

    results = []
    for name, (command, ports) in switches(compile_program("cross", folder)).items():
        print(f"- TCP: {name}", file=sys.stderr)
        if name != BMV2:
            with forwarding(command, ports):
                results.append(Tcp(name, run()))
        elif shutil.which("ethtool") is not None:
            set_offloads("off")  # it passes on what it reads, which no stack takes unless it is finished
            with forwarding(command, ports):
                results.append(Tcp(f"{name}, offloads off", run()))
            set_offloads("on")
    print("- TCP: the kernel's bridge", file=sys.stderr)
    ip("link", "add", "bridge", "type", "bridge")
    ip("link", "set", "bridge", "up")
    for number in (0, 1):
        ip("link", "set", f"sw{number}", "master", "bridge")
    time.sleep(0.5)
    results.append(Tcp("the kernel's bridge", run()))
    return tuple(results)


def measure_starts(five_tuple: Path, folder: Path) -> tuple[Start, ...]:
    """The five-tuple program, which forwards at once, and the node pipeline, which has nobody to forward to yet."""
    make_wires(prefix="st")
    wires = Wires(("stsw0", "stsw1"), ("ste0", "ste1"), udp_frame(20_000))
    node = build("native", folder / "node", "kulvert").bmv2_json
    return (
        measure_start(five_tuple, "five_tuple", folder, wires),
        measure_start(node, "node pipeline", folder, None),
    )


def fastest(dataplane: NativeDataplane, frames: Sequence[tuple[int, bytes]]) -> float:
    """Packets a second: the best of a few runs."""
    return max(dataplane.bench(frames, MEMORY_ROUNDS)[0] for _ in range(REPEATS))


def measure_memory(program: Path) -> float:
    """The five-tuple program without I/O."""
    dataplane = NativeDataplane()
    try:
        dataplane.load(program.read_bytes())
        return fastest(dataplane, [(0, udp_frame(20_000 + flow)) for flow in range(FLOWS)])
    finally:
        dataplane.close()


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_tables(program: Path) -> Tables:
    """Packets with random keys that are in the table."""
    rng = random.Random(1)
    keys = [rng.randbytes(13) for _ in range(MANY)]
    found, megabytes = [], 0.0
    for count in (FEW, MANY):
        dataplane = NativeDataplane()
        try:
            dataplane.load(program.read_bytes())
            before = _resident()
            for key in keys[:count]:
                dataplane.insert_entry("ingress.flows", Match(key), Action("ingress.forward", b"\0\1"))
            megabytes = _resident() - before
            chosen = rng.choices(keys[:count], k=200_000)
            head = bytes(12) + b"\x08\0" + bytes(9)
            frames = [(0, head + key[8:9] + bytes(2) + key[:8] + key[9:] + bytes(22)) for key in chosen]
            found.append(1e9 / fastest(dataplane, frames))
        finally:
            dataplane.close()
    return Tables(found[0], found[1], megabytes)


def _mask(kind: str, rng: random.Random) -> int:
    if kind == "random":
        return rng.getrandbits(128)
    ones = (1 << 32) - 1
    source, target = (ones ^ ones >> rng.randrange(8, 33) for _ in range(2))
    return source << 96 | target << 64 | rng.choice((0, 0xFFFF, 0xFFFF0000, ones)) << 32 | rng.choice((0, 0xFF))


def _key(kind: str, rng: random.Random) -> int:
    """Random, or with addresses that begin with one of a few pairs of bytes."""
    key = rng.getrandbits(128)
    if kind == "flows":
        source, target = rng.choice((0x0A00, 0x0A01, 0xC0A8)), rng.choice((0x0A00, 0x0A01, 0xAC10))
        key = key & ~(0xFFFF << 112 | 0xFFFF << 80) | source << 112 | target << 80
    return key


def measure_ternary(program: Path) -> tuple[Ternary, ...]:
    """Packets that hit entries of random priorities."""
    config, found = program.read_bytes(), []
    for kind in ("random", "flows"):
        for masks, entries in ((10, 10), (100, 100), (1_000, 1_000), (100, 10_000), (1_000, 10_000)):
            rng = random.Random(masks + entries)
            chosen: set[int] = set()
            while len(chosen) < masks:
                chosen.add(_mask(kind, rng))
            dataplane = NativeDataplane()
            try:
                dataplane.load(config)
                keys = []
                for number, mask in enumerate(sorted(chosen) * (entries // masks)):
                    value = _key(kind, rng) & mask
                    match = Match(value.to_bytes(16, "big"), mask.to_bytes(16, "big"), 1 + number * 7919 % entries)
                    dataplane.insert_entry("ingress.rules", match, Action("ingress.forward", b"\0\1"))
                    keys.append(value | _key(kind, rng) & ~mask)
                frames = [(0, key.to_bytes(16, "big") + bytes(44)) for key in rng.choices(keys, k=20_000)]
                runs = [dataplane.bench(frames, 10 * len(frames))[0] for _ in range(REPEATS)]
            finally:
                dataplane.close()
            found.append(Ternary(kind, masks, entries, 1e9 / max(runs)))
    return tuple(found)


def measure(folder: Path) -> Results:
    """Everything, inside a sandbox."""
    ip("link", "set", "lo", "up")
    wires = measure_wires(folder)
    tcp = measure_tcp(folder)
    print("- start", file=sys.stderr)
    five = folder / "five_tuple.json"
    starts = measure_starts(five, folder)
    print("- in memory", file=sys.stderr)
    memory = measure_memory(five)
    return Results(
        wires,
        tcp,
        starts,
        memory,
        measure_tables(compile_program("exact", folder)),
        measure_ternary(compile_program("ternary", folder)),
    )


def render(found: Results) -> str:
    """The tables of the data plane."""
    median = {wire.name: sorted(wire.rates)[len(wire.rates) // 2] for wire in found.wires}
    plain, native = median[PLAIN], median["kulvert switch"]
    lines = [
        "## The data plane",
        "",
        f"`bench/five_tuple.p4` over veth, UDP in frames of 60 bytes, {FLOWS} flows; sender, switch and receiver share the machine; the best of "
        f"several loads, {REPEATS} times turn and turn about.",
        "",
        "| what | median packets/s | all |",
        "|---|---|---|",
    ]
    lines += [
        f"| {wire.name} | {median[wire.name]:,.0f} | {', '.join(f'{rate:,.0f}' for rate in wire.rates)} |"
        for wire in found.wires
    ]
    lines += ["", f"The switch does {native / plain:.0%} of AF_PACKET without processing."]
    lines[-1] += (
        f" It does {native / median[BMV2]:.1f} times what {BMV2} does."
        if BMV2 in median
        else f" {BMV2} was not on the PATH."
    )
    lines += [
        "",
        f"TCP between two Linux stacks, one connection, {TCP_SECONDS} s:",
        "",
        "| through | Gb/s |",
        "|---|---|",
    ]
    lines += [f"| {item.name} | {item.gigabits:.1f} |" for item in found.tcp]
    if not found.tcp:
        lines += ["", "iperf3 was not on the PATH."]
    elif not any(item.name.startswith(BMV2) for item in found.tcp):
        lines += ["", f"Not measured: {BMV2}, which takes it and ethtool on the PATH."]
    lines += [
        "",
        *render_starts(found.starts),
    ]
    tables = found.tables
    lines += [
        "",
        f"In memory, one core, no I/O: {found.memory / 1e6:.1f} million packets/s of the same program. A packet that looks one 13-byte key up takes "
        f"{tables.few_ns:.0f} ns with {FEW:,} entries and {tables.many_ns:.0f} ns with {MANY:,} ({tables.many_ns / tables.few_ns:.1f} times), "
        f"which take {tables.megabytes:.0f} MB.",
        "",
        "A packet that hits a ternary table with a key of 128 bits, its entries under so many distinct masks; random masks, or pairs of prefixes with a "
        "protocol and a port:",
        "",
        "| masks | entries | random | flows |",
        "|---|---|---|---|",
    ]
    for item in found.ternary:
        if item.kind == "random":
            other = next(
                t for t in found.ternary if t.kind == "flows" and (t.masks, t.entries) == (item.masks, item.entries)
            )
            lines.append(f"| {item.masks:,} | {item.entries:,} | {item.ns:.0f} ns | {other.ns:.0f} ns |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print JSON."""
    with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:

        def inside() -> int:
            print(msgspec.json.encode(measure(Path(scratch))).decode())
            return 0

        return run_in_sandbox(inside, name="bench.dataplane")


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="bench.dataplane"))
