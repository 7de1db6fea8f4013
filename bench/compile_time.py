"""How long the compilers take for the node pipeline: whole processes, started cold, turn and turn about."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kulvert.build import P4C, build
from kulvert.resources import resource_dir
from kulvert.targets import load_target

RUNS = 7


class CompileTime(msgspec.Struct, frozen=True):
    """One compiler's runs: seconds of the whole process, and its largest resident memory in megabytes."""

    compiler: str
    seconds: tuple[float, ...]
    megabytes: float

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.seconds)


def measure_compilers(target: str, folder: Path) -> list[CompileTime]:
    """Compile `target`'s pipeline with Kulvert, and with p4c if it is on the PATH."""
    build(target, folder, "kulvert")  # leaves sizes.p4 there, and Python's byte code compiled
    program = resource_dir("p4src") / "programs" / load_target(target).program
    return _measure(program, [folder, resource_dir("p4src")], folder)


SAMPLES = (
    "basic_routing-bmv2.p4",
    "pins/pins_middleblock.p4",
    "omec/up4.p4",
    "dash/dash-pipeline-v1model-bmv2.p4",
    "fabric_20190420/fabric.p4",
)
"""One that everybody knows and the largest for v1model, in p4c's `testdata/p4_16_samples`."""


def measure_samples(p4c_source: Path, folder: Path) -> dict[str, list[CompileTime]]:
    """Compile p4c's own samples out of a checkout of p4c."""
    samples = p4c_source / "testdata" / "p4_16_samples"
    return {name: _measure(samples / name, [(samples / name).parent], folder) for name in SAMPLES}


def _measure(program: Path, include_dirs: Sequence[Path], folder: Path) -> list[CompileTime]:
    commands = {"kulvert": [sys.executable, "-m", "kulvert", "compile"]}
    p4c = shutil.which(P4C)
    if p4c is not None:
        commands["p4c"] = [p4c]
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            output = ["-o", str(folder / f"{name}.json"), "--p4runtime-files", str(folder / f"{name}.p4info.txtpb")]
            includes = [argument for path in include_dirs for argument in ("-I", str(path))]
            runs[name].append(_time([*command, "--arch", "v1model", *includes, *output, str(program)]))
    return [
        CompileTime(name, tuple(seconds for seconds, _ in found), max(megabytes for _, megabytes in found))
        for name, found in runs.items()
    ]


_SPAWN_AND_WAIT = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""
"""Between the bench and what it measures, for Linux counts what the parent had at the start as the child's own memory: this
one is smaller than any compiler."""


def _time(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and megabytes of a process that must succeed."""
    spawn = [sys.executable, "-S", "-E", "-c", _SPAWN_AND_WAIT, *command]
    started = time.monotonic()
    done = subprocess.run(spawn, capture_output=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')}")
    return seconds, int(done.stdout.split()[-1]) / 1024
