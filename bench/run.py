"""Measure everything, beside p4c and BMv2 where they are on the PATH, and write bench/RESULTS.md.

python -m bench.run [--only compile|packets|dataplane|writes|control] [--output FILE]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from bench.compile_time import RUNS, CompileTime, measure_compilers, measure_samples
from bench.control_plane import CASES, STEADY_SECONDS
from bench.control_plane import measure as measure_control
from bench.control_plane import render as render_control
from bench.dataplane import Results as Dataplane
from bench.dataplane import render as render_dataplane
from bench.node_memory import NodeMemory
from bench.node_memory import render as render_node
from bench.p4runtime_writes import BATCH, WriteRate
from bench.p4runtime_writes import FLOWS as FLOW_ENTRIES
from bench.p4runtime_writes import measure as measure_writes
from bench.throughput import FLOWS, FRAME_LENGTH, Throughput
from kulvert.build import P4C, BuildError, build
from kulvert.failures import UserError, report, run_guarded
from kulvert.targets import load_target

R = TypeVar("R")
RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
BMV2 = "simple_switch_grpc"

WRITTEN_ENTRIES = 30_000

TARGET = "bmv2"
"""The target whose sizes are used throughout, so that one and the same artifact runs on both switches."""


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", choices=("compile", "packets", "dataplane", "writes", "control"), help="measure only this"
    )
    parser.add_argument(
        "--steady-seconds",
        type=float,
        default=STEADY_SECONDS,
        help="how long the controller is given 20 changes a second",
    )
    parser.add_argument(
        "--p4c-source",
        type=Path,
        default=os.environ.get("P4C_SOURCE"),
        help="a checkout of p4c, whose samples are compiled too",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: bench/RESULTS.md")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    sections = [describe_machine()]
    try:
        with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:
            if arguments.only in (None, "compile"):
                console.print("compile time")
                sections.append(render_compilers(measure_compilers(TARGET, Path(scratch))))
                if arguments.p4c_source is not None:
                    sections.append(render_samples(measure_samples(Path(arguments.p4c_source), Path(scratch))))
                else:
                    console.print("p4c's samples are not compiled: no --p4c-source")
            if arguments.only in (None, "packets"):
                sections.append(render_switches(measure_switches(Path(scratch), console)))
            if arguments.only in (None, "dataplane"):
                console.print("the data plane")
                sections.append(render_dataplane(run_apart("bench.dataplane", Dataplane)))
                console.print("the node pipeline in memory")
                sections.append(render_node(run_apart("bench.node_memory", NodeMemory)))
            if arguments.only in (None, "writes"):
                console.print("P4Runtime writes and reads")
                sections.append(render_writes(measure_writes(WRITTEN_ENTRIES)))
            if arguments.only in (None, "control"):
                console.print("the controller")
                sections.append(render_control([measure_control(case, arguments.steady_seconds) for case in CASES]))
    except BuildError as error:
        report(error.diagnostics)
        raise UserError(str(error)) from error
    text = "\n\n".join(["# Results", *sections]) + "\n"
    arguments.output.write_text(text, encoding="utf-8")
    console.print(text, markup=False)
    console.print(f"wrote {arguments.output}", markup=False)
    return 0


def measure_switches(folder: Path, console: Console) -> list[Throughput]:
    """Each switch on the same artifact, one after the other."""
    pipeline = build(TARGET, folder / "pipeline", "kulvert")
    switches = ["native"]
    bmv2 = shutil.which(BMV2)
    if bmv2 is not None:
        switches.append(bmv2)
    found = []
    for switch in switches:
        console.print(f"packets a second: {Path(switch).name}")
        command = [sys.executable, "-m", "bench.throughput", "--switch", switch, "--json", str(pipeline.bmv2_json)]
        command += ["--p4info", str(pipeline.p4info), "--cpu-port", str(load_target(TARGET).ports.cpu)]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
        if run.returncode:
            raise UserError(f"measuring {switch} failed")
        found.append(msgspec.json.decode(run.stdout, type=Throughput))
    return found


def run_apart(module: str, result: type[R]) -> R:
    """What a module of the bench prints, in a process of its own: a sandbox begins in one with a single thread.

    Raises:
        UserError: it failed; it has said why.
    """
    run = subprocess.run([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True, timeout=900, check=False)
    if run.returncode:
        raise UserError(f"{module} failed")
    return msgspec.json.decode(run.stdout, type=result)


def describe_machine() -> str:
    """When, on what kind of machine, and with what."""
    kernel = ".".join(platform.release().split(".")[:2])
    versions = [f"Linux {kernel}", f"Python {platform.python_version()}"]
    for command, arguments in (("cc", ["--version"]), (P4C, ["--version"]), (BMV2, ["--version"])):
        path = shutil.which(command)
        if path is None:
            versions.append(f"no {command} on the PATH")
            continue
        run = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=30, check=False)
        version = re.search(r"\d+(\.\d+)+", run.stdout + run.stderr)
        versions.append(f"{command} {version.group() if version else '(version unknown)'}")
    cores = len(os.sched_getaffinity(0))
    date = datetime.date.today().isoformat()
    return f"{date}; a virtual machine or computer with {cores} cores, {platform.machine()}; {'; '.join(versions)}."


def render_compilers(found: list[CompileTime]) -> str:
    """The table of compile times."""
    lines = [
        "## Compile time",
        "",
        f"The node pipeline (`p4src/programs/node_v1model.p4`, sizes of `targets/{TARGET}.toml`) to BMv2 JSON and P4Info; whole "
        f"processes, cold, turn and turn about, {RUNS} runs each.",
        "",
        "| compiler | median s | fastest | slowest | memory MB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {item.compiler} | {item.median:.2f} | {min(item.seconds):.2f} | {max(item.seconds):.2f} | {item.megabytes:.0f} |"
        for item in found
    ]
    medians = {item.compiler: item.median for item in found}
    if "p4c" in medians:
        lines += ["", f"Kulvert takes {medians['kulvert'] / medians['p4c']:.2f} times p4c's time."]
    else:
        lines += ["", "p4c-bm2-ss was not on the PATH."]
    return "\n".join(lines)


def render_samples(found: dict[str, list[CompileTime]]) -> str:
    """The table of p4c's samples."""
    lines = ["| p4c's sample | Kulvert s | MB | p4c s | MB | ratio |", "|---|---|---|---|---|---|"]
    for name, items in found.items():
        by_name = {item.compiler: item for item in items}
        ours, theirs = by_name["kulvert"], by_name.get("p4c")
        beside = "— | — | —"
        if theirs is not None:
            beside = f"{theirs.median:.2f} | {theirs.megabytes:.0f} | {ours.median / theirs.median:.2f}"
        lines.append(f"| {name} | {ours.median:.2f} | {ours.megabytes:.0f} | {beside} |")
    return "\n".join(lines)


def render_switches(found: list[Throughput]) -> str:
    """The table of packet rates."""
    lines = [
        "## Packets a second",
        "",
        f"UDP in frames of {FRAME_LENGTH} bytes, {FLOWS} established flows from pod to pod over veth, through the whole node pipeline "
        "(anti-spoofing, connection tracking, policy tables, routing), as compiled by Kulvert; the same artifact, wires, entries and "
        "sender. The sender shares the machine with the switch. Packets that arrived, a second, by packets offered:",
        "",
    ]
    rates = list(dict.fromkeys(step.offered for item in found for step in item.steps))
    heads = [f"{rate / 1000:.0f}k" if rate else "all it can" for rate in rates]
    lines.append(f"| switch | best | {' | '.join(heads)} |")
    lines.append("|---" * (len(rates) + 2) + "|")
    for item in found:
        arrived = {step.offered: f"{step.arrived:,.0f}" for step in item.steps}
        cells = [arrived.get(rate, "") for rate in rates]
        lines.append(f"| {item.switch} | **{item.best:,.0f}** | {' | '.join(cells)} |")
    best = {item.switch: item.best for item in found}
    if best.get(BMV2):
        lines += ["", f"The native switch forwards {best['native'] / best[BMV2]:.1f} times what {BMV2} does."]
    else:
        lines += ["", f"{BMV2} was not on the PATH."]
    return "\n".join(lines)


def render_writes(found: list[WriteRate]) -> str:
    """The table of P4Runtime writes and reads."""
    lines = [
        "## P4Runtime",
        "",
        f"{WRITTEN_ENTRIES:,} entries of `bench/tables.p4` written in batches of {BATCH:,}, one Write at a time, then read back by one "
        f"wildcard; entries a second. Then what {FLOW_ENTRIES:,} entries of a 13-byte key add to the process's memory, in MB.",
        "",
        "| switch | exact, inserts | exact, reads | LPM, inserts | LPM, reads | memory |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rate.switch} | {rate.exact_inserts:,.0f} | {rate.exact_reads:,.0f} | {rate.lpm_inserts:,.0f} | {rate.lpm_reads:,.0f} "
        f"| {rate.flow_megabytes:,.0f} |"
        for rate in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="bench"))
